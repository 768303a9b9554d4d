"""A model's file → what workers load of it, checked; or the reason why it is refused, and nothing is left of it."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from inference import artifact, contract, sandbox
from inference.artifact import COARSE, NETWORK, Head, Manifest
from inference.backends.openvino_backend import OpenVinoBackend
from inference.catalog import ModelSpec, RegisteredModel
from inference.contract import SAME_PX
from inference.errors import WeightsRejected
from inference.estimator import Estimator
from inference.formats import Format, format_of
from inference.formats.ultralytics_pt import ANSWER, EXAMPLE
from inference.golden import photographs
from inference.poses import FloatArray, Skeleton
from inference.preprocess import Letterbox
from inference.vendors import quiet_openvino

PARITY_PX = 0.5
"""By how much a converted network may place what counts elsewhere than the one that it was made from."""
_CANDIDATE = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Declaration:
    """What the operator says of a file."""

    name: str
    version: str
    sha256: str
    skeleton: Skeleton
    licence: str = "unknown"
    format: Format | None = None
    """None: by the file's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Admitted:
    """What is kept of a model."""

    format: Format
    content: bytes
    """The artifact."""
    sha256: str
    """Of `content`."""
    input_sizes: dict[str, Any]
    report: dict[str, Any]
    """What conversion and contract measured."""


def admit(source: Path, declared: Declaration, *, threads: int | None = None) -> Admitted:
    """Check a file's checksum, convert it in the sandbox, and hold the result against the keypoint contract.

    Raises WeightsRejected and ContractBroken with the reason.
    """
    kind = declared.format or format_of(source)
    with tempfile.TemporaryDirectory(prefix="frontfoot-admission-") as name:
        folder, scratch = Path(name) / "networks", Path(name) / "scratch"
        folder.mkdir()
        scratch.mkdir()
        private = _private_copy(source, kind, declared.sha256, scratch)
        if kind == "ultralytics":
            np.save(scratch / EXAMPLE, _example(), allow_pickle=False)
        keypoints = len(declared.skeleton.keypoint_names)
        try:
            sandbox.convert(private, kind, keypoints=keypoints, folder=folder, scratch=scratch)
        except WeightsRejected as error:
            raise WeightsRejected(f"{source.name}: {error.message}") from None
        if not (folder / NETWORK).is_file():
            raise WeightsRejected(f"{source.name}: its conversion left no network")
        manifest = _look(folder, source.name, declared)
        content = artifact.pack(folder, manifest)
        digest = hashlib.sha256(content).hexdigest()
        spec = RegisteredModel(
            name=declared.name,
            version=declared.version,
            sha256=declared.sha256,
            skeleton=declared.skeleton,
            licence=declared.licence,
            artifact_sha256=digest,
            content=content,
        ).spec(scratch)
        return Admitted(
            format=kind,
            content=content,
            sha256=digest,
            input_sizes={"multiple_of": 32, "batch": 1 if manifest.one_at_a_time else "any"},
            report={
                **measure(spec, scratch, threads=threads),
                "parity_px": _parity(spec, folder, scratch, source.name),
                "head": manifest.head,
                "converted_with": {vendor: version(vendor) for vendor in ("openvino", "ultralytics", "torch")},
            },
        )


def measure(spec: ModelSpec, cache_dir: Path, *, threads: int | None = None) -> dict[str, Any]:
    """What the keypoint contract measures of a model, in fp32 on OpenVINO. Raises ContractBroken."""
    backend = OpenVinoBackend(spec, precision="fp32", threads=threads, cache_dir=cache_dir)
    try:
        return {"contract": contract.check(Estimator(backend, spec, skeleton=spec.skeleton))}
    finally:
        backend.close()


def checksum(source: Path, kind: Format) -> str:
    """SHA-256 of a file; of a `.xml` that of it and its `.bin` one after the other. Raises WeightsRejected."""
    digest = hashlib.sha256()
    for path in _files(source, kind):
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise WeightsRejected(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _files(source: Path, kind: Format) -> list[Path]:
    return [source, source.with_suffix(".bin")] if kind == "openvino" else [source]


def _private_copy(source: Path, kind: Format, sha256: str, scratch: Path) -> Path:
    """The very bytes that are checked, where nobody else changes them: in the sandbox's own folder."""
    suffix = {"ultralytics": ".pt", "onnx": ".onnx", "openvino": ".xml"}[kind]
    private = scratch / f"weights{suffix}"
    for path in _files(source, kind):
        try:
            shutil.copyfile(path, private if path == source else private.with_suffix(path.suffix))
        except OSError as error:
            raise WeightsRejected(f"{path} cannot be read: {error.strerror}") from error
    found = checksum(private, kind)
    if found != sha256:
        raise WeightsRejected(f"{source.name} has the checksum {found}, not {sha256}")
    return private


def _look(folder: Path, name: str, declared: Declaration) -> Manifest:
    """What the network answers to two pictures, alone and together. Raises WeightsRejected where that is no pose."""
    quiet_openvino()
    import openvino

    compiled: Any = openvino.Core().compile_model(folder / NETWORK, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def answer(pictures: FloatArray) -> FloatArray:
        return np.array(compiled([pictures])[0])  # a copy: the next answer lies in the same place

    pictures = [_example(), np.ascontiguousarray(_example()[..., ::-1])]
    alone = [answer(picture) for picture in pictures]
    head = _head(alone[0].shape, name, declared.skeleton)
    try:
        together = answer(np.concatenate(pictures))
    except RuntimeError:
        one_at_a_time = True
    else:
        # With suppression inside, an export that was traced with one picture leaves the others empty.
        one_at_a_time = len(together) != 2 or not np.allclose(together, np.concatenate(alone), atol=SAME_PX)
    return Manifest(head=head, one_at_a_time=one_at_a_time, coarse=(folder / COARSE).is_file())


def _head(shape: tuple[int, ...], name: str, skeleton: Skeleton) -> Head:
    keypoints = len(skeleton.keypoint_names)
    if len(shape) == 3 and shape[:2] == (1, 5 + 3 * keypoints):
        return "raw"
    if len(shape) == 3 and (shape[0], shape[2]) == (1, 6 + 3 * keypoints):
        return "rows"
    raise WeightsRejected(
        f"{name} answers one picture with {shape}; {skeleton.name} has {keypoints} keypoints, which would be "
        f"(1, {5 + 3 * keypoints}, candidates) or, with suppression inside, (1, people, {6 + 3 * keypoints})"
    )


def _example() -> FloatArray:
    """(1, 3, H, W) in 0..1: a golden photograph as a network takes it."""
    image = photographs()[0].image
    boxed = Letterbox.fit(image.shape[1], image.shape[0]).apply(image)
    scaled: FloatArray = np.ascontiguousarray(boxed.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    return scaled


def _parity(spec: ModelSpec, folder: Path, scratch: Path, name: str) -> float | None:
    """Pixels by which boxes and keypoints of candidates moved when the network was converted; None: nothing to compare.

    Raises WeightsRejected above `PARITY_PX`.
    """
    if not (folder / ANSWER).is_file():
        return None
    before = np.load(folder / ANSWER, allow_pickle=False)
    backend = OpenVinoBackend(spec, precision="fp32", threads=None, cache_dir=scratch)
    image = photographs()[0].image
    after = backend.infer(Letterbox.fit(image.shape[1], image.shape[0]).apply(image)[None])
    backend.close()
    if before.shape != after.shape:
        raise WeightsRejected(f"{name} answers {before.shape} before its conversion and {after.shape} after it")
    counts = (before[0, 4] > _CANDIDATE) | (after[0, 4] > _CANDIDATE)
    places = [channel for channel in range(before.shape[1]) if channel < 4 or (channel >= 5 and (channel - 5) % 3 < 2)]
    moved = np.abs(before[0][places] - after[0][places])[:, counts]
    largest = float(moved.max()) if moved.size else 0.0
    if largest > PARITY_PX:
        raise WeightsRejected(f"{name} places candidates {largest:.2f} px elsewhere after its conversion")
    return round(largest, 5)
