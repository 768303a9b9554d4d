"""The start commands of `ray-cluster.yaml`, carried out: a head and a GPU node on this machine, with Ray's token.

Taken out: the autoscaler (it would ask AWS for nodes) and fixed ports (two nodes share one machine here). The GPU is a
number that Ray is told. Everything else, and what each node offers, is the file's.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from ports import free_port

ROOT = Path(__file__).resolve().parents[2]

DRIVER = """
import json, os, sys, ray
ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)

@ray.remote(max_retries=0)
def where():
    return ray.get_runtime_context().get_node_id(), os.environ.get("CUDA_VISIBLE_DEVICES")

nodes = {node["NodeID"]: node["Resources"] for node in ray.nodes()}
print(json.dumps({
    "nodes": nodes,
    "control": ray.get(where.options(num_cpus=0, resources={"control": 0.001}).remote(), timeout=60),
    "plain": ray.get(where.options(num_cpus=1).remote(), timeout=60),
}))
"""


@dataclass(frozen=True, kw_only=True)
class LocalCluster:
    address: str
    dashboard: str
    token: str
    variables: dict[str, str]

    def jobs_status(self, token: str | None) -> int:
        """HTTP status of Ray's job list, asked for with this token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.get(f"{self.dashboard}/api/jobs/", headers=headers).status_code

    def drive(self) -> subprocess.CompletedProcess[str]:
        """Run the driver above against the cluster, as a process of its own: Ray is one a process."""
        return subprocess.run(
            [sys.executable, "-c", DRIVER, self.address],
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def start_words(config: dict[str, Any], role: str, *, dropped: tuple[str, ...], added: tuple[str, ...]) -> list[str]:
    (line,) = [line for line in config[f"{role}_start_ray_commands"] if line.startswith("ray start")]
    words = [word for word in shlex.split(line) if not word.startswith(dropped)]
    return [str(Path(sys.executable).with_name("ray")), *words[1:], "--block", *added]


@contextmanager
def node(words: list[str], variables: dict[str, str], resources: dict[str, int], log: Path) -> Iterator[None]:
    """`ray start --block`; ended through its own pid, for `ray stop` would end everybody's Ray."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            words,
            env={**variables, "RAY_OVERRIDE_RESOURCES": json.dumps(resources)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while "Ray runtime started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    folder = tmp_path_factory.mktemp("cluster")
    config = yaml.safe_load((ROOT / "ray-cluster.yaml").read_text(encoding="utf-8"))
    nodes = config["available_node_types"]
    given = [option.removeprefix("-e ") for option in config["docker"]["run_options"] if option.startswith("-e ")]
    token = folder / "home" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text(secrets.token_hex(32))
    port, dashboard_port = free_port(), free_port()
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        **dict(pair.split("=", 1) for pair in given),
    }
    head = start_words(
        config,
        "head",
        dropped=("--port", "--autoscaling-config", "--object-manager-port"),
        added=(f"--port={port}", "--node-ip-address=127.0.0.1", f"--dashboard-port={dashboard_port}"),
    )
    gpu = start_words(
        config,
        "worker",
        dropped=("--address", "--object-manager-port"),
        added=(f"--address=127.0.0.1:{port}", "--node-ip-address=127.0.0.1"),
    )
    with ExitStack() as stack:
        stack.enter_context(node(head, variables, nodes["head"]["resources"], folder / "head.log"))
        stack.enter_context(node(gpu, variables, nodes["gpu-g6"]["resources"], folder / "gpu.log"))
        yield LocalCluster(
            address=f"127.0.0.1:{port}",
            dashboard=f"http://127.0.0.1:{dashboard_port}",
            token=token.read_text(),
            variables=variables,
        )


@pytest.mark.ray
def test_control_is_on_the_head_and_everything_else_is_not(cluster: LocalCluster) -> None:
    done = cluster.drive()
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    offered = {
        name: (found.get("CPU", 0), found.get("GPU", 0), found.get("control", 0))
        for name, found in seen["nodes"].items()
    }
    control_node, control_gpus = seen["control"]
    plain_node, plain_gpus = seen["plain"]
    assert offered == {control_node: (0, 0, 1), plain_node: (4, 1, 0)}
    assert control_gpus == plain_gpus == "", "a task that asked for no GPU must see none"


@pytest.mark.ray
def test_only_the_token_opens_the_jobs_api(cluster: LocalCluster) -> None:
    # Whoever may submit a job runs code in the cluster.
    assert cluster.jobs_status(token=None) == 401
    assert cluster.jobs_status(token="0" * 64) in {401, 403}
    assert cluster.jobs_status(token=cluster.token) == 200
