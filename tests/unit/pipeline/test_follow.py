"""How a worker follows its alias, and what it says of that. The database is real; actors are what the test says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError

from inference.errors import ContractBroken, NotInstalled, WeightsRejected
from models.canary import Canary, Limits
from models.database import Database
from models.errors import StoreUnavailable
from models.model_versions import ModelRef
from models.worker_models import WorkerModel, WorkerModels
from pipeline.follow import Follower, FollowOptions

A, B, C = "net@a", "net@b", "net@c"


@dataclass(eq=False)
class Actors:
    """A generation whose actors do what the test says."""

    expected: str
    started: float
    loaded: bool = False
    error: Exception | None = None
    jobs: int = 0
    left: float = 0.0
    restarts: int = 0
    shut: bool = False
    says: str | None = None
    blind: Exception | None = None
    proven: bool = False
    proofs: int = 0
    ready_at: float = -math.inf

    @property
    def model(self) -> str:
        return self.says or self.expected

    def ready(self) -> bool:
        return self.loaded

    def prove(self) -> None:
        self.proofs += 1
        if self.blind:
            raise self.blind

    def look(self, *, first: bool = False) -> bool:
        if self.error and first:
            raise self.error
        return self.loaded


@dataclass
class Place:
    """A cluster and an alias as the test says, and what the worker does about it."""

    database: Database
    now: float = 0.0
    alias: str = "production"
    means: str | Exception = A
    share_of: Canary | None = None
    fetching: dict[str, Exception] = field(default_factory=dict)
    sizes: dict[str, int | Exception] = field(default_factory=dict)
    larger: int | None = None
    """By how much a model that is to come was said to be larger than what is there."""
    generations: list[Actors] = field(default_factory=lambda: [Actors(A, 0.0, loaded=True, proven=True)])
    serving: Actors | None = None
    lacking: str | None = None
    late: bool = False
    """Whether a retry comes to a generation just when it is to be dropped."""
    promoted: str | None = None
    """What is promoted just when the worker has asked for one of the two, what the alias means and its canary."""
    follower: Any = None

    def __post_init__(self) -> None:
        self.serving = self.generations[0]
        self.follower = self.following(self)

    def following(self, models: Any) -> Follower:
        return Follower(
            cluster=self,  # type: ignore[arg-type]
            models=models,
            database=self.database,
            worker_id="one",
            options=FollowOptions(warm_s=60.0, load_s=100.0),
            clock=lambda: self.now,
        )

    # The alias.

    def meant(self) -> str:
        if isinstance(self.means, Exception):
            raise self.means
        means = self.means
        self._promote()
        return means

    def canary(self) -> Canary | None:
        share_of = self.share_of
        self._promote()
        return share_of

    def _promote(self) -> None:
        if self.promoted:
            self.means, self.share_of, self.promoted = self.promoted, None, None

    def size(self, model: str) -> int:
        size = self.sizes.get(model, 0)
        if isinstance(size, Exception):
            raise size
        return size

    def fetch(self, model: str) -> Any:
        if model in self.fetching:
            raise self.fetching[model]
        return SimpleNamespace(model=model)

    # The cluster.

    def begin(self, extractor: Any, *, expected: str) -> Actors:
        assert extractor.model == expected
        self.generations.append(Actors(expected, self.now))
        return self.generations[-1]

    def route(self, generation: Actors | None) -> None:
        self.serving = generation

    def drop(self, generation: Actors) -> bool:
        assert generation is not self.serving
        if self.late:
            generation.jobs += 1
        if generation.jobs:
            return False
        self.generations.remove(generation)
        return True

    def lacks(self, larger_bytes: int) -> str | None:
        self.larger = larger_bytes
        return self.lacking

    # What the test looks at.

    def go_on(self, seconds: float = 0.0) -> WorkerModel:
        """Let time pass and the follower do what it can; what the worker says then."""
        self.now += seconds
        self.follower.go_on()
        (word,) = WorkerModels(self.database).list()
        return word

    def find(self, model: str) -> Actors:
        return next(one for one in self.generations if one.expected == model)

    def models(self) -> list[str]:
        return [one.expected for one in self.generations]


@pytest.fixture
def place(sqlite_url: str) -> Iterator[Place]:
    database = Database(sqlite_url)
    yield Place(database)
    database.close()


def word(state: str, model: str | None, wanted: str | None = None, **others: str) -> WorkerModel:
    return WorkerModel(worker_id="one", follows="production", model=model, state=state, wanted=wanted, **others)  # type: ignore[arg-type]


def said_of(place: Place) -> str | None:
    (said,) = WorkerModels(place.database).list()
    return said.error_message


def test_from_one_model_to_the_next_and_back(place: Place) -> None:
    assert place.go_on() == word("ready", A)
    first = place.find(A)
    first.jobs = 1
    place.means = B
    assert place.go_on() == word("loading", A, B)
    assert place.serving is first
    place.find(B).loaded = True
    assert place.go_on() == word("ready", B)
    assert place.serving is place.find(B)
    assert place.find(B).proofs == 1
    place.go_on(500)
    assert place.models() == [A, B], "its job is still running"
    first.jobs, first.left = 0, place.now
    place.go_on(59)
    assert place.models() == [A, B]
    place.late = True
    place.go_on(2)
    place.late = False
    place.go_on()
    assert place.find(A).proofs == 0, "a retry that came to it just then changes nothing"
    assert place.models() == [A, B]
    place.means = A
    assert place.go_on() == word("ready", A), "it was warm"
    place.go_on(61)
    assert place.models() == [A]


def test_it_is_warm_from_when_another_took_over(place: Place) -> None:
    """Not from the end of its last job, which may have been long before."""
    place.means = B
    place.go_on(1000)
    place.find(B).loaded = True
    place.go_on()
    place.go_on(59)
    assert place.models() == [A, B]
    place.go_on(2)
    assert place.models() == [B]


def test_a_third_model_waits_until_the_first_is_empty_and_nobody_comes_to_that_any_more(place: Place) -> None:
    place.find(A).jobs = 1
    place.means = B
    place.go_on()
    place.find(B).loaded = True
    place.go_on()
    assert not place.find(A).shut
    place.means = C
    assert place.go_on() == word("emptying", B, C)
    assert place.find(A).shut
    place.find(A).jobs = 0
    assert place.go_on() == word("loading", B, C)
    assert place.models() == [B, C]


def test_what_cannot_be_fetched_changes_nothing_until_the_alias_moves(place: Place) -> None:
    place.fetching[B] = WeightsRejected("another file")
    place.means = B
    failed = word("failed", A, B, error_code="weights_rejected", error_message="another file")
    assert place.go_on() == failed
    del place.fetching[B]
    assert place.go_on(10_000) == failed, "a version never changes"
    place.means = A
    assert place.go_on() == word("ready", A)
    place.means = B
    assert place.go_on() == word("loading", A, B)


def test_what_may_go_well_later_is_tried_again_less_and_less_often(place: Place) -> None:
    place.fetching[B] = StoreUnavailable("the store is away")
    place.means = B
    assert place.go_on() == word("failed", A, B, error_code="store_unavailable", error_message="the store is away")
    place.go_on(10.1)  # tried again in vain
    del place.fetching[B]
    assert place.go_on(19.8).state == "failed"
    assert place.go_on(0.3) == WorkerModel(
        worker_id="one",
        follows="production",
        model=A,
        state="loading",
        wanted=B,
        error_code="store_unavailable",
        error_message="the store is away",
    )


def test_what_was_not_installed_is_loaded_once_it_is(place: Place) -> None:
    place.means = B
    place.go_on()
    place.find(B).error = NotInstalled("not on node-7")
    failed = word("failed", A, B, error_code="weights_rejected", error_message="not on node-7")
    assert place.go_on() == failed
    assert place.go_on(9.9) == failed
    place.go_on(0.2)
    place.find(B).loaded = True
    assert place.go_on() == word("ready", B)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"error": WeightsRejected("no")}, "weights_rejected"),
        ({"error": ActorUnavailableError("away", b"0" * 16)}, "actor_died"),
        ({"restarts": 1}, "model_load_failed"),
        ({"loaded": True, "says": "net@x"}, "model_load_failed"),
        ({"loaded": True, "blind": ContractBroken("nobody is found")}, "model_contract_broken"),
    ],
)
def test_what_the_actors_cannot_load_is_dropped(place: Place, fault: dict[str, Any], code: str) -> None:
    place.means = B
    place.go_on()
    for name, value in fault.items():
        setattr(place.find(B), name, value)
    said = place.go_on()
    assert (said.state, said.model, said.error_code) == ("failed", A, code)
    assert place.models() == [A]
    assert place.serving is place.find(A)


def test_loading_does_not_take_for_ever(place: Place) -> None:
    place.means = B
    place.go_on()
    assert place.go_on(100).state == "loading"
    said = place.go_on(1)
    assert (said.state, said.error_message) == ("failed", "Not loaded within 100 s.")


def test_while_nobody_can_say_what_is_meant_it_stays(place: Place) -> None:
    place.means = B
    place.go_on()
    place.means = StoreUnavailable()
    place.find(B).loaded = True
    assert place.go_on() == word("ready", B), "what was wanted last still is"
    place.means = A
    assert place.go_on() == word("ready", A)


def test_without_room_for_two_the_old_one_goes_first(place: Place) -> None:
    place.find(A).jobs = 1
    place.lacking, place.means = "1 GPUs are wanted, 0 are free", B
    assert place.go_on() == word("loading", A, B), "what was given up a moment ago may not be free yet"
    assert place.go_on(5.1) == word("emptying", None, B)
    assert place.serving is None
    place.find(A).jobs = 0
    assert place.go_on() == word("loading", None, B)
    assert place.models() == [B]
    place.find(B).error = WeightsRejected("no")
    said = place.go_on()
    assert (said.state, said.model, said.wanted, said.error_message) == ("loading", None, B, "no")
    assert place.models() == [A], "the one before is loaded again"
    place.find(A).loaded = True
    assert place.go_on().model == A
    assert place.go_on(10_000) == word("failed", A, B, error_code="weights_rejected", error_message="no")


def test_room_is_asked_for_by_how_much_larger_the_next_model_is(place: Place) -> None:
    place.sizes = {A: 20, B: 450, C: 70}
    place.go_on()
    assert place.larger is None, "nothing is to come"
    place.means, place.share_of = C, canary(B)
    place.go_on()
    assert place.larger == 430
    place.drop(place.find(C))
    place.means, place.share_of = A, canary(C)
    place.go_on()
    assert place.larger == 50


def test_where_nobody_knows_the_size_it_is_as_large(place: Place) -> None:
    place.means, place.sizes = B, {A: 20, B: StoreUnavailable()}
    place.go_on()
    assert place.larger == 0
    assert place.models() == [A, B], "fetching it says what is wrong"


def test_what_failed_once_takes_the_place_of_what_works_no_second_time(place: Place) -> None:
    place.means, place.lacking = B, "a little"
    place.fetching[B] = StoreUnavailable()
    place.go_on()
    place.go_on(5.1)
    assert place.go_on().model is None
    place.find(A).loaded = True
    assert place.go_on().model == A
    del place.fetching[B]
    assert place.go_on(10_000) == word("failed", A, B, error_code="store_unavailable", error_message=said_of(place))
    place.lacking = None
    assert place.go_on().state == "loading"


def test_where_nothing_serves_the_one_before_is_tried_again_whatever_was_wrong(place: Place) -> None:
    place.means, place.lacking = B, "a little"
    place.fetching = {A: WeightsRejected("gone"), B: WeightsRejected("no")}
    place.go_on()
    place.go_on(5.1)
    said = place.go_on()
    assert (said.state, said.model, place.models()) == ("failed", None, [])
    del place.fetching[A]
    place.go_on(10.1)
    assert place.models() == [A]


def test_an_error_of_ours_is_named(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.means, place.fetching = B, {B: KeyError("halpe")}
    said = place.go_on()
    assert (said.error_code, said.error_message) == ("internal_error", "KeyError: 'halpe'")
    assert any(record.exc_info for record in caplog.records), "the log has its traceback"


def test_a_warm_model_that_is_too_busy_to_answer_stays(place: Place) -> None:
    first = place.find(A)
    place.means = B
    place.go_on()
    place.find(B).loaded = True
    place.go_on()
    first.loaded, first.ready_at = False, place.now
    place.go_on(1.0)
    assert place.models() == [A, B]
    place.go_on(28.0)
    assert place.models() == [A, B]
    place.go_on(1.0)
    assert place.models() == [B]


def test_room_that_comes_in_time_is_taken(place: Place) -> None:
    place.lacking, place.means = "a little", B
    place.go_on()
    place.lacking = None
    assert place.go_on(4.9) == word("loading", A, B)
    assert place.models() == [A, B]


def canary(model: str, number: str = "1") -> Canary:
    return Canary(
        id=number,
        alias="production",
        model=ModelRef.parse(model),
        base=ModelRef.parse(A),
        share=0.1,
        limits=Limits(),
        started_at=datetime(2026, 5, 4, tzinfo=UTC),
        started_by="jane",
        forced=False,
    )


def test_a_canary_is_loaded_beside_and_goes_when_it_is_over(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    place.share_of = canary(B)
    assert place.go_on() == word("ready", A, canary=B, canary_state="loading")
    assert place.follower.canary is None
    place.find(B).loaded = True
    assert place.go_on() == word("ready", A, canary=B, canary_state="ready")
    assert place.follower.canary == place.share_of
    assert place.serving is place.find(A)
    place.go_on(1000)
    assert place.find(B).proofs == 1
    place.find(B).jobs = 1
    place.share_of = None
    assert place.go_on() == word("ready", A)
    assert place.follower.canary is None
    assert place.find(B).shut, "what is claimed again must not come back to it"
    place.find(B).jobs = 0
    place.go_on()
    assert place.models() == [A], "it is not kept warm"
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Canary")]
    assert said == [
        f"Canary wanted: model={B} share=0.1",
        f"Canary loaded, its athletes get it: model={B} share=0.1",
        f"Canary over: model={B}",
    ]


def test_a_canary_that_is_promoted_serves_at_once_and_then_is_like_any_other(place: Place) -> None:
    place.share_of = canary(B)
    place.go_on()
    place.find(B).loaded = True
    place.go_on()
    place.share_of, place.means = None, B
    assert place.go_on() == word("ready", B)
    place.means = C
    place.go_on(10)
    assert place.models() == [B, C]
    place.find(C).loaded = True
    assert place.go_on() == word("ready", C)
    place.go_on(59)
    assert place.models() == [B, C], "it is kept warm"


def test_a_canary_that_is_promoted_while_the_worker_asks_is_loaded_no_second_time(place: Place) -> None:
    place.share_of = canary(B)
    place.go_on()
    loaded = place.find(B)
    loaded.loaded = True
    place.go_on()
    place.promoted = B
    place.go_on()
    assert place.go_on() == word("ready", B)
    assert place.serving is loaded


def test_a_canary_that_cannot_be_loaded_is_said_and_changes_nothing(place: Place) -> None:
    place.share_of = canary(B)
    place.fetching[B] = WeightsRejected("another file")
    why = {"error_code": "weights_rejected", "error_message": "another file"}
    assert place.go_on() == word("ready", A, canary=B, canary_state="failed", **why)
    assert place.go_on(10_000) == word("ready", A, canary=B, canary_state="failed", **why)
    assert place.follower.canary is None
    del place.fetching[B]
    place.share_of = canary(B, "2")
    assert place.go_on() == word("ready", A, canary=B, canary_state="loading"), "another one is another try"


def test_without_room_for_two_a_worker_runs_no_canary(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.lacking, place.share_of = "1 GPUs are wanted, 0 are free", canary(B)
    assert place.go_on() == word("ready", A, canary=B, canary_state="loading"), "not clear yet"
    for _ in range(2):
        assert place.go_on(5.1) == word("ready", A, canary=B, canary_state="no_room")
    (said,) = [record.getMessage() for record in caplog.records if "No room" in record.message]
    assert said.endswith(f"canary={B} 1 GPUs are wanted, 0 are free")
    place.lacking = None
    assert place.go_on() == word("ready", A, canary=B, canary_state="loading")


def test_a_worker_that_follows_nothing_says_what_it_runs(place: Place) -> None:
    place.follower = place.following(None)
    place.means = B
    assert place.go_on() == WorkerModel(worker_id="one", follows=None, model=A, state="ready")


def test_it_says_so_again_now_and_then(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(place.follower._speaker._register, "say", lambda word: said.append(word.state))
    for _ in range(7):
        place.follower.go_on()
        place.now += 10
    assert said == ["ready"] * 3
