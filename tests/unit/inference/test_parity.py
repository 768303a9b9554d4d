"""A version of another precision: what it is compared with, how far it lies, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from altered_models import sha256
from footage import write
from quantised_models import quantise

from inference.admission import Declaration, admit
from inference.backends import make_backend, openvino_backend
from inference.catalog import DEFAULT_MODEL, RegisteredModel, resolve
from inference.conversion import openvino_model
from inference.errors import BackendUnavailable, WeightsRejected
from inference.estimator import Estimator
from inference.parity import FRAMES, Reference, compare, frames
from inference.poses import COCO_17, Pose
from inference.skeletons import HALPE_26


def person(x: float, *, height: float = 200.0, off: Sequence[float] = (0.0,) * 17, sure: float = 0.9) -> Pose:
    points = np.stack([np.full(17, x) + np.asarray(off), np.linspace(0, height, 17)], axis=1).astype(np.float32)
    box = np.asarray([x - 40, 0, x + 40, height], np.float32)
    return Pose(keypoints=points, confidence=np.full(17, sure, np.float32), box=box, score=0.9)


def test_distances_are_shares_of_the_references_height() -> None:
    found = compare([[person(100, off=[2.0] * 17)]], [[person(100)]])
    assert found == {
        "pictures": 1,
        "people": 1,
        "people_of_reference": 1,
        "people_of_both": 1,
        "median_pct_height": 1.0,
        "p95_pct_height": 1.0,
    }
    one_far = compare([[person(100, off=[40.0] + [0.0] * 16)]], [[person(100)]])
    assert (one_far["median_pct_height"], one_far["p95_pct_height"]) == (0.0, 4.0)


def test_everybody_is_compared_with_himself_and_who_is_missing_is_counted() -> None:
    ours = [[person(500, off=[1.0] * 17), person(100)], [], [person(100)]]
    theirs = [[person(100), person(500), person(900)], [person(100)], []]
    found = compare(ours, theirs)
    assert [found[name] for name in ("pictures", "people", "people_of_reference", "people_of_both")] == [3, 3, 4, 2]
    assert found["p95_pct_height"] == 0.5


def test_who_is_nowhere_or_unsure_gives_no_distance() -> None:
    assert compare([[person(100, sure=0.4)]], [[person(100)]])["median_pct_height"] is None
    assert compare([[]], [[person(100)]])["people_of_both"] == 0
    assert compare([[person(100)]], [[person(900)]])["people_of_both"] == 0


def test_a_precision_comes_with_what_it_is_measured_by(tmp_path: Path) -> None:
    declared = Declaration(name="net", version="1", sha256="0" * 64, skeleton=COCO_17)
    with pytest.raises(ValueError, match="a precision goes with the version"):
        replace(declared, precision="int8")
    with pytest.raises(ValueError, match="a precision goes with the version"):
        replace(declared, reference=Reference(spec=resolve(DEFAULT_MODEL), clip=tmp_path))


@pytest.mark.model
class TestQuantised:
    """The real weights in 8 bits."""

    def declared(self, path: Path, clip: Path) -> Declaration:
        return Declaration(
            name="net",
            version="8bit",
            sha256=sha256(path, path.with_suffix(".bin")),
            skeleton=COCO_17,
            precision="int8",
            reference=Reference(spec=resolve(DEFAULT_MODEL), clip=clip),
        )

    def test_it_is_a_version_of_its_own_with_figures(
        self, tmp_path: Path, model_cache: Path, sample_clip: Path
    ) -> None:
        clip = write(tmp_path / "clip.mp4", frames(sample_clip)[20:30])
        assert len(frames(clip)) == 10
        path = quantise(openvino_model(resolve(DEFAULT_MODEL), model_cache), tmp_path / "net.xml", layers=60)
        admitted = admit(path, self.declared(path, clip), threads=1)
        report = admitted.report
        assert (report["precision"], report["parity"]["against"]) == ("int8", "yolo11n-pose@1")
        assert report["quantised_layers"].startswith("60 of ")
        assert report["parity"]["photographs"]["people_of_both"] >= 4
        assert report["parity"]["clip"]["pictures"] == 10
        for figures in (report["parity"]["photographs"], report["parity"]["clip"]):
            assert 0.02 < figures["median_pct_height"] < 1.0
        spec = RegisteredModel(
            name="net",
            version="8bit",
            sha256="0" * 64,
            skeleton=COCO_17,
            licence="AGPL-3.0",
            artifact_sha256=admitted.sha256,
            content=admitted.content,
        ).spec(tmp_path)
        estimator = Estimator.load(spec, backend="openvino", threads=1, cache_dir=tmp_path)
        assert estimator.info.precision == "int8"
        with pytest.raises(BackendUnavailable, match="net@8bit runs in int8 alone, not in fp32"):
            make_backend(spec, backend="openvino", precision="fp32", cache_dir=tmp_path)

    def test_what_is_quantised_says_so_and_nothing_else_does(
        self, tmp_path: Path, model_cache: Path, sample_clip: Path
    ) -> None:
        network = openvino_model(resolve(DEFAULT_MODEL), model_cache)
        path = quantise(network, tmp_path / "net.xml", layers=3)
        declared = self.declared(path, sample_clip)
        with pytest.raises(WeightsRejected, match=r"quantises 3 of its layers: .* registered with --precision int8"):
            admit(path, replace(declared, precision=None, reference=None))
        with pytest.raises(WeightsRejected, match="quantises 0 of its layers: it is no int8 network"):
            admit(network, replace(declared, sha256=sha256(network, network.with_suffix(".bin"))))

    @pytest.mark.skipif("fp16" in openvino_backend.runnable(), reason="this processor computes in fp16")
    def test_a_precision_that_the_processor_lacks_cannot_be_measured(
        self, model_cache: Path, sample_clip: Path
    ) -> None:
        network = openvino_model(resolve(DEFAULT_MODEL), model_cache)
        declared = self.declared(network, sample_clip)
        with pytest.raises(BackendUnavailable, match="openvino cannot run fp16 on this machine"):
            admit(network, replace(declared, precision="fp16"))

    def test_one_with_other_keypoints_is_nothing_to_compare_with(self, tmp_path: Path, sample_clip: Path) -> None:
        from inference.parity import measure

        spec = resolve(DEFAULT_MODEL)
        other = replace(spec, skeleton=HALPE_26)
        with pytest.raises(WeightsRejected, match="yolo11n-pose@1 has other keypoints"):
            measure(spec, Reference(spec=other, clip=sample_clip), tmp_path)


def test_frames_are_spread_over_the_clip(sample_clip: Path) -> None:
    assert len(frames(sample_clip)) == FRAMES
