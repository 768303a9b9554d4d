"""The arithmetic behind the benchmarks' figures, on data whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import av
import clips
import numpy as np
import pytest

from benchmarks import throughput
from benchmarks.accuracy import Body, _differences, _gates
from benchmarks.machine import as_json, provenance
from benchmarks.memory import loop
from inference.poses import COCO_17, Pose
from pipeline.biomechanics.sides import BODY, columns


def body(path: np.ndarray, anchors: np.ndarray | None = None) -> Body:
    frames = len(path)
    return Body(
        path=path,
        skeleton=COCO_17,
        seen=np.ones(frames, bool),
        anchors=np.zeros(frames, bool) if anchors is None else anchors,
        mirrored=0,
        swapped=0,
        merged=0,
    )


def walk(noise: float, seed: int, frames: int = 400) -> np.ndarray:
    """(T, 17, 2) a body that moves smoothly, with white noise on top, % of stature."""
    times = np.arange(frames)[:, None, None] / 30
    still = np.random.default_rng(1).uniform(0, 100, (1, 17, 2))
    return still + 20 * np.sin(2 * times) + np.random.default_rng(seed).normal(0, noise, (frames, 17, 2))


def test_jitter_is_the_noise_and_not_the_movement() -> None:
    steady, shaky = body(walk(0.5, 2)), body(walk(1.0, 3))
    figures = shaky.jitter_beside(steady)
    assert figures["ratio"] == pytest.approx(2.0, rel=0.08)
    assert figures["whole_pct"] == pytest.approx(0.5 * np.sqrt(2 * np.log(2)), rel=0.08)  # median of a Rayleigh
    assert figures["between"][0] < 2.0 < figures["between"][1]
    assert steady.jitter_beside(body(walk(0.5, 4)))["ratio"] == pytest.approx(1.0, abs=0.08)


def test_a_step_at_every_anchor_shows_in_their_ratio_and_elsewhere_does_not() -> None:
    anchors = np.arange(400) % 16 == 0
    path = walk(0.5, 5)
    assert body(path).anchor_ratio(anchors)["ratio"] == pytest.approx(1.0, abs=0.15)
    stepped = path + (np.cumsum(anchors) % 2)[:, None, None] * 3.0
    assert body(stepped).anchor_ratio(anchors)["ratio"] > 2


def test_a_mirrored_body_is_not_far_but_mirrored() -> None:
    path = walk(0.0, 6)
    mirrored = path.copy()
    pairs = columns(COCO_17, BODY)
    for left, right in pairs:
        mirrored[100:130, [left, right]] = path[100:130, [right, left]]
    figures = body(mirrored).apart(body(path))
    assert figures == {"median_pct": 0.0, "p95_pct": 0.0, "mirrored_against_each_other": 30}


def test_differences_of_one_percent_of_height_are_one_percent() -> None:
    keypoints = np.random.default_rng(7).uniform(0, 150, (17, 2)).astype(np.float32)
    box = np.array([0, 0, 150, 2000], np.float32)
    sure = np.full(17, 0.9, np.float32)
    sure[9] = 0.1  # fp32 is not sure of it, so it does not count
    moved = keypoints + np.array([20, 0], np.float32)
    moved[9] += 900
    reference = Pose(keypoints=keypoints, confidence=sure, box=box, score=0.9)
    other = Pose(keypoints=moved, confidence=sure, box=box + np.array([20, 0, 20, 0], np.float32), score=0.9)
    figures = _differences([([other], [reference]), ([], [reference])])
    assert figures["median_pct"] == pytest.approx(1.0, abs=1e-3)
    assert figures["p95_pct"] == pytest.approx(1.0, abs=1e-3)
    assert figures["knee_p95_deg"] == pytest.approx(0.0, abs=1e-3)
    assert figures["seen_by_both"] == 0.5


def test_what_could_not_be_measured_meets_no_gate_and_is_null() -> None:
    row = {"median_pct": float("nan"), "p95_pct": 1.5, "knee_p95_deg": 3.1}
    gates = _gates({"same_pixels": {"crops": row}, "people": [], "reports": []})
    assert [gate["met"] for gate in gates.values()] == [False, True, False]
    assert [gate["value"] for gate in json.loads(as_json(gates)).values()] == [None, 1.5, 3.1]


def test_ratios_are_medians_of_rounds_and_the_limit_is_both_in_turn() -> None:
    def rounds(*fps: float) -> list[dict[str, object]]:
        rest = {"model": {}, "receipt": {}, "batches": {(4, 384, 640, True): 2, (16, 224, 160, False): 3}}
        return [{"frames": 100, "wall_s": 100 / value, "cpu_s": 1.0, **rest} for value in fps]

    took = {
        "yolo_predict": rounds(10, 10, 20),
        "ultralytics_openvino": rounds(25, 20, 20),
        "ours": rounds(100, 90, 100),
        "ours_athlete_known": rounds(100, 180, 110),
        "bare_decode": rounds(300, 300, 300),
        "bare_inference": rounds(150, 150, 150),
    }
    figures = throughput._summary(took, {name: (0.5, rounds(8)[0]) for name in took})
    assert figures["limit_fps"] == 100
    assert figures["targets"]["times_yolo_predict"] == {"value": 9.0, "at_least": 8.0, "met": True}
    assert figures["targets"]["times_ultralytics_openvino"] == {"value": 4.5, "at_least": 4.0, "met": True}
    assert figures["targets"]["share_of_limit"]["value"] == 1.0
    assert figures["contestants"]["ours"]["fps"] == 100
    assert figures["athlete_known_times_ours"] == 1.1
    assert figures["contestants"]["ours"]["first_pass_fps"] == 8
    assert figures["batches"] == {"4x384x640": 2, "16x224x160 without the finest level": 3}


def test_what_the_profile_times_is_there_and_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, owner, name in throughput.TIMED:
        monkeypatch.setattr(owner, name, lambda: sum(range(10_000)))

    def run() -> dict[str, object]:
        for _, owner, name in throughput.TIMED:
            vars(owner)[name]()
        return {"frames": 10}

    profile = throughput.profiled(run)["profile_cpu_ms"]
    assert list(profile) == [label for label, _, _ in throughput.TIMED]
    assert min(profile.values()) > 0


def test_a_looped_clip_is_the_clip_again_and_again(tmp_path: Path) -> None:
    short = clips.make(tmp_path / "short.mp4", clips.Recipe(frames=12))
    with av.open(str(loop(short, tmp_path / "long.mp4", seconds=1.0))) as container:
        frames = list(container.decode(video=0))
    assert [clips.frame_number(frame.to_ndarray(format="rgb24")) for frame in frames] == [*range(12)] * 3
    assert np.diff([frame.time for frame in frames]) == pytest.approx(1 / 30, abs=1e-3)


def test_a_figure_says_where_it_comes_from() -> None:
    told = provenance()
    assert len(told["commit"]) in {0, 40}  # none in a copy without its history
    assert told["machine"]["cores"] >= 1
    assert told["machine"]["memory_gib"] > 0
    assert set(told["versions"]) >= {"python", "openvino", "torch", "ultralytics", "av", "opencv-python", "numpy"}
