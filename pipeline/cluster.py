"""The one door to Ray: connecting, and the generations of pose actors."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inference.errors import BackendUnavailable
from inference.extract import ExtractorOptions
from inference.spans import LEAST_ROOM, ROOM
from pipeline import memory, places, ray_state
from pipeline.generation import Generation

if TYPE_CHECKING:
    from inference.actor import ActorStatus

logger = logging.getLogger(__name__)

CONTROL = "control"
"""The Ray resource that only the worker's own node offers: tasks that ask for it may hold database credentials."""
TASK_CPUS = 1
"""What the dearest task of a graph asks for: actors that left less would let no job end."""
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
    """What the first generation loads."""

    @property
    def room(self) -> int:
        """Pictures that an actor has room for, and as many again for more urgent clips."""
        return self.clips_per_actor * ROOM

    @property
    def actor_cpus(self) -> float:
        """CPUs that an actor asks Ray for.

        With a GPU the CPU only decodes; and several actors on a node must leave room for the tasks of the graph. A
        local Ray is told of none: there the tasks have CPUs of their own, and a second generation always finds a place.
        """
        if self.actor_gpus:
            return 0.5
        return 0 if self.address == "local" else 1


class Cluster:
    """A connection to Ray with its generations of pose actors. One a process, as Ray has it."""

    def __init__(self, options: ClusterOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._generations: list[Generation] = []
        self._serving: Generation | None = None
        self._actors = 0

    @property
    def generations(self) -> tuple[Generation, ...]:
        """All that there are, whether they serve or not."""
        return tuple(self._generations)

    @property
    def serving(self) -> Generation | None:
        """The one that new jobs get; None while none does."""
        return self._serving

    def start(self, stop: threading.Event | None = None, *, on_connected: Callable[[], None] = lambda: None) -> None:
        """Connect, start the first generation, and wait until each actor has loaded its model or `stop` is set.

        `on_connected` is called on this thread once Ray has replaced the signal handlers, so as to set them again.
        Raises what loading raises, in Ray's wrapping, and BackendUnavailable where a local Ray lacks the GPUs asked
        for.
        """
        stop = stop or threading.Event()
        self._connect()
        on_connected()
        self._actors = self._actor_count()
        first = self.begin(self._options.extractor)
        _warm_up()
        logged = time.monotonic()
        while not stop.is_set() and not first.look(first=True):
            if time.monotonic() - logged > WAITING_LOG_S:
                logged = time.monotonic()
                logger.warning("Waiting for pose actors: ready=%d of=%d", first.pool.ready(), self._actors)
        self.route(first)

    def begin(self, extractor: ExtractorOptions, *, expected: str | None = None) -> Generation:
        """Start one more generation, without waiting for it; nothing is routed to it yet.

        `expected` is the `name@version` that it is to load.
        """
        import ray

        # What brings its weights is stored once for all actors, and held: without it none could start again.
        given = ray.put(extractor) if extractor.registered else extractor
        generation = Generation(
            lambda: self._start_actor(given), actors=self._actors, room=self._options.room, expected=expected
        )
        with self._lock:
            self._generations.append(generation)
        return generation

    def route(self, generation: Generation | None) -> None:
        """Give new jobs to this generation; None: to nobody."""
        with self._lock:
            self._serving = generation
            if generation is not None:
                generation.proven, generation.shut = True, False
        for status in generation.statuses() if generation else ():
            model = status.model
            values = {"model": model.name, "backend": model.backend, "precision": model.precision}
            logger.info("Pose actor ready: model=%s backend=%s precision=%s", *values.values(), extra=values)

    def drop(self, generation: Generation) -> bool:
        """End a generation's actors. False, and nothing happens, while it serves or a job holds it."""
        with self._lock:
            if generation is self._serving or generation.jobs:
                return False
            self._generations.remove(generation)
        generation.end()
        return True

    @contextmanager
    def entered(self, canary: str | None = None) -> Iterator[tuple[Generation, ...]]:
        """The generation that serves, and behind it the canary's where jobs may come to that, held for the block.

        None of them while none serves.
        """
        with self._lock:
            serving = self._serving
            beside = [one for one in self._generations if canary and one.model == canary and _may_come(one)]
            held = () if serving is None else (serving, *(one for one in beside if one is not serving))
            for generation in held:
                generation.hold()
        try:
            yield held
        finally:
            for generation in held:
                generation.release()

    def holds(self) -> list[str]:
        """The models of all generations to which jobs that mean them may come."""
        return [one.model for one in self.generations if one.model and _may_come(one)]

    def hold(self, model: str | None, entered: Sequence[Generation]) -> Generation:
        """Hold the generation of this model until its `release`, or else the first of those that were entered.

        One of those if it is there, or else another, warm or draining as it may be.
        """
        with self._lock:
            there = (*entered, *(one for one in self._generations if _may_come(one)))
            held = next((one for one in there if model and one.model == model), entered[0])
            held.hold()
        return held

    def capacity(self) -> int:
        """Jobs that the serving actors which answer now take at once; looks at them first."""
        serving = self._serving
        return serving.capacity() if serving else 0

    def statuses(self) -> list[ActorStatus]:
        """What the actors of all generations say; one that does not answer (it may be starting again) is left out."""
        serving = self._serving
        if serving:
            serving.look()
        return [status for generation in self.generations for status in generation.statuses()]

    def lacks(self, larger_bytes: int = 0) -> str | None:
        """What one more generation would lack now, in words; None where it would find a place beside this one.

        Ray's resources where actors ask for any, and the memory that one like those that are there would take, of a
        model whose artifact is so much larger.
        """
        each = {"GPU": self._options.actor_gpus, "CPU": self._options.actor_cpus}
        serving = self._serving
        lacks = places.lacking(self._free(), each, self._actors)
        return lacks or (memory.lacking(serving.memories(), larger_bytes) if serving else None)

    def _free(self) -> list[dict[str, float]]:
        """What each of Ray's nodes has for more actors.

        A GPU is an actor's for as long as that lives, a CPU mostly a task's for a moment. On a local Ray, where all is
        ours, what tasks have counts as free but for the one CPU that must stay theirs. In a cluster it does not: Ray
        does not say who has what, and actors that took the last CPUs would let no job end.
        """
        import ray

        nodes = list(ray_state.free_by_node().values())
        if self._options.address != "local":
            return nodes
        everything: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray left it untyped
        held = len(self._generations) * self._actors * self._options.actor_cpus
        return [{**node, "CPU": max(0.0, everything.get("CPU", 0.0) - held - TASK_CPUS)} for node in nodes]

    def stop(self) -> None:
        """Let the actors go and disconnect; a local Ray ends with it."""
        import ray

        self._serving = None
        self._generations.clear()
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

    def _start_actor(self, extractor: Any) -> Any:
        """An actor that loads what these `ExtractorOptions`, or a reference to them, say."""
        import ray

        from inference.actor import PoseActor

        declare: Any = ray.remote  # its types know neither concurrency groups nor max_concurrency
        remote = declare(
            num_cpus=self._options.actor_cpus,
            num_gpus=self._options.actor_gpus,
            max_restarts=-1,
            # Retries belong to the database alone: a clip that killed its actor must not kill the next at once.
            max_task_retries=0,
            # Above 1, so that a call whose arguments are not there yet does not hold back those behind it.
            max_concurrency=4,
            # As many threads as seats at most: a call beyond them would wait inside the actor, where nobody sees it.
            concurrency_groups={"analyse": 2 * self._options.room // LEAST_ROOM, "control": 4},
        )(PoseActor)
        return remote.remote(extractor)


def _may_come(generation: Generation) -> bool:
    return generation.proven and generation.ready() and not generation.shut


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
    # Above Ray's own processes, below an actor that only loads (`inference.memory.Expendable`), which by default is no
    # more expendable than those at work: where memory runs out in a swap, the new model is to go.
    os.environ.setdefault("RAY_worker_oom_score_adjustment", "500")
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
        num_cpus=_task_cpus(options, cpus),
        resources={CONTROL: 1},
    )


def _task_cpus(options: ClusterOptions, cpus: int) -> int:
    """CPUs that a local Ray is told of: what the actors leave of this machine's, and on the smallest still one."""
    actors = options.actors or 1
    if options.actor_cpus:
        return max(cpus, options.actors + 1, 2)
    return max(cpus - actors, 1)
