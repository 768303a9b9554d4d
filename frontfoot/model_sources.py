"""Where the weights of a model may come from, as local files for as long as they are read."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from inference.errors import WeightsRejected
from models.artifacts import ArtifactStore
from models.errors import NotFound

_VENDORS_NAME = re.compile(r"yolo(v8|11|26)[nsmlx]-pose(-p6)?(\.pt)?")


@contextmanager
def local_source(source: str, store: ArtifactStore) -> Iterator[Path]:
    """A path, `s3://BUCKET/KEY` of the store, `package:NAME/FILE`, or a name of Ultralytics', as a file.

    Of a `.xml` its `.bin` lies beside it. Raises WeightsRejected, what the store raises, and SourceUnavailable.
    """
    if source.startswith("package:"):
        yield _packaged(source.removeprefix("package:"))
    elif source.startswith("s3://"):
        with tempfile.TemporaryDirectory(prefix="frontfoot-source-") as folder:
            yield _fetched(source, store, Path(folder))
    elif _VENDORS_NAME.fullmatch(source) and not Path(source).exists():
        from inference.vendors import fetch_weights

        with tempfile.TemporaryDirectory(prefix="frontfoot-source-") as folder:
            yield fetch_weights(source if source.endswith(".pt") else f"{source}.pt", Path(folder))
    else:
        path = Path(source)
        if not path.is_file():
            raise WeightsRejected(f"no such file: {source}")
        yield path


def _packaged(place: str) -> Path:
    package, _, file = place.partition("/")
    # Finding a top-level package runs none of its code; a dotted name would import what is above it.
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise WeightsRejected(f"there is no installed package {package!r}")
    root = Path(found.submodule_search_locations[0]).resolve()
    path = (root / file).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise WeightsRejected(f"the package {package} holds no file {file!r}")
    return path


def _fetched(source: str, store: ArtifactStore, folder: Path) -> Path:
    bucket, _, key = source.removeprefix("s3://").partition("/")
    if bucket not in store.buckets:
        raise WeightsRejected(f"{bucket} is none of the buckets that may be read: {', '.join(sorted(store.buckets))}")
    name = PurePosixPath(key).name or "weights"
    keys = [key, str(PurePosixPath(key).with_suffix(".bin"))] if name.endswith(".xml") else [key]
    for one in keys:
        try:
            opened = store.open(bucket, one)
        except NotFound:
            raise WeightsRejected(f"there is no s3://{bucket}/{one}") from None
        with (folder / PurePosixPath(one).name).open("wb") as file:
            file.writelines(opened.chunks)
    return folder / name
