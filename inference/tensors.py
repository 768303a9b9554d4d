"""A network's weights as plain float32 tensors: an `.npz` in which nothing is unpickled, read into shapes known before.

The same tensors give the same bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import WeightsRejected
from inference.poses import FloatArray

_MEMBER = ".npy"
_HEADER_MAX = 10_000
"""Bytes that may come before a tensor's numbers: as much as numpy parses."""


def write(tensors: Mapping[str, FloatArray], path: Path) -> None:
    """Write tensors by their names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, tensor in tensors.items():
            written = io.BytesIO()
            np.lib.format.write_array(written, np.ascontiguousarray(tensor, np.float32), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(name + _MEMBER), written.getvalue())  # without a clock


def read(content: bytes, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, FloatArray]:
    """The tensors of these names and shapes, and nothing else. Raises WeightsRejected where that is not what is there.

    No member's numbers are looked at before its size is known to be what its shape takes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.namelist()
            expected = [name + _MEMBER for name in shapes]
            if sorted(members) != sorted(expected):
                odd = sorted(set(members) ^ set(expected)) or ["one twice"]
                raise WeightsRejected(f"the tensors are not the network's: {', '.join(odd[:3])[:200]}")
            return {name: _tensor(archive, name, shape) for name, shape in shapes.items()}
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, RuntimeError, ValueError) as error:
        raise WeightsRejected(f"the tensors cannot be read: {str(error)[:200]}") from error


def _tensor(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> FloatArray:
    info = archive.getinfo(name + _MEMBER)
    size = 4 * prod(shape)
    if info.compress_type != zipfile.ZIP_STORED or not size < info.file_size <= size + _HEADER_MAX:
        raise WeightsRejected(f"the tensor {name} is not of {size} bytes: {info.file_size}, with its header")
    stored = io.BytesIO(archive.read(info))
    found, fortran, dtype = _header(stored, name)
    if found != shape or fortran or dtype != np.dtype("<f4"):
        raise WeightsRejected(f"the tensor {name} is {dtype} {found}, not float32 {shape}")
    tensor = np.frombuffer(stored.read(), np.float32)
    if tensor.size != prod(shape) or not np.isfinite(tensor).all():
        raise WeightsRejected(f"the tensor {name} is not {prod(shape)} finite numbers")
    return tensor.reshape(shape).copy()


def _header(stored: io.BytesIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """What a tensor says of itself. Raises WeightsRejected where it says nothing that can be read."""
    try:
        version = np.lib.format.read_magic(stored)
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(stored, max_header_size=_HEADER_MAX)
    except Exception as error:  # numpy has a tokenizer and a parser there, and hands on whatever they raise
        raise WeightsRejected(f"the header of the tensor {name} cannot be read: {str(error)[:200]}") from error
    raise WeightsRejected(f"the tensor {name} is of the unknown version {version}")
