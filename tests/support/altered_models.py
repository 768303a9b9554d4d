"""Pose models made of the real weights: keypoints in another order, more of them, noise; and as other formats."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.catalog import DEFAULT_MODEL, resolve
from inference.vendors import quiet_ultralytics


def sha256(*paths: Path) -> str:
    """Of the files one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def with_keypoints(path: Path, order: Sequence[int | Mapping[int, float]]) -> Path:
    """The real weights, saved again, with a keypoint for each of `order`: the one of that place in COCO-17.

    Or a point on the line through several, such as `{15: 1.25, 13: -0.25}`; the shares sum to 1, and the first one's
    confidence is the point's. A keypoint's place is linear in what the head's last layers say, so it is exact.
    """
    quiet_ultralytics(path.parent / "ultralytics")
    import torch
    from ultralytics.nn import tasks

    saved: dict[str, Any] = tasks.torch_safe_load(str(resolve(DEFAULT_MODEL).weights))[0]
    network = saved["model"]
    head = network.model[-1]
    mixed = torch.zeros(3 * len(order), 51)
    for row, entry in enumerate(order):
        shares = {entry: 1.0} if isinstance(entry, int) else entry
        for keypoint, share in shares.items():
            mixed[3 * row, 3 * keypoint] = mixed[3 * row + 1, 3 * keypoint + 1] = share
        mixed[3 * row + 2, 3 * next(iter(shares)) + 2] = 1.0
    for branch in head.cv4:
        last = branch[-1]
        last.weight = torch.nn.Parameter(torch.einsum("oi,i...->o...", mixed, last.weight.data.float()))
        last.bias = torch.nn.Parameter(mixed @ last.bias.data.float())
        last.out_channels = len(mixed)
    network.float()
    head.nk, head.kpt_shape = len(mixed), (len(order), 3)
    network.kpt_shape = [len(order), 3]
    network.yaml["kpt_shape"] = [len(order), 3]
    torch.save(saved, path)
    return path


def with_noise(path: Path, size: float) -> Path:
    """The real weights, each of the keypoint head's last layers moved by Gaussian noise of `size` of its own spread."""
    quiet_ultralytics(path.parent / "ultralytics")
    import torch
    from ultralytics.nn import tasks

    saved: dict[str, Any] = tasks.torch_safe_load(str(resolve(DEFAULT_MODEL).weights))[0]
    chance = torch.Generator().manual_seed(7)
    network = saved["model"].float()
    for branch in network.model[-1].cv4:
        last = branch[-1].weight
        noise = torch.randn(last.shape, generator=chance)
        last.data += size * last.data.std() * noise
    torch.save(saved, path)
    return path


def untrained(path: Path, architecture: str) -> Path:
    """A pose model of another architecture, with random weights: it finds nobody."""
    quiet_ultralytics(path.parent / "ultralytics")
    import torch
    from ultralytics.nn import tasks

    torch.manual_seed(11)
    network = tasks.PoseModel(architecture, nc=1, data_kpt_shape=[17, 3], verbose=False)
    network.names = {0: "person"}
    torch.save({"model": network, "train_args": {}}, path)
    return path


def exported(folder: Path, fmt: str, **options: object) -> Path:
    """The real weights as Ultralytics' own exporter writes them."""
    quiet_ultralytics(folder / "ultralytics")
    from ultralytics import YOLO

    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "yolo11n-pose.pt"
    shutil.copyfile(resolve(DEFAULT_MODEL).weights, weights)
    with contextlib.chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the vendor's exporter uses what torch will drop
        made = Path(YOLO(str(weights)).export(format=fmt, verbose=False, **options))
    return next(made.glob("*.xml")) if made.is_dir() else made
