from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.fetch_sample import Sample, SampleError, extract, fetch

ROOT = Path(__file__).resolve().parents[3]
CLIP = b"a clip"
SAMPLE = Sample(requirement="demo==1.0", member="Demo/demo.mp4", sha256=hashlib.sha256(CLIP).hexdigest())


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip, told to use no other place, finds wheels in."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def write_wheel(folder: Path, member: str = SAMPLE.member, content: bytes = CLIP) -> Path:
    path = folder / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        wheel.writestr(
            "demo-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("demo-1.0.dist-info/RECORD", "")
    return path


def test_fetches_through_pip_then_leaves_it_alone(wheels: Path, tmp_path: Path) -> None:
    write_wheel(wheels)
    target = tmp_path / "samples" / "demo.mp4"
    assert fetch(SAMPLE, target)
    assert target.read_bytes() == CLIP
    assert list(target.parent.iterdir()) == [target]
    (wheels / "demo-1.0-py3-none-any.whl").unlink()
    assert not fetch(SAMPLE, target)


def test_replaces_a_clip_that_is_not_the_right_one(wheels: Path, tmp_path: Path) -> None:
    write_wheel(wheels)
    target = tmp_path / "demo.mp4"
    target.write_bytes(CLIP[:3])
    assert fetch(SAMPLE, target)
    assert target.read_bytes() == CLIP


def test_says_so_when_pip_cannot_download(wheels: Path, tmp_path: Path) -> None:
    target = tmp_path / "demo.mp4"
    with pytest.raises(SampleError, match=r"could not download demo==1\.0"):
        fetch(SAMPLE, target)
    assert not target.exists()


def test_refuses_another_clip(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="SHA-256"):
        extract(write_wheel(tmp_path, content=b"another clip"), SAMPLE)


def test_refuses_a_wheel_without_the_clip(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match=r"holds no Demo/demo\.mp4"):
        extract(write_wheel(tmp_path, member="Demo/other.mp4"), SAMPLE)


def test_refuses_what_is_no_wheel(tmp_path: Path) -> None:
    broken = tmp_path / "demo-1.0-py3-none-any.whl"
    broken.write_bytes(b"not a zip file")
    with pytest.raises(SampleError, match="holds no"):
        extract(broken, SAMPLE)


def test_the_command_explains_itself() -> None:
    command = [sys.executable, str(ROOT / "tools" / "fetch_sample.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: fetch_sample.py TARGET" in done.stderr
