"""A conversion in a process of its own: what it knows, and that it ends."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from inference import sandbox
from inference.errors import WeightsRejected


def folders(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("folder", "scratch")}
    for path in made.values():
        path.mkdir()
    return made


def test_it_knows_no_secret_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sitecustomize` runs in every Python that finds it, before anything else: it writes down what it sees."""
    (tmp_path / "sitecustomize.py").write_text(
        "import json, os, pathlib\npathlib.Path('seen.json').write_text(json.dumps(dict(os.environ)))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "postgresql://jane:hunter2@h/d")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    source = tmp_path / "model.onnx"
    source.write_bytes(b"no graph")
    where = folders(tmp_path)
    with pytest.raises(WeightsRejected, match="it is no ONNX graph"):
        sandbox.convert(source, "onnx", keypoints=17, **where)
    seen = json.loads((where["scratch"] / "seen.json").read_text())
    ours = {"PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "HOME", "TMPDIR", "LANG", "OMP_NUM_THREADS"}
    assert set(seen) <= {*ours, "LC_CTYPE", "PWD"}
    assert "hunter2" not in str(seen)
    assert seen["HOME"] == str(where["scratch"])


def test_one_that_dies_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nos._exit(9)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(WeightsRejected, match="exit code 9 and no answer"):
        sandbox.convert(tmp_path / "model.onnx", "onnx", keypoints=17, **folders(tmp_path))


def test_one_that_hangs_ends_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib, subprocess, time\n"
        "child = subprocess.Popen(['/bin/sleep', '600'])\n"
        "pathlib.Path('child').write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sandbox, "PATIENCE_S", 2.0)
    where = folders(tmp_path)
    with pytest.raises(WeightsRejected, match="was not converted within 2 s"):
        sandbox.convert(tmp_path / "model.onnx", "onnx", keypoints=17, **where)
    child = Path("/proc") / (where["scratch"] / "child").read_text() / "stat"
    assert ended(child)


def ended(process: Path, *, patience_s: float = 10.0) -> bool:
    """Whether it ends: a signal that was sent takes its time where the machine is busy."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        try:
            if process.read_text().split()[2] == "Z":  # nobody waits for it but the system's first
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False
