"""The words that name a model, and what a rollback goes back to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from inference.catalog import DEFAULT_MODEL, catalogued
from models.model_versions import (
    BUILT_IN,
    AliasMove,
    ModelRef,
    MoveKind,
    before_the_last_promotion,
    check_alias,
)

A, B, C = (ModelRef(name="net", version=version) for version in "abc")


def moves(*made: tuple[MoveKind, ModelRef | None, ModelRef]) -> list[AliasMove]:
    """One after the other."""
    return [
        AliasMove(
            alias="production",
            number=number,
            kind=kind,
            before=before,
            after=after,
            moved_by="jane",
            moved_at=datetime(2026, 5, 4, tzinfo=UTC),
            forced=False,
            reason=None,
        )
        for number, (kind, before, after) in enumerate(made, start=1)
    ]


def test_a_reference_reads_back() -> None:
    assert ModelRef.parse("yolo11n-pose@1") == ModelRef(name="yolo11n-pose", version="1")
    assert str(ModelRef.parse("a.b_c-d@2026.11-rc_1")) == "a.b_c-d@2026.11-rc_1"


@pytest.mark.parametrize(
    "text", ["", "@", "net", "net@", "@1", "net@1@2", "../net@1", "net@1/2", "n" * 65 + "@1", "net@" + "1" * 33, "ñ@1"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not NAME@VERSION"):
        ModelRef.parse(text)


def test_the_longest_reference_fits_a_request_and_the_row() -> None:
    assert len(f"{'n' * 64}@{'1' * 32}") <= 100
    ModelRef.parse(f"{'n' * 64}@{'1' * 32}")


def test_an_alias_is_one_word() -> None:
    assert check_alias("candidate-2") == "candidate-2"
    with pytest.raises(ValueError, match="is no alias"):
        check_alias("net@1")


def test_a_rollback_goes_back_one_promotion_and_then_another() -> None:
    twice = moves(("promote", A, B), ("promote", B, C))
    assert before_the_last_promotion(twice) == B
    once_back = moves(("promote", A, B), ("promote", B, C), ("rollback", C, B))
    assert before_the_last_promotion(once_back) == A
    all_back = moves(("promote", A, B), ("promote", B, C), ("rollback", C, B), ("rollback", B, A))
    assert before_the_last_promotion(all_back) is None
    again = moves(("promote", A, B), ("rollback", B, A), ("promote", A, C))
    assert before_the_last_promotion(again) == A
    assert before_the_last_promotion([]) is None


def test_an_alias_that_meant_nothing_before_cannot_be_rolled_back() -> None:
    assert before_the_last_promotion(moves(("promote", None, A))) is None


def test_the_built_in_version_is_the_one_that_inference_knows() -> None:
    spec = catalogued(DEFAULT_MODEL)
    assert (spec.name, spec.version, spec.sha256, spec.licence) == (
        BUILT_IN.ref.name,
        BUILT_IN.ref.version,
        BUILT_IN.source_sha256,
        BUILT_IN.licence,
    )
    assert BUILT_IN.skeleton == {
        "name": spec.skeleton.name,
        "keypoints": list(spec.skeleton.keypoint_names),
        "left_right": [list(pair) for pair in spec.skeleton.left_right],
        "limbs": [list(limb) for limb in spec.skeleton.limbs],
    }
