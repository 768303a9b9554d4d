"""The catalogue in the database: versions that stay, aliases that move, and a built-in one that needs no row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from models.database import Database
from models.errors import ModelInUse, ModelNotInCatalogue, ModelRefused
from models.model_catalogue import ModelCatalogue
from models.model_versions import BUILT_IN, ModelRef, ModelVersion, StoredArtifact


@pytest.fixture
def catalogue(database: Database, clock: Any) -> ModelCatalogue:
    return ModelCatalogue(database, clock=lambda: clock.forward(1))


def version(text: str, **changes: Any) -> ModelVersion:
    digest = f"{sum(text.encode()):064x}"
    made = replace(
        BUILT_IN,
        ref=ModelRef.parse(text),
        source=f"/weights/{text}.pt",
        source_sha256=digest,
        artifact=StoredArtifact(bucket="local", key=f"models/{digest}.zip", sha256=digest),
        report={"parity_px": 0.01},
        created_by="jane",
    )
    return replace(made, **changes)


def test_the_built_in_version_is_production_from_the_start(catalogue: ModelCatalogue) -> None:
    assert catalogue.list() == (BUILT_IN,)
    assert catalogue.aliases() == {"production": BUILT_IN.ref}
    for reference in ("production", "yolo11n-pose", "yolo11n-pose@1"):
        assert catalogue.resolve(reference) is BUILT_IN
    assert catalogue.history("production") == ()


def test_a_version_is_read_as_it_was_entered(catalogue: ModelCatalogue, clock: Any) -> None:
    entered = catalogue.add(version("net@1", licence=None, notes="knees"))
    assert entered == version("net@1", licence=None, notes="knees", created_at=clock.now)
    assert catalogue.find(entered.ref) == catalogue.resolve("net@1") == catalogue.list()[1] == entered
    assert entered.state == "ready"
    assert entered.artifact is not None
    assert catalogue.keeps(entered.artifact.sha256)
    assert not catalogue.keeps("0" * 64)


def test_a_version_never_changes(catalogue: ModelCatalogue) -> None:
    first = catalogue.add(version("net@1"))
    for taken in (version("net@1", source="/elsewhere.pt"), version("yolo11n-pose@1")):
        with pytest.raises(ModelRefused, match="never changes"):
            catalogue.add(taken)
        with pytest.raises(ModelRefused, match="never changes"):
            catalogue.check_new(taken.ref)
    assert catalogue.find(first.ref) == first


def test_of_two_who_enter_the_same_version_one_is_refused(catalogue: ModelCatalogue) -> None:
    def enter(number: int) -> bool:
        try:
            catalogue.add(version("net@1", notes=str(number)))
        except ModelRefused:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(enter, range(4))) == [False, False, False, True]
    assert len(catalogue.list()) == 2


def test_an_unknown_one_says_which_there_are(catalogue: ModelCatalogue) -> None:
    catalogue.add(version("net@1"))
    for reference in ("nett", "net@2", "net@", "net@1@1", "", "../net", "candidate"):
        with pytest.raises(ModelNotInCatalogue, match=r"there are: yolo11n-pose@1, net@1"):
            catalogue.resolve(reference)


def test_a_name_alone_means_its_newest_version_that_is_not_retired(catalogue: ModelCatalogue) -> None:
    for text in ("net@10", "net@9"):
        catalogue.add(version(text))
    assert str(catalogue.resolve("net").ref) == "net@9"
    catalogue.retire(ModelRef.parse("net@9"))
    assert str(catalogue.resolve("net").ref) == "net@10"
    catalogue.add(version("yolo11n-pose@2"))
    assert str(catalogue.resolve("yolo11n-pose").ref) == "yolo11n-pose@2"
    assert catalogue.resolve("production") is BUILT_IN


def test_an_alias_moves_and_remembers(catalogue: ModelCatalogue, clock: Any) -> None:
    one, two = catalogue.add(version("net@1")).ref, catalogue.add(version("net@2")).ref
    first = catalogue.promote(one, by="jane", reason="better knees")
    second = catalogue.promote(two, by="ann", force=True)
    assert first is not None
    assert second is not None
    assert (first.number, first.before, first.after, first.forced, first.reason) == (
        1,
        BUILT_IN.ref,
        one,
        False,
        "better knees",
    )
    assert (second.number, second.before, second.moved_by, second.forced) == (2, one, "ann", True)
    assert second.moved_at == clock.now
    assert catalogue.history("production") == (first, second)
    assert catalogue.resolve("production").ref == two
    assert catalogue.promote(two, by="ann") is None
    assert len(catalogue.history("production")) == 2


def test_a_rollback_is_a_move_of_its_own(catalogue: ModelCatalogue) -> None:
    one, two = catalogue.add(version("net@1")).ref, catalogue.add(version("net@2")).ref
    catalogue.promote(one, by="jane")
    catalogue.promote(two, by="jane")
    assert catalogue.rollback(by="ann", reason="findings vanish").after == one
    assert catalogue.rollback(by="ann").after == BUILT_IN.ref
    with pytest.raises(ModelRefused, match="nothing to roll production back to"):
        catalogue.rollback(by="ann")
    assert [move.kind for move in catalogue.history("production")] == ["promote", "promote", "rollback", "rollback"]
    assert catalogue.resolve("production") is BUILT_IN


def test_other_aliases_begin_with_nothing(catalogue: ModelCatalogue) -> None:
    one = catalogue.add(version("net@1")).ref
    moved = catalogue.promote(one, alias="candidate", by="jane")
    assert moved is not None
    assert moved.before is None
    assert catalogue.aliases() == {"production": BUILT_IN.ref, "candidate": one}
    with pytest.raises(ModelRefused, match="nothing to roll candidate back to"):
        catalogue.rollback("candidate", by="jane")


def test_an_alias_and_a_model_never_share_a_name(catalogue: ModelCatalogue) -> None:
    one = catalogue.add(version("net@1")).ref
    catalogue.promote(one, alias="candidate", by="jane")
    for name in ("production@1", "candidate@1"):
        with pytest.raises(ModelRefused, match="is an alias"):
            catalogue.add(version(name))
    for alias in ("net", "yolo11n-pose"):
        with pytest.raises(ModelRefused, match="is the name of a model"):
            catalogue.promote(one, alias=alias, by="jane")
    with pytest.raises(ValueError, match="is no alias"):
        catalogue.promote(one, alias="net@2", by="jane")


def test_another_skeleton_is_promoted_only_by_force(catalogue: ModelCatalogue) -> None:
    feet = catalogue.add(version("feet@1", skeleton={**BUILT_IN.skeleton, "name": "halpe-26"})).ref
    with pytest.raises(ModelRefused, match="cannot be compared"):
        catalogue.promote(feet, by="jane")
    assert catalogue.history("production") == ()
    moved = catalogue.promote(feet, by="jane", force=True)
    assert moved is not None
    assert moved.forced


def test_a_retired_version_stays_readable_and_no_more(catalogue: ModelCatalogue, clock: Any) -> None:
    one, two = catalogue.add(version("net@1")).ref, catalogue.add(version("net@2")).ref
    retired = catalogue.retire(one)
    assert (retired.state, retired.retired_at) == ("retired", clock.now)
    assert catalogue.retire(one) == retired == catalogue.find(one)
    with pytest.raises(ModelNotInCatalogue, match="net@1 is retired"):
        catalogue.resolve("net@1")
    with pytest.raises(ModelRefused, match="is retired"):
        catalogue.promote(one, by="jane", force=True)
    catalogue.promote(two, alias="candidate", by="jane")
    with pytest.raises(ModelInUse, match="net@2 is candidate"):
        catalogue.retire(two)
    with pytest.raises(ModelInUse, match="built in"):
        catalogue.retire(BUILT_IN.ref)
    with pytest.raises(ModelNotInCatalogue):
        catalogue.retire(ModelRef.parse("net@3"))


def test_nobody_rolls_back_to_a_retired_version(catalogue: ModelCatalogue) -> None:
    one, two = catalogue.add(version("net@1")).ref, catalogue.add(version("net@2")).ref
    catalogue.promote(one, by="jane")
    catalogue.promote(two, by="jane")
    catalogue.retire(one)
    with pytest.raises(ModelRefused, match="was net@1 before, which is retired"):
        catalogue.rollback(by="jane")
    assert catalogue.resolve("production").ref == two


def test_of_many_promotions_at_once_each_is_in_the_history_once(catalogue: ModelCatalogue) -> None:
    refs = [catalogue.add(version(f"net@{number}")).ref for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        moved = list(pool.map(lambda ref: catalogue.promote(ref, by="jane"), refs))
    history = catalogue.history("production")
    assert [move.number for move in history] == [1, 2, 3, 4]
    assert sorted(str(move.after) for move in moved if move) == [str(ref) for ref in refs]
    assert [move.before for move in history] == [BUILT_IN.ref, *(move.after for move in history[:-1])]
    assert catalogue.resolve("production").ref == history[-1].after
