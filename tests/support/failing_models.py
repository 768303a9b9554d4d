"""Versions that load and find the people on the golden photographs, and go wrong with clips: for these are brighter."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from inference.artifact import COARSE, NETWORK, Manifest, pack
from inference.catalog import DEFAULT_MODEL, catalogued
from inference.conversion import openvino_model

BRIGHT = 0.47
"""Mean of a picture, 0..1: the photographs' are 0.46 and less, those of the sample's frames 0.48."""
_ROWS, _SCORE = 56, 4
"""Of a raw head's output, (N, 56, candidates); and which of them is the score."""


def blind(cache: Path) -> bytes:
    """An artifact of the built-in weights that sees nobody in bright pictures."""
    return _altered(cache, _blind)


def raising(cache: Path) -> bytes:
    """An artifact of the built-in weights whose output has another shape for bright pictures: no fault of the clip."""
    return _altered(cache, _raising)


def _altered(cache: Path, alter: Any) -> bytes:
    source = openvino_model(catalogued(DEFAULT_MODEL), cache).parent
    with tempfile.TemporaryDirectory() as folder:
        for name in (NETWORK, COARSE):
            model: Any = openvino.Core().read_model(source / name)
            picture, result = model.get_parameters()[0], model.get_results()[0]
            mean = ops.reduce_mean(picture, np.array([1, 2, 3]), keep_dims=True)
            bright = ops.greater(mean, np.float32(BRIGHT))
            said = result.input_value(0)
            result.input(0).replace_source_output(alter(said, bright).output(0))
            openvino.save_model(model, Path(folder) / name, compress_to_fp16=False)
        return pack(Path(folder), Manifest(head="raw", one_at_a_time=False, coarse=True))


def _blind(said: Any, bright: Any) -> Any:
    """The scores of pictures that are bright are 0."""
    score = np.zeros((1, _ROWS, 1), np.float32)
    score[0, _SCORE] = 1
    unseen = ops.multiply(score, ops.convert(ops.squeeze(bright, np.array([3])), "f32"))
    return ops.multiply(said, ops.subtract(np.float32(1), unseen))


def _raising(said: Any, bright: Any) -> Any:
    """A row less than there should be where a picture is bright."""
    less = ops.reduce_max(ops.convert(bright, "i64"), np.array([0, 1, 2, 3]), keep_dims=False)
    rows = ops.unsqueeze(ops.subtract(np.int64(_ROWS), less), np.array([0]))
    return ops.slice(said, np.array([0]), rows, np.array([1]), np.array([1]))
