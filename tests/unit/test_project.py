"""What must stay true of the project's own files."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.system_packages import read_packages

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = ("venv", "samples", "system-deps", "lint", "test", "demo", "lock", "upgrade", "clean", "help")

# Patterns and examples are spelled so that they do not match themselves: this file is scanned like any other.
FORBIDDEN = {
    "a path of one machine": r"/(?:roo[t]|wor[k]|Users|opt/[\w-]+|home/(?!frontfoot\b)\w+)(?:/[\w.]|[\"'\s]|$)",
    "a package registry": r"pyp[i]\.org|pythonhoste[d]|npmj[s]|debia[n]\.org|index-ur[l]|find-link[s]",
    "a private key": r"-----BEGIN [A-Z ]*PRIVAT[E] KEY",
    "an AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    # Long enough to be one: tests have short ones of their own.
    "a password in a URL": r"://[\w.-]+:[^\s:/@{}<>$*]{12,}@",
}


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def faults_in(text: str) -> list[str]:
    return [f"{what}: {match[0]!r}" for what, pattern in FORBIDDEN.items() for match in re.finditer(pattern, text)]


def test_no_file_names_a_machine_a_registry_or_a_secret() -> None:
    files = tracked_files()
    assert ROOT / "pyproject.toml" in files
    faults = []
    for path in files:
        content = path.read_bytes()
        if b"\0" in content[:4096]:
            continue
        faults += [f"{path.relative_to(ROOT)}: {fault}" for fault in faults_in(content.decode("utf-8"))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "text",
    [
        "open('/" + "root/clip.mp4')",
        "cd /" + "work/somewhere && make",
        "/home/" + "jane/clips",
        "pip install --index-" + "url https://example.org/simple x",
        "https://files.python" + "hosted.org/packages/x.whl",
        "-----BEGIN RSA PRIVATE" + " KEY-----",
        "aws_access_key_id = AKIA" + "ABCDEFGHIJKLMNOP",
        "ghp_" + "a" * 36,
        "postgresql://frontfoot:" + "hunter2hunter2@db.example.org/frontfoot",
    ],
)
def test_the_scan_finds_what_it_is_for(text: str) -> None:
    assert faults_in(text)


def test_the_version_is_one() -> None:
    assert importlib.metadata.version("frontfoot") == PROJECT["version"], "installed from an older state: make venv"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(PROJECT['version'])}\b", changelog, re.MULTILINE)


def test_the_readme_lists_the_system_packages() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- system-packages:.*?-->\s*```\w*\n(.*?)```\s*<!-- /system-packages -->", readme, re.DOTALL)
    assert found, "README.md has lost its system-packages markers"
    words = found[1].split()
    names = [package.name for package in read_packages()]
    assert [word for word in words if word not in {"sudo", "apt-get", "install", "--yes", "\\"}] == names


def test_every_requirement_is_pinned_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {}
    for line in lines[1:]:
        found = re.fullmatch(r"([A-Za-z0-9][\w.-]*)==([\w.+!]+)", line)
        assert found, f"not an exact pin: {line!r}"
        pins[canonicalize_name(found[1])] = found[2]
    wanted = [
        *PROJECT["dependencies"],
        *(word for extra in PROJECT["optional-dependencies"].values() for word in extra),
    ]
    for requirement in map(Requirement, wanted):
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement} is not pinned: make lock"
        assert requirement.specifier.contains(pin, prereleases=True), f"{requirement} is pinned at {pin}"
    assert "opencv-python-headless" not in pins, "it overwrites the files of opencv-python"


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_the_target(target: str) -> None:
    # The variables of an outer make, which may have started this test, would change what is printed.
    environment = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    }
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_make_refuses_an_old_python() -> None:
    done = subprocess.run(
        ["make", "check-python", "PYTHON=false"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr


def test_ci_runs_what_a_developer_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [line for line in script.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert commands[-2:] == ["make system-deps", "exec make test"]
    subprocess.run(["bash", "-n", str(script)], check=True)
