"""The thread of a worker that follows an alias: it asks what that means, does the steps of `rollout`, and says so."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from ray.exceptions import RayError

from inference.errors import InferenceError
from inference.extract import ExtractorOptions
from models.announce import MODELS_CHANNEL
from models.canary import Canary
from models.database import Database
from models.errors import INTERNAL_ERROR, StoreError
from models.listen import Listener
from pipeline.cluster import Cluster
from pipeline.errors import LoadingFailed
from pipeline.generation import Generation
from pipeline.refusals import Refusals
from pipeline.rollout import REST, Held, Room, Situation, Step, next_step
from pipeline.word import Speaker, word_of

logger = logging.getLogger(__name__)

TICK_S = 0.5
"""Between two looks while a swap is under way."""
SILENT_S = 30.0
"""A generation that was ready counts as dead when not all of its actors have answered for so long."""
FREED_S = 5.0
"""How long what an ended actor had may count as taken: only what is lacking for longer is lacking."""
CLOSE_S = 5.0


class Models(Protocol):
    """What an alias means, and what actors load of it."""

    @property
    def alias(self) -> str:
        """The alias's name."""

    def meant(self) -> str:
        """`name@version` that the alias means now. Raises StoreError."""

    def canary(self) -> Canary | None:
        """The alias's canary. Raises StoreError."""

    def size(self, model: str) -> int:
        """Bytes of what actors load of `name@version`; 0 of the built-in one. Raises StoreError."""

    def fetch(self, model: str) -> ExtractorOptions:
        """What actors load of `name@version`. Raises StoreError and InferenceError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowOptions:
    """How a worker goes from one model to the next."""

    warm_s: float = 600.0
    """How long the model before is kept loaded once its last job has ended: the way back then takes no loading."""
    poll_s: float = 2.0
    """How often the alias is looked up; on PostgreSQL word of a move comes sooner."""
    load_s: float = 900.0
    """A model that is not loaded after so long counts as one that cannot be."""


@dataclass(slots=True)
class _State:
    wanted: str
    served: str
    lacks: str | None = None
    """What one more generation would lack, in words."""
    lacks_since: float = math.inf
    room: Room = "enough"
    canary: Canary | None = None
    away: bool = False
    """Whether the alias could not be looked up the last time."""


class Follower:
    """Follows an alias between `start` and `close`; without `models` it only says what the worker runs."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        models: Models | None,
        database: Database,
        worker_id: str,
        options: FollowOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is the one by which generations say when something was."""
        self._cluster = cluster
        self._models = models
        self._speaker = Speaker(database, worker_id, clock)
        self._database = database
        self._worker_id = worker_id
        self._options = options or FollowOptions()
        self._clock = clock
        self._refusals = Refusals(clock)
        self._routed_away: dict[Generation, float] = {}
        """→ when new jobs stopped coming to it."""
        self._canaries: set[Generation] = set()
        """Those that are, or were, a canary's and no more."""
        self.canary: Canary | None = None
        """The canary that is loaded: for claims."""
        serving = cluster.serving
        runs = (serving.model if serving else None) or "unknown"
        self._state = _State(wanted=runs, served=runs)
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)
        self._listener: Listener | None = None

    def start(self) -> None:
        """Begin to follow."""
        if self._models:
            self._listener = Listener(self._database, [MODELS_CHANNEL], lambda channel, payload: self._wake.set())
        self._thread.start()

    def close(self) -> None:
        """Begin no more steps. The worker's word is taken back."""
        self._stopping.set()
        self._wake.set()
        if self._listener:
            self._listener.close()
        if self._thread.ident is not None:
            self._thread.join(timeout=CLOSE_S)
        self._speaker.take_back()

    def go_on(self) -> bool:
        """Look up what is meant, and do whatever can be done about it now. Whether something is under way."""
        self._look_up()
        self._look_at_those_that_do_not_serve()
        situation = self._situation()
        while not self._stopping.is_set():
            step = next_step(situation, moment=self._clock(), warm_s=self._options.warm_s)
            if step == REST:
                break
            self._carry_out(step)
            situation = self._situation()
        follows = self._models.alias if self._models else None
        word = word_of(situation, worker_id=self._worker_id, follows=follows, why=self._refusals.why)
        self._hand_out(self._state.canary if word.canary_state == "ready" else None)
        if not self._stopping.is_set():
            self._speaker.say(word, self._state.lacks)
        under_way = word.state in {"loading", "emptying"} or word.canary_state == "loading"
        return under_way or situation.serving is None

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            busy = False
            try:
                busy = self.go_on()
            except Exception:  # whatever it was, the worker must follow the next move
                if not self._stopping.is_set():  # then Ray may have gone
                    logger.exception("Following the model failed, trying again")
            self._wake.wait(TICK_S if busy else self._options.poll_s)

    def _look_up(self) -> None:
        """Learn what is wanted; what it was before counts while nobody can say."""
        if self._models is None:
            return
        try:
            # The canary first: one that is promoted between the two would else be nobody's, and be dropped.
            canary, meant = self._models.canary(), self._models.meant()
        except StoreError as error:
            if not self._state.away:
                logger.warning("Alias not looked up, trying again: alias=%s %s", self._models.alias, error.message)
            self._state.away = True
            return
        self._state.away = False
        if meant != self._state.wanted:
            logger.info("Model wanted: model=%s alias=%s", meant, self._models.alias, extra={"model": meant})
            self._state.wanted = meant
            self._refusals.forget()
        before, self._state.canary = self._state.canary, canary
        if canary is not None and (before is None or before.id != canary.id):
            words = "Canary wanted: model=%s share=%g"
            logger.info(words, canary.model, canary.share, extra={"model": str(canary.model), "share": canary.share})
            self._refusals.forget(str(canary.model))
        elif before is not None and canary is None:
            logger.info("Canary over: model=%s", before.model, extra={"model": str(before.model)})

    def _look_at_those_that_do_not_serve(self) -> None:
        """The worker itself looks at those that serve, whenever it claims."""
        for generation in self._cluster.generations:
            if generation is self._cluster.serving:
                continue
            if generation.proven:
                generation.look()
            else:
                self._look_at_loading(generation)

    def _look_at_loading(self, generation: Generation) -> None:
        try:
            ready = generation.look(first=True)
            if ready and generation.model != generation.expected:
                raise LoadingFailed(f"The actors say that they hold {generation.model}.")
            if not ready and generation.restarts:
                raise LoadingFailed("An actor died while it loaded the model.")
            if not ready and self._clock() - generation.started > self._options.load_s:
                raise LoadingFailed(f"Not loaded within {self._options.load_s:g} s.")
            if ready:
                generation.prove()
                generation.proven = True
        except (RayError, InferenceError, LoadingFailed) as error:
            self._drop(generation)
            self._refuse(str(generation.expected), error)

    def _situation(self) -> Situation:
        state, serving = self._state, self._cluster.serving
        canary = str(state.canary.model) if state.canary else None
        self._canaries |= {one for one in self._cluster.generations if _name(one) == canary and one is not serving}
        held = tuple(
            Held(
                model=_name(generation),
                ready=generation.ready(),
                proven=generation.proven,
                jobs=generation.jobs,
                left=max(generation.left, self._routed_away.get(generation, 0.0)),
                former=generation in self._routed_away,
                late=generation in self._routed_away and self._clock() - generation.ready_at < SILENT_S,
                shut=generation.shut,
                canary=generation in self._canaries,
            )
            for generation in self._cluster.generations
        )
        refused = self._refusals.in_force()
        state.room = self._room(held, {model for model in (state.wanted, canary) if model} - refused)
        return Situation(
            wanted=state.wanted,
            serving=_name(serving) if serving else None,
            served=state.served,
            held=held,
            refused=refused,
            tried=self._refusals.tried(),
            canary=canary,
            room=state.room,
        )

    def _room(self, held: Sequence[Held], coming: Set[str]) -> Room:
        """Whether one more generation fits. Measured only where another model is to come: every actor is asked."""
        state = self._state
        if len(held) != 1 or self._cluster.serving is None or coming <= {held[0].model}:
            return "enough"
        state.lacks = self._cluster.lacks(self._larger(held[0].model, coming - {held[0].model}))
        if state.lacks is None:
            state.lacks_since = math.inf
            return "enough"
        state.lacks_since = min(state.lacks_since, self._clock())
        return "none" if self._clock() - state.lacks_since > FREED_S else "unclear"

    def _larger(self, there: str, coming: Set[str]) -> int:
        """By how many bytes the largest that is to come is larger than what is there; 0 where nobody knows."""
        try:
            return max(self._models.size(model) for model in coming) - self._models.size(there) if self._models else 0
        except StoreError:  # fetching it says why
            return 0

    def _carry_out(self, step: Step) -> None:
        if step.kind == "load":
            self._load(str(step.model))
        elif step.kind == "close":
            words = "No room for two models, so new jobs wait in the queue until running ones have ended: model=%s %s"
            fields = {"model": self._state.wanted, "lacks": self._state.lacks}
            logger.warning(words, *fields.values(), extra=fields)
            self._route(None)
        elif step.kind == "route":
            self._route(self._find(step.model))
        elif step.kind == "shut":
            self._find(step.model).shut = True
        else:
            generation = self._find(step.model)
            if self._drop(generation):  # a retry may have come to it a moment ago
                logger.info("Model dropped: model=%s", step.model, extra={"model": step.model})

    def _drop(self, generation: Generation) -> bool:
        if not self._cluster.drop(generation):
            return False
        self._routed_away.pop(generation, None)
        self._canaries.discard(generation)
        return True

    def _load(self, model: str) -> None:
        logger.info("Model loading: model=%s", model, extra={"model": model})
        assert self._models is not None  # noqa: S101 - for the type checker: nothing else is ever wanted
        try:
            extractor = self._models.fetch(model)
            if not self._stopping.is_set():  # Ray may have gone while that came
                self._cluster.begin(extractor, expected=model)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a version, the one that works goes on
            self._refuse(model, error)

    def _route(self, generation: Generation | None) -> None:
        before = self._cluster.serving
        self._cluster.route(generation)
        if before is not None:
            self._routed_away[before] = self._clock()
        if generation is not None:
            self._routed_away.pop(generation, None)
            self._canaries.discard(generation)
            model = _name(generation)
            fields = {"model": model, "before": self._state.served}
            logger.info("Model swapped, new jobs get it: model=%s before=%s", *fields.values(), extra=fields)
            self._state.served = model
            self._refusals.forget(model)

    def _refuse(self, model: str, error: BaseException) -> None:
        failure = self._refusals.note(model, error, needed=model == self._state.served)
        fields = {"model": model, "stays": self._state.served, "error_code": failure.code}
        words = "Model not loaded: model=%s stays=%s error_code=%s %s"
        shown = error if failure.code == INTERNAL_ERROR else None
        logger.error(words, *fields.values(), failure.message, extra=fields, exc_info=shown)

    def _hand_out(self, canary: Canary | None) -> None:
        """Let claims give jobs to this canary, or to none."""
        before, self.canary = self.canary, canary
        if canary is not None and (before is None or before.id != canary.id):
            fields = {"model": str(canary.model), "share": canary.share}
            logger.info("Canary loaded, its athletes get it: model=%s share=%g", *fields.values(), extra=fields)

    def _find(self, model: str | None) -> Generation:
        return next(generation for generation in self._cluster.generations if _name(generation) == model)


def _name(generation: Generation) -> str:
    """The model that it was started for; of the first one, what its actors say."""
    return generation.expected or generation.model or "unknown"
