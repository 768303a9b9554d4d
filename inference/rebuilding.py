"""A registered network for torch, built anew: from an architecture that is known here by name, and from plain tensors.

Nothing that came out of the sandbox is unpickled, evaluated or looked up by name in a vendor: its answer chooses among
Ultralytics' own descriptions, which come with the installed package, and fills what was built from one with numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from inference import tensors
from inference.artifact import Architecture, Family, Scale, stored_tensors
from inference.catalog import ModelSpec
from inference.conversion import for_inference
from inference.errors import BackendUnavailable
from inference.vendors import quiet_ultralytics

if TYPE_CHECKING:
    import torch

_DESCRIPTIONS: dict[Family, str] = {
    "yolov8-pose": "v8/yolov8-pose.yaml",
    "yolov8-pose-p6": "v8/yolov8-pose-p6.yaml",
    "yolo11-pose": "11/yolo11-pose.yaml",
    "yolo26-pose": "26/yolo26-pose.yaml",
}
"""Among the configurations that come with Ultralytics."""


def rebuilt(spec: ModelSpec, scratch: Path) -> torch.nn.Module:
    """The network of a registered version, as `conversion.torch_model` has it. Vendors write under `scratch`.

    Raises BackendUnavailable where nothing is kept that torch could load, and WeightsRejected where the tensors are
    not the network's.
    """
    if spec.artifact is None or spec.artifact.manifest.torch is None:
        raise BackendUnavailable(
            f"{spec.name}@{spec.version} keeps nothing that torch could load: it is no .pt of Ultralytics' own "
            "architectures, or was registered by 0.7.0 or older. Register such a .pt anew, as another version; "
            "anything else runs with FRONTFOOT_BACKEND=openvino, on the processor"
        )
    network = _built(spec.artifact.manifest.torch, len(spec.skeleton.keypoint_names), scratch)
    read = tensors.read(stored_tensors(spec.artifact), _shapes(network))
    return _with_tensors(network, read)


def recognised(network: torch.nn.Module, scratch: Path) -> Architecture | None:
    """Which architecture builds such a network as `conversion.torch_model` returned; None: none that is known."""
    described: Any = getattr(network, "yaml", None)
    if not isinstance(described, dict) or described.get("activation") is not None:
        return None
    layers = _layers(described)
    family = next((one for one in _DESCRIPTIONS if _layers(_description(one, scratch)) == layers), None)
    scale: Any = described.get("scale")
    if family is None or scale not in get_args(Scale):
        return None
    architecture = Architecture(family=family, scale=scale)
    keypoints: Any = network.kpt_shape
    # A head that was cut or widened after it was built still calls itself by the same name.
    return architecture if _shapes(_built(architecture, keypoints[0], scratch)) == _shapes(network) else None


def _built(architecture: Architecture, keypoints: int, scratch: Path) -> torch.nn.Module:
    """The fused network with random weights."""
    described = _description(architecture.family, scratch)
    from ultralytics.nn import tasks as vendor

    tasks: Any = vendor
    network = tasks.PoseModel(
        {**described, "scale": architecture.scale}, nc=1, data_kpt_shape=[keypoints, 3], verbose=False
    )
    return for_inference(network.eval(), architecture.family)


def _description(family: Family, scratch: Path) -> dict[str, Any]:
    quiet_ultralytics(scratch / "ultralytics")
    from ultralytics import utils

    vendor: Any = utils
    # By its full path: a name alone is looked for in the working directory first.
    described: dict[str, Any] = vendor.YAML.load(vendor.ROOT / "cfg" / "models" / _DESCRIPTIONS[family])
    return described


def _layers(described: Mapping[str, Any]) -> list[object]:
    """What a description says of the layers; classes, keypoints and the table of scales differ among trainings."""
    return [described.get(part) for part in ("backbone", "head")]


def _shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _with_tensors(network: torch.nn.Module, read: Mapping[str, Any]) -> torch.nn.Module:
    import torch

    network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in read.items()})
    return network
