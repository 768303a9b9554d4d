"""The one door to Ray: connecting, and the pool of pose actors."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inference.errors import BackendUnavailable
from inference.extract import ExtractorOptions
from inference.spans import LEAST_ROOM, ROOM
from pipeline.pool import Member, Pool, Seat, Wish

if TYPE_CHECKING:
    from inference.actor import ActorStatus
    from inference.poses import ModelInfo

logger = logging.getLogger(__name__)

CONTROL = "control"
"""The Ray resource that only the worker's own node offers: tasks that ask for it may hold database credentials."""
ANSWER_S = 1.0
"""How long a look at the actors may take."""
WAITING_LOG_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterOptions:
    """How to reach Ray and what to run on it."""

    address: str = "local"
    actors: int = 0
    """0: one a GPU, or one where there is none."""
    actor_gpus: float = 0.0
    clips_per_actor: int = 8
    """Clips of every frame at 30 a second or more; of others more fit."""
    extractor: ExtractorOptions

    @property
    def room(self) -> int:
        """Pictures that an actor has room for, and as many again for more urgent clips."""
        return self.clips_per_actor * ROOM


class Cluster:
    """A connection to Ray with its pose actors. One a process, as Ray has it."""

    def __init__(self, options: ClusterOptions) -> None:
        self._options = options
        self._looking = threading.Lock()
        self._released = threading.Event()
        self.pool = Pool(options.room)
        self.model_info: ModelInfo | None = None
        """The model that an actor last said it holds."""

    def start(self, stop: threading.Event | None = None, *, on_connected: Callable[[], None] = lambda: None) -> None:
        """Connect, start the actors, and wait until each has loaded its model or `stop` is set.

        `on_connected` is called on this thread once Ray has replaced the signal handlers, so as to set them again.
        Raises what loading raises, and BackendUnavailable where a local Ray lacks the GPUs asked for.
        """
        stop = stop or threading.Event()
        self._connect()
        on_connected()
        self.pool.fill([self._start_actor() for _ in range(self._actor_count())])
        _warm_up()
        logged = time.monotonic()
        while not stop.is_set() and not self._look(first=True):
            if time.monotonic() - logged > WAITING_LOG_S:
                logged = time.monotonic()
                logger.warning("Waiting for pose actors: ready=%d of=%d", self.pool.ready(), len(self.pool.members))
        for status in self._answers():
            model = status.model
            values = {"model": model.name, "backend": model.backend, "precision": model.precision}
            logger.info("Pose actor ready: model=%s backend=%s precision=%s", *values.values(), extra=values)

    def capacity(self) -> int:
        """Jobs that all actors that answer now take at once, suspects that wait included; looks at them first."""
        self._look()
        return self.pool.capacity()

    def threshold(self, running: Sequence[int]) -> float:
        """Above which priority one more job would find a seat: see `Pool.threshold`; looks at the actors first."""
        self._look()
        return self.pool.threshold(running)

    @property
    def model(self) -> str | None:
        """`name@version` of the model that the actors hold; None until one has said so."""
        return self.model_info.ref if self.model_info else None

    @contextmanager
    def borrowed(
        self, wish: Wish | None = None, *, check: Callable[[float], None] = lambda silent_s: None
    ) -> Iterator[Seat]:
        """A seat in an actor that answers, for as long as the block runs; `check` as in `Pool.take`."""
        seat = self._take(wish or Wish(), check)
        try:
            yield seat
        finally:
            self.pool.leave(seat)

    @contextmanager
    def spare(self, seat: Seat, most: int) -> Iterator[list[Seat]]:
        """More seats for the clip of `seat`, as `Pool.spare` has them, at most so many, while the block runs."""
        seats: list[Seat] = []
        self._look()
        try:
            while len(seats) < most and (helper := self.pool.spare(seat)) is not None:
                seats.append(helper)
            yield seats
        finally:
            for helper in seats:
                self.pool.leave(helper)

    def died(self, seat: Seat) -> int:
        """The actor died under this clip: how many were in it then."""
        return self.pool.died(seat)

    def kill(self, seat: Seat) -> None:
        """End the actor of this seat, whatever it does, and have it started again: what it holds is lost."""
        import ray

        self.pool.died(seat)
        with suppress(ray.exceptions.RayError):  # gone already
            ray.kill(seat.actor, no_restart=False)

    def statuses(self) -> list[ActorStatus]:
        """What the actors say of themselves; one that does not answer (it may be starting again) is left out."""
        self._look()
        return self._answers()

    def stop(self) -> None:
        """Let the actors go and disconnect; a local Ray ends with it."""
        import ray

        self.pool.fill([])
        ray.shutdown()
        self._released.set()

    def _connect(self) -> None:
        """Connect on a thread of its own, which lives as long as the connection.

        On the main thread Ray would make a stop during the start an exit with a code of its own; and the kernel ends
        the processes of a local Ray with the thread that started them.
        """
        outcome: Future[None] = Future()

        def hold() -> None:
            try:
                _connect(self._options)
            except BaseException as error:  # noqa: BLE001 - it belongs to the thread that waits for us
                outcome.set_exception(error)
            else:
                outcome.set_result(None)
                self._released.wait()

        threading.Thread(target=hold, name="ray", daemon=True).start()
        outcome.result()

    def _answers(self) -> list[ActorStatus]:
        return [member.status for member in self.pool.members if member.status]

    def _take(self, wish: Wish, check: Callable[[float], None]) -> Seat:
        """A seat whose actor has just answered: the last look may be a second old, and a dead one takes no clip."""
        import ray

        while True:
            seat = self.pool.take(wish, check=check)
            try:
                ray.get(seat.actor.status.remote(), timeout=ANSWER_S)
            except ray.exceptions.RayError:
                if seat.member is not None:
                    self.pool.answered(seat.member, seat.life, None)
                self.pool.leave(seat)
            except BaseException:
                self.pool.leave(seat)
                raise
            else:
                return seat

    def _look(self, *, first: bool = False) -> bool:
        """Ask every actor for its status; True when all have answered. `first` raises what a constructor raised.

        A call to an actor that is starting again fails at once, so an actor that looks idle may be a dead one: without
        this look it would swallow the queue, an attempt of every job at a time.
        """
        import ray

        with self._looking:
            calls = [(member, *self._ask(member)) for member in self.pool.members]
            asked = [call for _, _, call in calls]
            answered, _ = ray.wait(asked, num_returns=len(asked), timeout=ANSWER_S) if asked else ([], [])
            for member, life, call in calls:
                self.pool.answered(member, life, self._answer(member, call, first) if call in answered else None)
            return self.pool.ready() == len(self.pool.members)

    def _ask(self, member: Member) -> tuple[int, Any]:
        """The member's life, and the call for its status that it has not answered yet."""
        asked, life = member.asked, member.life
        if asked is None or asked[0] != life:
            asked = member.asked = life, member.actor.status.remote()
        return asked

    def _answer(self, member: Member, call: Any, first: bool) -> ActorStatus | None:
        """What an answered call says; None for an actor that starts again."""
        import ray

        member.asked = None
        try:
            status: ActorStatus = ray.get(call)
        except ray.exceptions.ActorDiedError:
            if first:
                raise
            logger.warning("Pose actor is gone for good: another one is started")
            self.pool.replace(member, self._start_actor())
            return None
        except ray.exceptions.RayError:
            return None
        self.model_info = status.model
        return status

    def _actor_count(self) -> int:
        import ray

        options = self._options
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray left it untyped
        gpus = resources.get("GPU", 0.0)
        if options.address == "local" and gpus < options.actor_gpus:
            raise BackendUnavailable(f"actors want {options.actor_gpus:g} GPUs each, this machine has {gpus:g}")
        if options.actors or not options.actor_gpus:
            return options.actors or 1
        return max(1, int(gpus / options.actor_gpus))

    def _start_actor(self) -> Any:
        import ray

        from inference.actor import PoseActor

        declare: Any = ray.remote  # its types know neither concurrency groups nor max_concurrency
        remote = declare(
            # With a GPU the CPU only decodes; and several actors on a node must leave room for the tasks of the graph.
            num_cpus=0.5 if self._options.actor_gpus else 1,
            num_gpus=self._options.actor_gpus,
            max_restarts=-1,
            # Retries belong to the database alone: a clip that killed its actor must not kill the next at once.
            max_task_retries=0,
            # Above 1, so that a call whose arguments are not there yet does not hold back those behind it.
            max_concurrency=4,
            # As many threads as seats at most: a call beyond them would wait inside the actor, where nobody sees it.
            concurrency_groups={"analyse": 2 * self._options.room // LEAST_ROOM, "control": 4},
        )(PoseActor)
        return remote.remote(self._options.extractor)


def _warm_up() -> None:
    """Have processes for tasks import what the nodes of a graph need: a first job would wait two seconds for them."""
    import ray

    task = ray.remote(num_cpus=0.5, max_retries=0)(_import_nodes)
    for _ in range(2):
        task.remote()


def _import_nodes() -> None:
    import pipeline.dag  # noqa: F401 - what it imports is the point


def _connect(options: ClusterOptions) -> None:
    """Start or join Ray with everything set that must not be left to its defaults."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    # How a job failed is logged once, by us; the nodes that failed with it have nothing to add.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    cpus = len(os.sched_getaffinity(0))
    # Ray ends idle processes beyond one a CPU after a second; each fresh one imports for four CPU seconds before it
    # measures anything, which cost a burst of short clips most of its time.
    os.environ.setdefault("RAY_num_workers_soft_limit", str(cpus + 3))
    if options.address == "local":
        # Nothing outside this machine reaches a local Ray, and no token file is left behind.
        os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray

    if options.address != "local":
        ray.init(address=options.address, configure_logging=False)
        return
    ray.init(
        address="local",
        include_dashboard=False,
        configure_logging=False,
        # Actors hold a CPU each; the tasks of the graph must find a place beside them on the smallest machine.
        num_cpus=max(cpus, options.actors + 1, 2),
        resources={CONTROL: 1},
    )
