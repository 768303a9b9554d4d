"""What other people's programs make of the exports.

COCO by Ultralytics' own converter, which is installed. No reader of .trc is: there the rules are those by which OpenSim
4 reads one (`OpenSim/Common/TRCFileAdapter.cpp` and `FileAdapter.cpp`), written here anew.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reports
from numpy.typing import NDArray

from inference.poses import COCO_17, PoseSequence
from inference.vendors import quiet_ultralytics
from pipeline.exports.coco import coco_document
from pipeline.exports.trc import MARKERS, trc_text

Array = NDArray[np.float64]


def poses() -> PoseSequence:
    """Four frames: nobody in the second, no shoulder (so no neck, the last marker) and an unsure wrist in the third."""
    made = reports.poses([0.0, 0.04, 0.08, 0.12], indices=[0, 1, 5, 6], unseen=[1], box=(50, 16, 80.5, 80))
    keypoints, confidence = made.keypoints.copy(), made.confidence.copy()
    keypoints[2, COCO_17.index("left_shoulder")] = np.nan
    confidence[2, COCO_17.index("left_shoulder")] = np.nan
    confidence[2, COCO_17.index("right_wrist")] = 0.2
    return replace(made, keypoints=keypoints, confidence=confidence)


@pytest.mark.parametrize("made", [poses(), reports.with_feet(poses())], ids=["17 keypoints", "26 keypoints"])
def test_ultralytics_reads_the_coco_file(tmp_path: Path, made: PoseSequence) -> None:
    quiet_ultralytics(tmp_path / "settings")
    from ultralytics.data.converter import convert_coco

    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "clip.json").write_text(json.dumps(coco_document(made)))
    convert_coco(str(tmp_path / "annotations"), str(tmp_path / "out"), use_keypoints=True)
    labels = {path.stem: path.read_text() for path in (tmp_path / "out" / "labels" / "clip").iterdir()}
    assert sorted(labels) == ["000000", "000005", "000006"]
    size = np.array(made.frame_size)
    for row, stem in ((0, "000000"), (2, "000005"), (3, "000006")):
        kind, *numbers = map(float, labels[stem].split())
        assert kind == 0  # its person
        low, high = made.boxes[row, :2], made.boxes[row, 2:]
        assert numbers[:4] == pytest.approx([*((low + high) / 2 / size), *((high - low) / size)], abs=1e-4)
        read = np.reshape(numbers[4:], (-1, 3))
        assert len(read) == len(made.skeleton.keypoint_names)
        seen = ~np.isnan(made.keypoints[row, :, 0])
        assert read[seen, :2] * size == pytest.approx(made.keypoints[row, seen], abs=0.01)
        assert read[~seen].tolist() == [[0, 0, 0]] * int((~seen).sum())
        unsure = 1.0 if row == 2 else 2.0
        assert read[COCO_17.index("right_wrist"), 2] == unsure


def test_opensim_reads_the_trc() -> None:
    labels, times, places = opensim(trc_text(poses(), slowmo_factor=2.0, metres_per_pixel=None, name="a.trc"))
    assert labels == list(MARKERS)
    assert times == [0.0, 0.02, 0.04, 0.06]
    shoulder, neck, wrist = (labels.index(name) for name in ("LShoulder", "Neck", "RWrist"))
    assert np.isnan(places[1]).all()
    assert np.isnan(places[2, [shoulder, neck, wrist]]).all()
    known = np.delete(np.arange(15), [shoulder, neck, wrist])
    assert np.isfinite(places[[0, 3]]).all()
    assert np.isfinite(places[2, known]).all()
    x, y = poses().keypoint("right_ankle")[0]
    assert places[0, labels.index("RAnkle")] == pytest.approx([x, 96 - y, 0.0], abs=1e-3)


def opensim(text: str) -> tuple[list[str], list[float], Array]:
    """Marker names, times (T,) and places (T, markers, 3); a place with an empty part is NaN."""
    kind, *lines = text.splitlines()
    assert kind.split()[0] == "PathFileType"
    keys, values, labels, axes, *rows = [fields(line) for line in lines]
    wanted = "DataRate CameraRate NumFrames NumMarkers Units OrigDataRate OrigDataStartFrame OrigNumFrames"
    assert [key for key in keys if key] == wanted.split()
    facts = dict(zip(wanted.split(), [value for value in values if value], strict=True))
    labels = [label for label in labels if label]
    count = int(facts["NumMarkers"])
    assert len(labels) == count + 2
    assert labels[:2] == ["Frame#", "Time"]
    assert [axis for axis in axes if axis] == [f"{letter}{i}" for i in range(1, count + 1) for letter in "XYZ"]
    assert len(rows) == int(facts["NumFrames"])
    assert {len(row) for row in rows} == {3 * count + 2}, "a line with another number of fields is refused"
    parts = [[row[2 + 3 * i : 5 + 3 * i] for i in range(count)] for row in rows]
    places = [[[float(part) for part in place] if all(place) else [math.nan] * 3 for place in row] for row in parts]
    return labels[2:], [float(row[1]) for row in rows], np.array(places)


def fields(line: str) -> list[str]:
    """Between tabs; what would be empty behind the last one is none."""
    found = line.split("\t")
    return found if found[-1] else found[:-1]
