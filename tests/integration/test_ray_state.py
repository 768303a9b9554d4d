"""What Ray's control store is asked, of a real cluster of several nodes; the GPUs are numbers that Ray is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Ray is one a process, and this one may have its own.
DRIVER = """
import json, os, sys, time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster as Nodes

from inference.extract import ExtractorOptions
from pipeline import ray_state
from pipeline.cluster import Cluster, ClusterOptions
from pipeline.generation import Generation

nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1, "include_dashboard": False})
nodes.add_node(num_cpus=1, num_gpus=1)
ray.init(address=nodes.address, logging_level="ERROR", log_to_driver=False)
unused = ExtractorOptions(cache_dir=Path("unused"))

def lacks(actors, gpus):
    cluster = Cluster(ClusterOptions(address=nodes.address, actors=actors, actor_gpus=gpus, extractor=unused))
    cluster._actors = actors
    return cluster.lacks()

def until(reached):
    deadline = time.monotonic() + 30
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.1)

@ray.remote(num_cpus=0, num_gpus=0.5)
class Half:
    def up(self):
        return True

@ray.remote(num_cpus=0, max_restarts=-1)
class Late:
    def __init__(self):
        if not ray.get_runtime_context().was_current_actor_reconstructed:
            os._exit(1)
        time.sleep(3600)

    def status(self):
        return None

@ray.remote(num_cpus=0, max_restarts=-1)
class Slow:
    def __init__(self):
        time.sleep(3600)

    def status(self):
        return None

until(lambda: len(ray_state.free_by_node()) == 2)
said = {"two_of_one": lacks(2, 1), "one_of_two": lacks(1, 2), "three_of_one": lacks(3, 1)}
halves = [Half.options(scheduling_strategy="SPREAD").remote() for _ in range(2)]
ray.get([half.up.remote() for half in halves])
until(lambda: sum(free.get("GPU", 0) for free in ray_state.free_by_node().values()) < 2)
said["free"] = sorted(free.get("GPU", 0) for free in ray_state.free_by_node().values())
said["one_of_one"] = lacks(1, 1)
nodes.add_node(num_cpus=1, num_gpus=1)
until(lambda: len(ray_state.free_by_node()) == 3)
said["one_of_one_more_node"] = lacks(1, 1)

late, slow = (Generation(kind.remote, actors=1, room=64) for kind in (Late, Slow))
until(lambda: late.look(first=True) or late.restarts)
slow.look(first=True)
said["late"], said["slow"] = (late.ready(), late.restarts), (slow.ready(), slow.restarts)
print(json.dumps(said))
ray.shutdown()
nodes.shutdown()
"""


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        env={**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.ray
def test_what_is_left_on_several_nodes_is_no_place_for_one_actor(said: dict[str, Any]) -> None:
    assert said["two_of_one"] is None
    assert said["three_of_one"] == "3 GPUs are wanted, 2 are free"
    nowhere = "on one node are wanted, there are 0 such places"
    assert said["one_of_two"] == f"1 times 2 GPUs and 0.5 CPUs {nowhere}"
    assert said["free"] == [0.5, 0.5]
    assert said["one_of_one"] == f"1 times 1 GPUs and 0.5 CPUs {nowhere}"
    assert said["one_of_one_more_node"] is None


@pytest.mark.ray
def test_an_actor_that_ends_while_it_loads_is_seen_though_what_it_was_asked_waits_on(said: dict[str, Any]) -> None:
    assert said["late"] == [False, 1]
    assert said["slow"] == [False, 0]
