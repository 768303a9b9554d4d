"""Which generation a job gets, and when one may go. The actors do nothing here, and there is no Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inference.actor import ActorStatus
from inference.batcher import BatchStats
from inference.extract import ExtractorOptions
from inference.poses import ModelInfo
from inference.spans import ROOM
from pipeline.cluster import Cluster, ClusterOptions, _task_cpus
from pipeline.generation import Generation


def options(**others: Any) -> ClusterOptions:
    return ClusterOptions(extractor=ExtractorOptions(cache_dir=Path("unused")), **others)


def generation(cluster: Cluster, version: str, *, ready: bool = True) -> Generation:
    model = ModelInfo(name="net", version=version, sha256="0", backend="torch", precision="fp32", runtime="torch 2")
    made = Generation(lambda: "actor", actors=1, room=ROOM)
    made.model_info = model
    if ready:
        made.pool.answered(made.pool.members[0], 0, ActorStatus(model=model, clips=0, batches=BatchStats()))
        made.proven = True
    cluster._generations.append(made)
    return made


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(Generation, "end", lambda self: None)
    return Cluster(options())


def test_what_serves_is_held_while_somebody_claims_for_it(cluster: Cluster) -> None:
    one = generation(cluster, "1")
    with cluster.entered() as entered:
        assert entered == ()
    cluster.route(one)
    with cluster.entered() as entered:
        assert entered == (one,)
        cluster.route(generation(cluster, "2"))
        assert not cluster.drop(one)
    assert one.jobs == 0
    assert cluster.drop(one)
    assert one not in cluster.generations


def test_what_serves_is_never_dropped(cluster: Cluster) -> None:
    one = generation(cluster, "1")
    cluster.route(one)
    assert not cluster.drop(one)
    assert cluster.generations == (one,)


def test_a_job_holds_its_generation_to_its_end(cluster: Cluster) -> None:
    one, two = generation(cluster, "1"), generation(cluster, "2")
    cluster.route(two)
    began = one.left
    assert cluster.hold("net@1", (two,)) is one
    assert not cluster.drop(one)
    one.release()
    assert one.left > began
    assert cluster.drop(one)


def test_a_retry_whose_model_is_gone_or_not_there_yet_gets_what_serves(cluster: Cluster) -> None:
    serving = generation(cluster, "2")
    generation(cluster, "3", ready=False)
    for model in (None, "net@1", "net@3"):
        assert cluster.hold(model, (serving,)) is serving
    assert serving.jobs == 3


def test_a_canary_is_held_beside_what_serves_while_somebody_claims_for_both(cluster: Cluster) -> None:
    one, two = generation(cluster, "1"), generation(cluster, "2")
    with cluster.entered("net@2") as entered:
        assert entered == (), "nothing serves"
    cluster.route(one)
    with cluster.entered("net@1") as entered:
        assert entered == (one,), "what serves is no canary"
    with cluster.entered("net@2") as entered:
        assert entered == (one, two)
        assert not cluster.drop(two)
        two.shut = True
        assert cluster.hold("net@2", entered) is two, "it was claimed for it"
        two.release()
    generation(cluster, "3", ready=False)
    for model in ("net@2", "net@3"):
        with cluster.entered(model) as entered:
            assert entered == (one,), "it is shut, or still loading"
    assert (one.jobs, two.jobs) == (0, 0)


def test_nobody_comes_to_one_whose_place_is_wanted(cluster: Cluster) -> None:
    one, two = generation(cluster, "1"), generation(cluster, "2")
    generation(cluster, "3", ready=False)
    cluster.route(two)
    assert cluster.holds() == ["net@1", "net@2"]
    one.shut = True
    assert cluster.holds() == ["net@2"]
    assert cluster.hold("net@1", (two,)) is two
    cluster.route(one)
    assert cluster.holds() == ["net@1", "net@2"], "it was taken back"


@pytest.mark.parametrize(
    ("given", "cpus", "actor", "tasks"),
    [
        ({}, 2, 0, 1),
        ({}, 1, 0, 1),
        ({"actors": 3}, 8, 0, 5),
        ({"actors": 3}, 2, 0, 1),
        ({"actor_gpus": 1}, 8, 0.5, 8),
        ({"actor_gpus": 1, "actors": 4}, 2, 0.5, 5),
    ],
)
def test_a_local_ray_is_told_of_the_cpus_that_actors_leave(
    given: dict[str, Any], cpus: int, actor: float, tasks: int
) -> None:
    chosen = options(**given)
    assert (chosen.actor_cpus, _task_cpus(chosen, cpus)) == (actor, tasks)


@pytest.mark.parametrize(
    ("address", "has", "free", "lacks"),
    [
        ("local", {"CPU": 8, "GPU": 2}, {"GPU": 1}, None),  # tasks have all CPUs, for a moment
        ("local", {"CPU": 2, "GPU": 2}, {"CPU": 1.5, "GPU": 1}, None),
        ("local", {"CPU": 1, "GPU": 2}, {"CPU": 0.5, "GPU": 1}, "0.5 CPUs are wanted, 0 are free"),
        ("local", {"CPU": 8, "GPU": 1}, {"CPU": 7.5}, "1 GPUs are wanted, 0 are free"),
        ("auto", {"CPU": 8, "GPU": 2}, {"GPU": 1}, "0.5 CPUs are wanted, 0 are free"),
        ("auto", {"CPU": 8, "GPU": 2}, {"CPU": 0.5, "GPU": 1}, None),
    ],
)
def test_what_one_more_generation_lacks_is_what_actors_have_and_not_what_tasks_have_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    has: dict[str, float],
    free: dict[str, float],
    lacks: str | None,
) -> None:
    """Ray's two answers are the test's: a Ray here has no GPU to give away."""
    monkeypatch.setattr("ray.cluster_resources", lambda: dict(has))
    monkeypatch.setattr("pipeline.ray_state.free_by_node", lambda: {"node": dict(free)})
    cluster = Cluster(options(address=address, actor_gpus=1))
    cluster._actors = 1
    generation(cluster, "1")
    assert cluster.lacks() == lacks


def test_in_a_cluster_an_actor_asks_for_a_cpu() -> None:
    assert options(address="auto").actor_cpus == 1


def test_nobody_comes_to_actors_that_have_shown_nothing_yet(cluster: Cluster) -> None:
    one, two = generation(cluster, "1"), generation(cluster, "2")
    cluster.route(one)
    two.proven = False
    assert cluster.holds() == ["net@1"]
    assert cluster.hold("net@2", (one,)) is one
