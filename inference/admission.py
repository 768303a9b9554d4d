"""A model's file → what workers load of it, checked; or the reason why it is refused, and nothing is left of it."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from inference import artifact, contract, entry_points, inspection, parity, sandbox
from inference.artifact import NETWORK, Manifest, Precision
from inference.catalog import DEFAULT_MODEL, ModelSpec, RegisteredModel, catalogued
from inference.errors import WeightsRejected
from inference.estimator import Estimator
from inference.formats import Format, format_of
from inference.formats.ultralytics_pt import EXAMPLE
from inference.parity import Reference
from inference.poses import Skeleton
from inference.skeletons import SKELETONS

Kind = Format | Literal["entrypoint"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Declaration:
    """What the operator says of a model."""

    name: str
    version: str
    sha256: str
    skeleton: Skeleton
    licence: str | None = None
    format: Format | None = None
    """None: by the file's name."""
    precision: Precision | None = None
    """The only one that it is to run in; None: the fastest that a machine has."""
    reference: Reference | None = None
    """What it is compared with."""

    def __post_init__(self) -> None:
        """A precision of its own comes with figures; raises ValueError."""
        if (self.precision is None) != (self.reference is None):
            raise ValueError("a precision goes with the version that it was made from, and that with a precision")


@dataclass(frozen=True, kw_only=True, slots=True)
class Admitted:
    """What is kept of a model."""

    format: Kind
    content: bytes
    """The artifact."""
    sha256: str
    """Of `content`."""
    input_sizes: dict[str, Any]
    licence: str | None
    report: dict[str, Any]
    """What conversion and contract measured."""


def admit(source: Path, declared: Declaration, *, threads: int | None = None) -> Admitted:
    """Check a file's checksum, convert it in the sandbox, and hold the result against the keypoint contract.

    Raises WeightsRejected, ContractBroken and BackendUnavailable with the reason.
    """
    kind = declared.format or format_of(source)
    with tempfile.TemporaryDirectory(prefix="frontfoot-admission-") as name:
        folder, scratch = Path(name) / "networks", Path(name) / "scratch"
        folder.mkdir()
        scratch.mkdir()
        private = _private_copy(source, kind, declared.sha256, scratch)
        if kind == "ultralytics":
            np.save(scratch / EXAMPLE, inspection.example(), allow_pickle=False)
        keypoints = len(declared.skeleton.keypoint_names)
        try:
            sandbox.convert(private, kind, keypoints=keypoints, folder=folder, scratch=scratch)
        except WeightsRejected as error:
            raise WeightsRejected(f"{source.name}: {error.message}") from None
        if not (folder / NETWORK).is_file():
            raise WeightsRejected(f"{source.name}: its conversion left no network")
        manifest = inspection.look(folder, source.name, declared.skeleton)
        quantised = _quantised(folder, source.name, declared.precision)
        # Neighbouring bins differ by less than bf16 can say, so a top-down network is never run in it unasked.
        pinned = declared.precision or ("fp32" if manifest.head == "simcc" else None)
        spec = _spec(folder, replace(manifest, precision=pinned), declared, scratch)
        report = {
            **_measured(spec, declared, scratch, threads),
            "parity_px": inspection.parity(spec, folder, scratch, source.name),
            "torch_parity_px": inspection.torch_parity(spec, scratch, source.name),
            "head": manifest.head,
            "converted_with": {vendor: version(vendor) for vendor in ("openvino", "ultralytics", "torch")},
        }
        if quantised:
            report["quantised_layers"] = quantised
        if manifest.head == "simcc":
            report["people_by"] = f"{DEFAULT_MODEL}@{catalogued(DEFAULT_MODEL).version}"
        return _admitted(spec, kind, declared, report)


def admit_entry_point(name: str, declared: Declaration, *, threads: int | None = None) -> Admitted:
    """Compare the checksum of what brings an entry point, load it, and hold it against the keypoint contract.

    Raises WeightsRejected, ContractBroken and BackendUnavailable with the reason.
    """
    installed = entry_points.find(name)
    if installed.sha256 != declared.sha256:
        raise WeightsRejected(
            f"{installed.distribution} {installed.version} has the checksum {installed.sha256}, not {declared.sha256}"
        )
    model = entry_points.load(installed, threads or 1)
    if SKELETONS.get(model.skeleton) != declared.skeleton:
        raise WeightsRejected(f"{name} says that its skeleton is {model.skeleton!r}, not {declared.skeleton.name}")
    if declared.precision not in {None, model.precision}:
        raise WeightsRejected(f"{name} says that it computes in {model.precision}, not {declared.precision}")
    manifest = Manifest(head="rows", one_at_a_time=False, coarse=False, precision=model.precision, installed=installed)
    declared = replace(declared, licence=declared.licence or model.licence)
    del model  # two at once may be more than there is room for
    with tempfile.TemporaryDirectory(prefix="frontfoot-admission-") as folder:
        spec = _spec(None, manifest, declared, Path(folder))
        report = _measured(spec, declared, Path(folder), threads)
        report["installed"] = {"distribution": installed.distribution, "version": installed.version}
        return _admitted(spec, "entrypoint", declared, report)


def measure(spec: ModelSpec, cache_dir: Path, *, threads: int | None = None) -> dict[str, Any]:
    """What the keypoint contract measures of a model, in its own precision or else in fp32. Raises ContractBroken."""
    estimator = Estimator.load_precise(spec, threads=threads, cache_dir=cache_dir)
    try:
        return {"contract": contract.check(estimator)}
    finally:
        estimator.close()


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
    suffix = {"ultralytics": ".pt", "onnx": ".onnx", "openvino": ".xml", "simcc": ".onnx"}[kind]
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


def _quantised(folder: Path, name: str, precision: Precision | None) -> str | None:
    """How many layers run in 8 bits, of how many. Raises WeightsRejected where that is not what was declared."""
    quantised, layers = inspection.quantised(folder)
    if (precision == "int8") != (quantised > 0):
        raise WeightsRejected(
            f"{name} quantises {quantised} of its layers: "
            + ("what is quantised is registered with --precision int8" if quantised else "it is no int8 network")
        )
    return f"{quantised} of {layers}" if quantised else None


def _spec(folder: Path | None, manifest: Manifest, declared: Declaration, scratch: Path) -> ModelSpec:
    """What a worker would load of it."""
    content = artifact.pack(folder, manifest)
    return RegisteredModel(
        name=declared.name,
        version=declared.version,
        sha256=declared.sha256,
        skeleton=declared.skeleton,
        licence=declared.licence or "unknown",
        artifact_sha256=hashlib.sha256(content).hexdigest(),
        content=content,
    ).spec(scratch)


def _measured(spec: ModelSpec, declared: Declaration, scratch: Path, threads: int | None) -> dict[str, Any]:
    """Hold it against the contract, and against what it was made from."""
    report = measure(spec, scratch, threads=threads)
    if spec.precision is not None:
        report["precision"] = spec.precision
    if declared.reference is not None:
        report["parity"] = parity.measure(spec, declared.reference, scratch, threads=threads)
    return report


def _admitted(spec: ModelSpec, kind: Kind, declared: Declaration, report: dict[str, Any]) -> Admitted:
    if spec.artifact is None:
        raise ValueError("a model without an artifact")
    return Admitted(
        format=kind,
        content=spec.artifact.path.read_bytes(),
        sha256=spec.artifact.sha256,
        input_sizes={"multiple_of": 32, "batch": 1 if spec.artifact.manifest.one_at_a_time else "any"},
        licence=declared.licence,
        report=report,
    )
