"""What workers load: the same bytes for the same networks, and nothing but what its checksum promises."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from inference.artifact import TENSORS, Architecture, Manifest, keep, pack, stored_tensors, unpacked
from inference.errors import WeightsRejected

MANIFEST = Manifest(head="raw", one_at_a_time=False, coarse=True)
FILES = {"model.xml": b"<net/>", "model.bin": b"\1\2", "coarse.xml": b"<coarse/>", "coarse.bin": b"\3"}


def networks(folder: Path) -> Path:
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "weights.pt").write_bytes(b"a pickle that nobody asked for")
    return folder


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_same_networks_give_the_same_bytes(tmp_path: Path) -> None:
    content = pack(networks(tmp_path / "a"), MANIFEST)
    assert pack(networks(tmp_path / "b"), MANIFEST) == content
    assert pack(tmp_path / "a", Manifest(head="raw", one_at_a_time=True, coarse=True)) != content


def test_what_was_packed_comes_back_and_nothing_else(tmp_path: Path) -> None:
    content = pack(networks(tmp_path / "a"), MANIFEST)
    kept = keep(content, sha256(content), tmp_path / "cache")
    assert kept.manifest == MANIFEST
    folder = unpacked(kept)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"} == FILES


def test_another_byte_is_refused_before_it_is_kept_and_afterwards(tmp_path: Path) -> None:
    content = pack(networks(tmp_path / "a"), MANIFEST)
    other = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(WeightsRejected, match="has the checksum"):
        keep(other, sha256(content), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    kept = keep(content, sha256(content), tmp_path / "cache")
    kept.path.write_bytes(other)
    with pytest.raises(WeightsRejected, match="has the checksum"):
        unpacked(kept)
    kept.path.unlink()
    with pytest.raises(WeightsRejected, match="cannot be read"):
        unpacked(kept)


@pytest.mark.parametrize(
    "names",
    [
        ("manifest.json",),
        ("model.xml", "model.bin"),
        ("manifest.json", "model.xml", "weights.pt"),
        ("manifest.json", "model.xml", "../model.bin"),
    ],
)
def test_another_zip_is_none(tmp_path: Path, names: tuple[str, ...]) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, '{"head": "raw", "one_at_a_time": false, "coarse": false}')
    with pytest.raises(WeightsRejected, match="is no converted model"):
        keep(made.getvalue(), sha256(made.getvalue()), tmp_path)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04"])
def test_what_is_no_zip_is_none(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(WeightsRejected, match="is no converted model"):
        keep(content, sha256(content), tmp_path)


def test_tensors_lie_beside_the_networks_where_the_manifest_says_so(tmp_path: Path) -> None:
    manifest = replace(MANIFEST, torch=Architecture(family="yolo11-pose", scale="n"))
    folder = networks(tmp_path / "a")
    (folder / TENSORS).write_bytes(b"numbers")
    content = pack(folder, manifest)
    kept = keep(content, sha256(content), tmp_path / "cache")
    assert kept.manifest == manifest
    assert stored_tensors(kept) == b"numbers"
    kept.path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WeightsRejected, match="has the checksum"):
        stored_tensors(kept)
    without = pack(folder, MANIFEST)
    with pytest.raises(WeightsRejected, match="holds no tensors"):
        stored_tensors(keep(without, sha256(without), tmp_path / "cache"))


def test_a_manifest_without_tensors_is_as_workers_of_before_read_it() -> None:
    assert MANIFEST.as_json() == {"head": "raw", "one_at_a_time": False, "coarse": True, "format": 1}
    assert Manifest.from_json(MANIFEST.as_json()) == MANIFEST
    for head in ("rows", "simcc"):
        with pytest.raises(ValueError, match="invalid Manifest"):
            replace(MANIFEST, head=head, torch=Architecture(family="yolo11-pose", scale="n"))


def test_a_manifest_of_another_time_is_refused(tmp_path: Path) -> None:
    for head, form in (("boxes", 1), ("raw", 2)):
        with pytest.raises(ValueError, match="invalid Manifest"):
            Manifest(head=head, one_at_a_time=False, coarse=False, format=form)  # type: ignore[arg-type]
