"""A network's weights in a file: the same bytes for the same numbers, and nothing but the shapes that were expected."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from inference.errors import WeightsRejected
from inference.tensors import read, write

TENSORS = {"model.0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "model.0.bias": np.float32([1.5, -2.5])}
SHAPES = {name: tensor.shape for name, tensor in TENSORS.items()}


def member(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:
    written = io.BytesIO()
    np.lib.format.write_array(written, array, allow_pickle=allow_pickle)
    return written.getvalue()


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return made.getvalue()


def with_weight(content: bytes) -> bytes:
    """The file in which the first tensor is stored so."""
    return zipped({"model.0.weight": content, "model.0.bias": member(TENSORS["model.0.bias"])})


def test_what_was_written_comes_back_and_numpy_reads_it_too(tmp_path: Path) -> None:
    write(TENSORS, tmp_path / "a.npz")
    write({name: tensor.copy() for name, tensor in TENSORS.items()}, tmp_path / "b.npz")
    content = (tmp_path / "a.npz").read_bytes()
    assert (tmp_path / "b.npz").read_bytes() == content
    with np.load(tmp_path / "a.npz", allow_pickle=False) as vendors:
        for name, tensor in read(content, SHAPES).items():
            np.testing.assert_array_equal(tensor, TENSORS[name])
            np.testing.assert_array_equal(vendors[name], TENSORS[name])
    assert read(content, dict(reversed(SHAPES.items()))).keys() == SHAPES.keys()


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ({"model.0.weight": (2, 3)}, r"not the network's: model\.0\.bias\.npy"),
        ({**SHAPES, "model.1.bias": (1,)}, r"not the network's: model\.1\.bias\.npy"),
        ({**SHAPES, "model.0.weight": (3, 2)}, r"model\.0\.weight is float32 \(2, 3\), not float32 \(3, 2\)"),
        ({**SHAPES, "model.0.weight": (20_000, 3)}, r"model\.0\.weight is not of 240000 bytes"),
    ],
    ids=["one too many", "one missing", "another shape", "another size"],
)
def test_tensors_of_another_network_are_refused(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], reason: str
) -> None:
    write(TENSORS, tmp_path / "a.npz")
    with pytest.raises(WeightsRejected, match=reason):
        read((tmp_path / "a.npz").read_bytes(), shapes)


def test_other_numbers_are_refused() -> None:
    weight = TENSORS["model.0.weight"]
    for content, reason in (
        (member(weight.astype(np.int32)), "is int32"),
        (member(weight.astype(">f4")), "is >f4"),
        (member(np.asfortranarray(weight)), "not float32"),
        (member(np.float32([[0, 1, 2], [3, np.nan, 5]])), "6 finite numbers"),
        (member(weight)[:-4], "6 finite numbers"),
        (member(weight) + bytes(4), "6 finite numbers"),
        (member(weight).replace(b"(2, 3)", b"(1e9,)"), "cannot be read|not float32"),
        (b"\x93NUMPY\x09\x00" + member(weight)[8:], "unknown version"),
        (bytes(200), "cannot be read"),
    ):
        with pytest.raises(WeightsRejected, match=reason):
            read(with_weight(content), SHAPES)


@pytest.mark.parametrize(
    "header", [b"{'descr': (\n", b"{[]: 1}\n", b"{1: 2, 'a': 3}\n", b"{}\n  x\n y\n", b"-" * 9000 + b"1\n"]
)
def test_whatever_the_parser_of_headers_makes_of_one_it_is_refused(header: bytes) -> None:
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(24)
    with pytest.raises(WeightsRejected, match=r"header of the tensor model\.0\.weight cannot be read"):
        read(with_weight(content), SHAPES)


def test_what_unpacks_to_more_than_it_is_expected_to_be_is_not_unpacked() -> None:
    bomb = zipped({name: bytes(50_000_000) for name in SHAPES}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 200_000
    with pytest.raises(WeightsRejected, match="50000000, with its header"):
        read(bomb, SHAPES)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04", zipped(dict.fromkeys(SHAPES, b""))[:-30]])
def test_what_is_no_zip_is_refused(content: bytes) -> None:
    with pytest.raises(WeightsRejected, match="cannot be read"):
        read(content, SHAPES)


def test_a_name_twice_is_refused() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in SHAPES:
            archive.writestr(f"{name}.npy", member(TENSORS[name]))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(f"{name}.npy", member(TENSORS[name]))
    with pytest.raises(WeightsRejected, match="one twice"):
        read(made.getvalue(), SHAPES)


class Payload:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.mkdir, (self.trace,)  # type: ignore[return-value]


def test_a_pickle_among_the_tensors_is_never_loaded(tmp_path: Path) -> None:
    trace = tmp_path / "it_ran"
    objects = np.array([Payload(trace)] * 6, object).reshape(2, 3)
    trap = with_weight(member(objects, allow_pickle=True))
    for content in (trap, with_weight(pickle.dumps(Payload(trace))), pickle.dumps(Payload(trace))):
        with pytest.raises(WeightsRejected):
            read(content, SHAPES)
    assert not trace.exists()
    (tmp_path / "trap.npz").write_bytes(trap)
    with np.load(tmp_path / "trap.npz", allow_pickle=True) as loaded:
        assert loaded["model.0.weight"] is not None
    assert trace.exists(), "the trap works"
