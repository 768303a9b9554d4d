"""The value objects of pose estimation. Importing this module loads numpy alone.

NaN means "not seen". Nothing here is ever 0, -1 or 0.5 by default. K is the number of keypoints, T of frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def _require(condition: bool, faults: list[str], fault: str) -> None:
    if not condition:
        faults.append(fault)


def _raise_all(kind: str, faults: list[str]) -> None:
    if faults:
        raise ValueError(f"invalid {kind}: " + "; ".join(faults))


@dataclass(frozen=True, kw_only=True, slots=True)
class Skeleton:
    """Names and structure of a set of K keypoints."""

    name: str
    keypoint_names: tuple[str, ...]
    left_right: tuple[tuple[int, int], ...]
    """Pairs (left, right) that a mirrored picture exchanges."""
    limbs: tuple[tuple[int, int], ...]
    """Pairs of keypoints that a drawing connects."""

    def index(self, keypoint: str) -> int:
        """Position of a keypoint by name. Raises KeyError with the name."""
        try:
            return self.keypoint_names.index(keypoint)
        except ValueError:
            raise KeyError(keypoint) from None

    def has(self, *keypoints: str) -> bool:
        """Whether it knows all of these names."""
        return set(keypoints) <= set(self.keypoint_names)

    def sides(self, joint: str) -> tuple[int, int]:
        """Positions of `left_<joint>` and `right_<joint>`. Raises KeyError."""
        return self.index(f"left_{joint}"), self.index(f"right_{joint}")

    def exchanged(self) -> list[int]:
        """For each keypoint the position of the same one on the other side; its own in the middle."""
        order = list(range(len(self.keypoint_names)))
        for left, right in self.left_right:
            order[left], order[right] = right, left
        return order


COCO_17 = Skeleton(
    name="coco-17",
    keypoint_names=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
        "right_ankle",
    ),
    left_right=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    limbs=(
        (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
        (0, 1), (0, 2), (1, 3), (2, 4),
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pose:
    """One person in one frame, in source pixels (after rotation)."""

    keypoints: FloatArray
    """(K, 2) x, y."""
    confidence: FloatArray
    """(K,) 0..1."""
    box: FloatArray
    """(4,) x1 y1 x2 y2."""
    score: float
    """0..1, of the person."""

    def __post_init__(self) -> None:
        """Check the shapes; raises ValueError with all faults at once."""
        faults: list[str] = []
        count = self.keypoints.shape[0] if self.keypoints.ndim else 0
        _require(self.keypoints.shape == (count, 2), faults, f"keypoints {self.keypoints.shape}, not (K, 2)")
        _require(self.confidence.shape == (count,), faults, f"confidence {self.confidence.shape}, not ({count},)")
        _require(self.box.shape == (4,), faults, f"box {self.box.shape}, not (4,)")
        _raise_all("Pose", faults)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo:
    """Which model said so: the provenance of every keypoint."""

    name: str
    version: str
    sha256: str
    """Of the weights, before any conversion."""
    backend: str
    """`torch`, `openvino` or `entrypoint`."""
    precision: str
    """`fp32`, `bf16`, `fp16` or `int8`."""
    runtime: str
    """Name and version of what ran it, such as `openvino 2026.4.1`; of an entry point its distribution."""
    conversion: str | None = None
    """SHA-256 of the converted model that was loaded; None: converted from the weights on the spot."""

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipInfo:
    """What the file says about itself, and what decoding found."""

    width: int
    """Pixels after rotation."""
    height: int
    rotation: int
    """Degrees clockwise by which decoded pictures were turned: 0, 90, 180 or 270."""
    duration_s: float
    fps: float
    """Average frames a second by timestamps; variable rates keep their timestamps."""
    container: str
    """Empty, as `codec` and `sha256`, where poses came without their clip."""
    codec: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractionReceipt:
    """Where every decoded frame went. `decoded == inferred + sum(skipped)`, or it cannot be built."""

    decoded: int
    inferred: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason → frames; `not_sampled` and `after_window` are no faults."""
    redone: int = 0
    """Times that a frame was inferred once more because a crop had failed on it."""
    broken: int = 0
    """Packets or frames that the decoder could not turn into a picture; they are not among `decoded`."""
    truncated: bool = False
    """The file ended before it said it would."""
    rotation: int = 0
    fps_measured: float = float("nan")
    """1 / median interval of decoded timestamps."""
    gaps: tuple[tuple[float, float], ...] = ()
    """(start_s, end_s) where decoded timestamps are more than 1.5 median intervals apart."""

    def __post_init__(self) -> None:
        """Check the sum."""
        skipped = sum(self.skipped.values())
        if self.decoded != self.inferred + skipped:
            raise ValueError(f"decoded {self.decoded} is not inferred {self.inferred} + skipped {skipped}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Whom a `PoseSequence` follows, and how sure the choice is."""

    source: Literal["caller", "automatic"]
    confidence: float
    """0..1; near 0 when another person was as good a candidate."""
    people: int
    """People followed in the clip; one who was out of sight for long may count twice."""
    box: tuple[float, float, float, float]
    """x1 y1 x2 y2 in the frame at `time_s`, where the athlete is seen best."""
    time_s: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PoseSequence:
    """One athlete over the T inferred frames of a clip."""

    keypoints: FloatArray
    """(T, K, 2) float32 source pixels, NaN where not seen."""
    confidence: FloatArray
    """(T, K) float32 0..1, NaN where not seen."""
    boxes: FloatArray
    """(T, 4) float32 x1 y1 x2 y2, NaN where not seen."""
    timestamps_s: NDArray[np.float64]
    """(T,) from PTS, strictly increasing, first decoded frame of the stream at its own PTS minus the stream's start."""
    frame_indices: NDArray[np.int64]
    """(T,) index among decoded frames."""
    skeleton: Skeleton
    frame_size: tuple[int, int]
    """(width, height) of the source pixels."""
    model: ModelInfo

    def __post_init__(self) -> None:
        """Check shapes and order; raises ValueError with all faults at once."""
        faults: list[str] = []
        frames = len(self.timestamps_s)
        joints = len(self.skeleton.keypoint_names)
        _require(self.keypoints.shape == (frames, joints, 2), faults, f"keypoints {self.keypoints.shape}")
        _require(self.confidence.shape == (frames, joints), faults, f"confidence {self.confidence.shape}")
        _require(self.boxes.shape == (frames, 4), faults, f"boxes {self.boxes.shape}")
        _require(self.frame_indices.shape == (frames,), faults, f"frame_indices {self.frame_indices.shape}")
        _require(bool(np.all(np.diff(self.timestamps_s) > 0)), faults, "timestamps do not increase")
        _require(bool(np.all(np.diff(self.frame_indices) > 0)), faults, "frame indices do not increase")
        _raise_all("PoseSequence", faults)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(T,) whether the athlete was found in the frame."""
        return ~np.isnan(self.boxes[:, 0])

    def keypoint(self, name: str) -> FloatArray:
        """(T, 2) the path of one keypoint by name. Raises KeyError."""
        return self.keypoints[:, self.skeleton.index(name)]

    def only(self, skeleton: Skeleton) -> PoseSequence:
        """The same poses with the keypoints of another skeleton alone, by name. Raises KeyError for one it lacks."""
        if skeleton == self.skeleton:
            return self
        columns = [self.skeleton.index(name) for name in skeleton.keypoint_names]
        keypoints, confidence = self.keypoints[:, columns], self.confidence[:, columns]
        return replace(self, keypoints=keypoints, confidence=confidence, skeleton=skeleton)
