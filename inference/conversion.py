"""Verified weights → something that a runtime loads. Converting is done once and cached by checksum and converter."""

from __future__ import annotations

import copy
import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.artifact import COARSE, NETWORK, TOP_DOWN, unpacked
from inference.catalog import ModelSpec, read_weights
from inference.errors import WeightsRejected
from inference.vendors import quiet_openvino, quiet_ultralytics

if TYPE_CHECKING:
    import torch

CONVERTER = "2"
"""Raised when this module would make another file of the same weights with the same vendors."""

_IR = {True: NETWORK, False: COARSE}
"""By whether the finest level of the head is in it."""
_MANIFEST = "manifest.json"
_log = logging.getLogger(__name__)


def load_torch_model(spec: ModelSpec, cache_dir: Path) -> torch.nn.Module:
    """See `torch_model`: that of a packaged model, or of an operator's file. Raises WeightsRejected."""
    return torch_model(read_weights(spec), spec.name, len(spec.skeleton.keypoint_names), cache_dir)


def torch_model(content: bytes, name: str, keypoints: int, scratch: Path) -> torch.nn.Module:
    """The fused fp32 network on the CPU, whose forward maps (N, 3, H, W) in 0..1 to raw (N, 5 + 3K, A).

    Of a model with two heads (YOLO26) it is the one-to-many head, whose candidates `postprocess` tells from each other;
    the other one was trained on what this one finds. Vendors write under `scratch`. Raises WeightsRejected if the
    file holds anything but known classes, or is another kind of model.
    """
    quiet_ultralytics(scratch / "ultralytics")
    from ultralytics.nn import tasks as vendor

    tasks: Any = vendor
    # The vendor loads by path only, so it gets a private copy of the very bytes that were checked.
    with tempfile.TemporaryDirectory(prefix="frontfoot-weights-") as folder:
        private = Path(folder) / "weights.pt"
        private.write_bytes(content)
        try:
            network, _ = tasks.load_checkpoint(private)
        except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
            said = str(error).strip().partition("\n")[0].removeprefix("ERROR ❌️ ").replace(str(private), "it")
            raise WeightsRejected(f"{name} holds no usable Ultralytics model: {said}") from error
    if not isinstance(network, tasks.PoseModel) or list(network.kpt_shape) != [keypoints, 3] or len(network.names) != 1:
        raise WeightsRejected(f"{name} is not a pose model of one class and {keypoints} keypoints")
    return for_inference(network, name)


def for_inference(network: Any, name: str) -> torch.nn.Module:
    """Fuse one of Ultralytics' pose models, as `torch_model` says. Raises WeightsRejected."""
    head = network.model[-1]
    head.end2end = False
    network.fuse(verbose=False)  # also drops the head that is not used
    if head.end2end:
        raise WeightsRejected(f"{name} was saved with its one-to-one head alone; save it unfused")
    head.export = True  # hands out the decoded tensor alone
    model: torch.nn.Module = network
    return model


def without_finest_level(model: torch.nn.Module) -> torch.nn.Module:
    """A copy of `load_torch_model`'s network whose head looks at all levels but the finest (every 8 pixels).

    That level finds what is small. Of people as large as our crops show them it never gave the best pose (0 of 540
    crops measured), and it is a quarter of the network's time. What the other levels say stays exactly the same.
    """
    coarse: Any = copy.deepcopy(model)
    network: torch.nn.Module = coarse
    head = coarse.model[-1]
    if head.nl < 2:
        return network
    head.nl -= 1
    head.f, head.stride = head.f[1:], head.stride[1:]
    for branch in ("cv2", "cv3", "cv4", "cv4_kpts"):  # the last one only in YOLO26
        if hasattr(head, branch):
            setattr(head, branch, getattr(head, branch)[1:])
    return network


@dataclass(frozen=True, kw_only=True, slots=True)
class Networks:
    """Files that OpenVINO reads."""

    fine: Path
    coarse: Path | None
    """That of `without_finest_level`; None: the fine one serves for both."""
    top_down: Path | None = None
    """What poses the crops of the people that the others find."""


@contextmanager
def openvino_networks(spec: ModelSpec, cache_dir: Path) -> Iterator[Networks]:
    """The networks of a model while the block runs: a registered one's from its artifact, others' converted.

    Raises WeightsRejected.
    """
    if spec.artifact is None:
        yield Networks(
            fine=openvino_model(spec, cache_dir, fine=True), coarse=openvino_model(spec, cache_dir, fine=False)
        )
        return
    folder = unpacked(spec.artifact)
    try:
        coarse = folder / COARSE if spec.artifact.manifest.coarse else None
        top_down = folder / TOP_DOWN if spec.head == "simcc" else None
        yield Networks(fine=folder / NETWORK, coarse=coarse, top_down=top_down)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def openvino_model(spec: ModelSpec, cache_dir: Path, *, fine: bool = True) -> Path:
    """The IR file (`.xml` beside its `.bin`) of these weights, converted now or taken from the cache.

    Without `fine` it is that of `without_finest_level`.

    The weights' checksum is compared either way. Processes that convert at once wait for the first; what is in the
    cache is whole and unchanged since it was written, or it is converted again. Raises WeightsRejected.
    """
    read_weights(spec)
    folder = cache_dir / "openvino" / spec.sha256 / _converter_version()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent / f"{folder.name}.lock"):
        if not _intact(folder):
            _log.info("Converting weights for OpenVINO", extra={"model": spec.name, "sha256": spec.sha256})
            _convert(spec, cache_dir, folder)
    return folder / _IR[fine]


def _converter_version() -> str:
    vendors = "-".join(f"{name}{version(name)}" for name in ("openvino", "ultralytics", "torch"))
    return f"{CONVERTER}-{vendors}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock among processes and threads; the system releases it should this process die."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.name != _MANIFEST)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _intact(folder: Path) -> bool:
    """Whether the folder holds exactly what was written into it."""
    try:
        manifest: object = json.loads((folder / _MANIFEST).read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return manifest == _checksums(folder)


def _convert(spec: ModelSpec, cache_dir: Path, folder: Path) -> None:
    """Write the IR beside `folder` and rename it into place as the last act."""
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=folder.parent))
    try:
        model = load_torch_model(spec, cache_dir)
        write_ir(without_finest_level(model), staging / _IR[False])
        write_ir(model, staging / _IR[True])
        (staging / _MANIFEST).write_text(json.dumps(_checksums(staging)))
        if folder.exists():
            shutil.rmtree(folder)  # damaged, and nobody else is here: the lock is ours
        os.replace(staging, folder)  # noqa: PTH105  # Path.replace speaks of files; this renames a folder
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_ir(model: torch.nn.Module, path: Path) -> None:
    """Trace the network for any batch and size, and save it with fp32 weights."""
    import torch

    quiet_openvino()
    import openvino

    trace: Any = torch.jit.trace
    network: Any = model
    network.model[-1].dynamic = True  # anchors are computed from the input's size, not recorded as constants
    example = torch.zeros(2, 3, 384, 640)
    with warnings.catch_warnings(), torch.inference_mode():
        # The vendor's own exporter traces too: torch.export cannot take this head with three dynamic sizes.
        warnings.simplefilter("ignore", FutureWarning)
        network(example)
        traced = trace(network, example, strict=False, check_trace=False)
        openvino.save_model(openvino.convert_model(traced, example_input=example), path, compress_to_fp16=False)
