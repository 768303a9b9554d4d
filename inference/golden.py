"""Two photographs on which it is known where people's keypoints are; `golden.toml` says where and how that is known."""

from __future__ import annotations

import hashlib
import importlib.util
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import WeightsRejected

_TRUTH = Path(__file__).with_name("golden.toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class GoldenPerson:
    """Somebody on a photograph, in its pixels."""

    box: tuple[float, float, float, float]
    """x1 y1 x2 y2."""
    points: Mapping[str, tuple[float, float]]
    """Keypoint → x, y; only what can be seen."""

    @property
    def height(self) -> float:
        """Pixels of the box from top to bottom."""
        return self.box[3] - self.box[1]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Photograph:
    """A picture, and who is on it."""

    name: str
    image: NDArray[np.uint8]
    """(h, w, 3) RGB."""
    people: tuple[GoldenPerson, ...]


@cache
def photographs() -> tuple[Photograph, ...]:
    """All of them. Raises WeightsRejected where the package that brings them is missing or brings others."""
    found = importlib.util.find_spec("ultralytics")  # finding a package runs none of its code
    if found is None or not found.submodule_search_locations:
        raise WeightsRejected("the golden photographs come with the package ultralytics, which is not installed")
    assets = Path(found.submodule_search_locations[0]) / "assets"
    return tuple(_photograph(entry, assets) for entry in tomllib.loads(_TRUTH.read_text())["photograph"])


def _photograph(entry: Mapping[str, Any], assets: Path) -> Photograph:
    import cv2

    path = assets / entry["file"]
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise WeightsRejected(f"the golden photograph {entry['file']} is missing or another one")
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise WeightsRejected(f"the golden photograph {entry['file']} cannot be read")
    people = tuple(
        GoldenPerson(
            box=tuple(person["box"]),
            points={name: (float(at[0]), float(at[1])) for name, at in person.items() if name != "box"},
        )
        for person in entry["person"]
    )
    image = np.ascontiguousarray(decoded[:, :, ::-1]).astype(np.uint8, copy=False)
    return Photograph(name=entry["file"], image=image, people=people)
