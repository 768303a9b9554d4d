"""The one door to Ray: connecting, and the pool of pose actors."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inference.extract import ExtractorOptions

if TYPE_CHECKING:
    from inference.actor import ActorStatus

logger = logging.getLogger(__name__)

CONTROL = "control"
"""The Ray resource that only the worker's own node offers: tasks that ask for it may hold database credentials."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterOptions:
    """How to reach Ray and what to run on it."""

    address: str = "local"
    actors: int = 0
    """0: one a GPU, or one where there is none."""
    actor_gpus: float = 0.0
    clips_per_actor: int = 8
    extractor: ExtractorOptions


class Cluster:
    """A connection to Ray with its pose actors. One a process, as Ray has it."""

    def __init__(self, options: ClusterOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._load: dict[Any, int] = {}

    def start(self) -> None:
        """Connect, start the actors, and wait until each has loaded its model. Raises what loading raises."""
        ray = _connect(self._options.address)
        actors = [self._start_actor(ray) for _ in range(self._actor_count(ray))]
        for status in ray.get([actor.status.remote() for actor in actors]):
            logger.info("Pose actor ready: model=%s backend=%s", status.model.name, status.model.backend)
        self._load = dict.fromkeys(actors, 0)

    @property
    def capacity(self) -> int:
        """Clips that all actors together take at once."""
        return len(self._load) * self._options.clips_per_actor

    def borrow(self) -> Any:
        """Take the least busy actor for one clip; give it back with `give_back`."""
        with self._lock:
            actor = min(self._load, key=lambda candidate: self._load[candidate])
            self._load[actor] += 1
            return actor

    def give_back(self, actor: Any) -> None:
        """Return a borrowed actor."""
        with self._lock:
            self._load[actor] -= 1

    def statuses(self) -> list[ActorStatus]:
        """What the actors say of themselves; one that does not answer (it may be starting again) is left out."""
        import ray

        asked = [actor.status.remote() for actor in self._load]
        answered, _ = ray.wait(asked, num_returns=len(asked), timeout=2.0) if asked else ([], [])
        statuses: list[ActorStatus] = []
        for reference in answered:
            with suppress(ray.exceptions.RayError):
                statuses.append(ray.get(reference))
        return statuses

    def stop(self) -> None:
        """Let the actors go and disconnect; a local Ray ends with it."""
        import ray

        self._load = {}
        ray.shutdown()

    def _actor_count(self, ray: Any) -> int:
        if self._options.actors:
            return self._options.actors
        gpus = float(ray.cluster_resources().get("GPU", 0))
        return max(1, int(gpus / self._options.actor_gpus)) if self._options.actor_gpus else 1

    def _start_actor(self, ray: Any) -> Any:
        from inference.actor import PoseActor

        remote = ray.remote(
            num_cpus=1,
            num_gpus=self._options.actor_gpus,
            max_restarts=-1,
            # Retries belong to the database alone: a clip that killed its actor must not kill the next at once.
            max_task_retries=0,
            # Above 1, so that a call whose arguments are not there yet does not hold back those behind it.
            max_concurrency=4,
            concurrency_groups={"analyse": self._options.clips_per_actor, "control": 4},
        )(PoseActor)
        return remote.remote(self._options.extractor)


def _connect(address: str) -> Any:
    """Start or join Ray with everything set that must not be left to its defaults."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    cpus = len(os.sched_getaffinity(0))
    # Ray ends idle processes beyond one a CPU after a second; each fresh one imports for four CPU seconds before it
    # measures anything, which cost a burst of short clips most of its time.
    os.environ.setdefault("RAY_num_workers_soft_limit", str(cpus + 3))
    if address != "local":
        import ray

        ray.init(address=address, log_to_driver=True, configure_logging=False)
        return ray
    # Nothing outside this machine reaches a local Ray, and no token file is left behind.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    ray.init(
        address="local",
        include_dashboard=False,
        configure_logging=False,
        # One CPU belongs to the actor; on a single core the tasks of the graph must still find a place.
        num_cpus=max(2, cpus),
        resources={CONTROL: 1},
    )
    return ray
