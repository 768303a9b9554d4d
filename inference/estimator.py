"""The estimator: model + preprocessing + postprocessing. Pictures in, people out; no Ray, no video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.backends import BackendChoice, PrecisionChoice, make_backend
from inference.backends.base import Backend
from inference.catalog import ModelSpec
from inference.poses import ModelInfo, Pose
from inference.postprocess import poses_from_raw, poses_from_rows
from inference.preprocess import Letterbox

Kind = tuple[int, int, bool]
"""(H, W, fine) of a picture as the model takes it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prepared:
    """One picture as the model takes it; the source picture itself is no longer needed."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    letterbox: Letterbox
    fine: bool = True
    """Whether somebody small may be in it: see `Backend.infer`."""

    @property
    def kind(self) -> Kind:
        """Only pictures of one kind share a batch."""
        return (*self.letterbox.shape, self.fine)


class Estimator:
    """A loaded model. `prepare` may run on any thread, `infer` on `servers` threads at once."""

    def __init__(self, backend: Backend, spec: ModelSpec) -> None:
        self._backend = backend
        self._decode = poses_from_raw if spec.head == "raw" else poses_from_rows
        self.skeleton = spec.skeleton
        self.info = ModelInfo(
            name=spec.name,
            version=spec.version,
            sha256=spec.sha256,
            backend=backend.name,
            precision=backend.precision,
            runtime=backend.runtime,
            conversion=spec.artifact.sha256 if spec.artifact else None,
        )

    @classmethod
    def load(
        cls,
        spec: ModelSpec,
        *,
        backend: BackendChoice = "auto",
        precision: PrecisionChoice = "auto",
        threads: int | None = None,
        cache_dir: Path,
    ) -> Estimator:
        """Load the weights into a runtime: see `make_backend`, also for what is raised."""
        made = make_backend(spec, backend=backend, precision=precision, threads=threads, cache_dir=cache_dir)
        return cls(made, spec)

    @classmethod
    def load_precise(cls, spec: ModelSpec, *, threads: int | None, cache_dir: Path) -> Estimator:
        """A model as whoever admits it sees it: in its own precision or else in fp32."""
        precision: PrecisionChoice = "auto" if spec.precision else "fp32"
        return cls.load(spec, backend="openvino", precision=precision, threads=threads, cache_dir=cache_dir)

    @property
    def servers(self) -> int:
        """Batches that it works on at once."""
        return self._backend.servers

    def best_batch(self, kind: Kind) -> int:
        """Pictures of a kind beyond which a larger batch gains nothing."""
        return self._backend.best_batch(kind[:2])

    def prepare(self, image: NDArray[np.uint8]) -> Prepared:
        """(h, w, 3) uint8 RGB of any size → what `infer` takes."""
        letterbox = Letterbox.fit(image.shape[1], image.shape[0])
        return Prepared(image=letterbox.apply(image), letterbox=letterbox)

    def infer(self, batch: Sequence[Prepared]) -> list[list[Pose]]:
        """The people of each picture, best first. Raises ValueError if the pictures' kinds differ."""
        if not batch:
            return []
        fine = batch[0].fine
        if any(picture.fine != fine for picture in batch):
            raise ValueError("pictures of two kinds in one batch")
        raw = self._backend.infer(np.stack([picture.image for picture in batch]), fine=fine)
        letterboxes = [picture.letterbox for picture in batch]
        return self._decode(raw, letterboxes, keypoints=len(self.skeleton.keypoint_names))

    def warm_up(self, sizes: Iterable[tuple[int, int]] = ((1920, 1080),), *, batch: int = 1) -> None:
        """Infer grey pictures of these (width, height) once, so that the first clip does not pay for first calls."""
        for width, height in sizes:
            grey = self.prepare(np.full((height, width, 3), 114, np.uint8))
            self.infer([grey] * batch)

    def close(self) -> None:
        """Release the model."""
        self._backend.close()
