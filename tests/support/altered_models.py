"""Pose models made of the real weights: keypoints in another order, more of them, noise; and as other formats."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import warnings
from collections.abc import Sequence
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


def with_keypoints(path: Path, order: Sequence[int]) -> Path:
    """The real weights, saved again, with a keypoint for each of `order`: the one of that place in COCO-17."""
    quiet_ultralytics(path.parent / "ultralytics")
    import torch
    from ultralytics.nn import tasks

    saved: dict[str, Any] = tasks.torch_safe_load(str(resolve(DEFAULT_MODEL).weights))[0]
    network = saved["model"]
    head = network.model[-1]
    rows = [3 * keypoint + part for keypoint in order for part in range(3)]
    for branch in head.cv4:
        last = branch[-1]
        last.weight = torch.nn.Parameter(last.weight.data[rows].clone())
        last.bias = torch.nn.Parameter(last.bias.data[rows].clone())
        last.out_channels = len(rows)
    head.nk, head.kpt_shape = len(rows), (len(order), 3)
    network.kpt_shape = [len(order), 3]
    network.yaml["kpt_shape"] = [len(order), 3]
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
