"""Two networks on OpenVINO: one finds people in whole pictures or crops, the other poses each of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.artifact import Precision
from inference.backends.base import BackendName
from inference.backends.openvino_backend import Compiled, OpenVinoBackend, read_network
from inference.backends.rows import rows
from inference.catalog import ModelSpec
from inference.conversion import openvino_networks
from inference.errors import BackendUnavailable
from inference.poses import COCO_17, FloatArray, Pose
from inference.postprocess import poses_from_raw
from inference.preprocess import Letterbox
from inference.top_down import MEAN, STD, PersonCrop, decode

_TOGETHER = 16
"""Crops that are posed at once: a crowd must not take the memory of a crowd."""


class TopDownBackend:
    """Boxes and scores are the finder's, keypoints the poser's. Crops are cut out of what the finder is shown."""

    name: BackendName = "openvino"

    def __init__(self, spec: ModelSpec, *, precision: Precision, threads: int | None, cache_dir: Path) -> None:
        self._finder = OpenVinoBackend(spec, precision=precision, threads=threads, cache_dir=cache_dir)
        with openvino_networks(spec, cache_dir) as networks:
            if networks.top_down is None:
                raise BackendUnavailable(f"{spec.name}@{spec.version} is no top-down model")
            network = read_network(networks.top_down)
        self._size = _size(network)
        self._poser: Compiled | None = Compiled(
            _normalising(network), precision=precision, threads=threads or os.cpu_count() or 1
        )
        self._together = 1 if spec.artifact is not None and spec.artifact.manifest.one_at_a_time else _TOGETHER
        self._keypoints = len(spec.skeleton.keypoint_names)
        self.servers = self._finder.servers
        self.precision: Precision = precision
        self.runtime = self._finder.runtime

    def infer(self, batch: NDArray[np.uint8], *, fine: bool = True) -> FloatArray:
        """See `Backend.infer`: rows."""
        height, width = batch.shape[1:3]
        raw = self._finder.infer(batch, fine=fine)
        found = poses_from_raw(raw, [_as_it_is(width, height)] * len(batch), keypoints=len(COCO_17.keypoint_names))
        crops = [PersonCrop.around(pose.box, self._size) for people in found for pose in people]
        shown = [picture for picture, people in zip(batch, found, strict=True) for _ in people]
        posed = iter(self._pose(crops, shown))
        return rows(
            [_people(people, [next(posed) for _ in people], self._keypoints) for people in found],
            len(batch),
            self._keypoints,
        )

    def best_batch(self, shape: tuple[int, int]) -> int:
        """See `Backend.best_batch`."""
        return self._finder.best_batch(shape)

    def close(self) -> None:
        """See `Backend.close`."""
        self._finder.close()
        self._poser = None

    def _pose(self, crops: list[PersonCrop], pictures: list[NDArray[np.uint8]]) -> list[FloatArray]:
        """Of each crop (K, 3): x, y in its picture's pixels, confidence."""
        if self._poser is None:
            raise BackendUnavailable("the model was closed")
        posed: list[FloatArray] = []
        for first in range(0, len(crops), self._together):
            some = slice(first, first + self._together)
            cut = [crop.cut(picture) for crop, picture in zip(crops[some], pictures[some], strict=True)]
            simcc_x, simcc_y = self._poser.infer(np.stack(cut))
            for crop, points in zip(crops[some], decode(simcc_x, simcc_y, self._size), strict=True):
                posed.append(np.concatenate([crop.to_picture(points[:, :2]), points[:, 2:]], axis=1))
        return posed


def _people(found: list[Pose], posed: list[FloatArray], keypoints: int) -> FloatArray:
    """(P, 5 + 3K): box and score as found, keypoints as posed."""
    people = [
        np.concatenate([pose.box, [pose.score], points.ravel()]) for pose, points in zip(found, posed, strict=True)
    ]
    return np.asarray(people, np.float32).reshape(len(people), 5 + 3 * keypoints)


def _as_it_is(width: int, height: int) -> Letterbox:
    """The input's own pixels are the source's."""
    size = (width, height)
    return Letterbox(picture=size, source=size, resized=size, pad=(0, 0), size=size)


def _size(network: Any) -> tuple[int, int]:
    """(W, H) of its input (N, 3, H, W)."""
    height, width = (int(side.get_length()) for side in list(network.input(0).get_partial_shape())[2:])
    return width, height


def _normalising(network: Any) -> Any:
    """Let the compiled network turn (N, H, W, 3) uint8 RGB into what it was trained with."""
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(network)
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    steps.input().preprocess().convert_element_type(Type.f32).mean(list(MEAN)).scale(list(STD))
    steps.input().model().set_layout(Layout("NCHW"))
    return steps.build()
