"""Models that installed Python packages bring, by entry points of the group `frontfoot.pose_models`.

An entry point names a function of the number of threads that returns a `PoseModel`. Its code is imported as any other
installed code is, at registration and in the actors, and may do there whatever they may do. What the catalogue adds is
that it is the very same code and weights: the checksum of the distribution's files is compared before each import.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, cast, get_args

import numpy as np
from numpy.typing import NDArray

from inference.artifact import Installed, Precision
from inference.errors import NotInstalled, WeightsRejected
from inference.poses import FloatArray

GROUP = "frontfoot.pose_models"
_NAMED, _METADATA = "entry_points.txt", ".dist-info"
_COMPILED = frozenset({".pyc", ".pyo"})


class PoseModel(Protocol):
    """What an entry point's function returns. One thread at a time asks it."""

    @property
    def skeleton(self) -> str:
        """The order of its keypoints: `coco17` or `halpe26`."""
        ...

    @property
    def licence(self) -> str:
        """Of the weights, such as `AGPL-3.0`."""
        ...

    @property
    def precision(self) -> Precision:
        """In which it computes: `fp32`, `bf16`, `fp16` or `int8`."""
        ...

    def estimate(self, pictures: NDArray[np.uint8]) -> Sequence[FloatArray]:
        """(N, H, W, 3) RGB, H and W multiples of 32 up to 640 → the N pictures' people.

        Of each picture (P, 5 + 3K) float32: x1 y1 x2 y2 of the box, score, and K triples (x, y, confidence), in the
        picture's pixels and 0..1. Everybody once; scores of 0.25 or less are dropped.
        """
        ...


Load = Callable[[int], PoseModel]


def find(name: str) -> Installed:
    """The entry point of this name and the checksum of what brings it. Runs none of its code.

    Raises NotInstalled where there is none, and WeightsRejected with any other reason.
    """
    return _identity(_entry_point(name))


def load(registered: Installed, threads: int) -> PoseModel:
    """The model, from the very files that were registered.

    Raises NotInstalled where these are not here, and WeightsRejected with any other reason.
    """
    point = _entry_point(registered.name)
    found = _identity(point)
    if found != registered:
        raise NotInstalled(
            f"{found.distribution} {found.version} is installed on {_here()} with the checksum {found.sha256}, and "
            f"{registered.distribution} {registered.version} with {registered.sha256} was registered"
        )
    return _checked(_begun(point, threads), point.name)


def _begun(point: metadata.EntryPoint, threads: int) -> object:
    try:
        return cast("Load", point.load())(threads)
    except Exception as error:  # whatever somebody else's code raises, it is no model
        raise WeightsRejected(f"the entry point {point.name} does not load: {type(error).__name__}: {error}") from error


def _checked(model: object, name: str) -> PoseModel:
    missing = [word for word in ("skeleton", "licence", "precision", "estimate") if not hasattr(model, word)]
    if missing:
        raise WeightsRejected(f"what the entry point {name} returns has no {', '.join(missing)}")
    checked = cast("PoseModel", model)
    if checked.precision not in get_args(Precision):
        raise WeightsRejected(
            f"the entry point {name} computes in {checked.precision!r}, which is none of "
            f"{', '.join(get_args(Precision))}"
        )
    return checked


def _entry_point(name: str) -> metadata.EntryPoint:
    found = tuple(metadata.entry_points(group=GROUP, name=name))
    if len(found) == 1:
        return found[0]
    known = ", ".join(sorted(point.name for point in metadata.entry_points(group=GROUP))) or "none"
    said = "there is no" if not found else "more than one distribution brings the"
    raise NotInstalled(f"{said} entry point {name!r} of {GROUP} on {_here()}; there are: {known}")


def _here() -> str:
    """The machine's name: of many nodes one may lack what the others have."""
    return platform.node() or "this machine"


def _identity(point: metadata.EntryPoint) -> Installed:
    distribution: Any = point.dist
    if distribution is None:
        raise WeightsRejected(f"no distribution brings the entry point {point.name}")
    files = _files(distribution)
    module = point.module.replace(".", "/")
    if not any(name in files for name in (f"{module}.py", f"{module}/__init__.py")):
        raise WeightsRejected(
            f"{point.module} is not among the files of {distribution.name} {distribution.version}: it must be "
            "installed from a wheel, not as editable"
        )
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        try:
            content = Path(path.locate()).read_bytes()
        except OSError as error:
            raise WeightsRejected(f"{name} of {distribution.name} cannot be read: {error.strerror}") from error
        digest.update(f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode())
    return Installed(
        name=point.name, distribution=distribution.name, version=distribution.version, sha256=digest.hexdigest()
    )


def _files(distribution: metadata.Distribution) -> dict[str, metadata.PackagePath]:
    """Path → file, of what is the same wherever the wheel is installed: of its metadata the entry points alone.

    Scripts outside (`../../bin`) name the interpreter of the machine, and so are left out.
    """
    return {
        path.as_posix(): path
        for path in distribution.files or ()
        if path.suffix not in _COMPILED
        and path.parts[0] != ".."
        and (not path.parts[0].endswith(_METADATA) or path.name == _NAMED)
    }
