"""`ray-cluster.yaml` against Ray's own validation and EC2's own parameter model, offline: no AWS, no network."""

from __future__ import annotations

import copy
import importlib.metadata
import socket
from pathlib import Path
from typing import Any

import botocore.session
import botocore.validate
import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from frontfoot.settings import Settings
from pipeline.cluster import CONTROL

ROOT = Path(__file__).resolve().parents[2]
SPOT = ("gpu-g6", "gpu-g5")


@pytest.fixture
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "ray-cluster.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("validation must not reach for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def accept(config: dict[str, Any]) -> dict[str, Any]:
    """What Ray does with the file before it does anything else; raises what Ray raises."""
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def run_instances_faults(node_config: dict[str, Any]) -> str:
    """What botocore would refuse to send to EC2; the rest of the call is what Ray's AWS provider adds."""
    model = botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "ray-cluster-name", "Value": "frontfoot"}]}]
    request = {**node_config, "SubnetId": "subnet-0", "MinCount": 1, "MaxCount": 1, "TagSpecifications": tags}
    return str(botocore.validate.ParamValidator().validate(request, model.input_shape).generate_report())


def options(config: dict[str, Any], name: str) -> str:
    return "\n".join(config["docker"][name])


def test_ray_accepts_the_file(config: dict[str, Any]) -> None:
    prepared = accept(config)
    assert prepared["head_node_type"] == "head"
    assert prepared["available_node_types"]["head"]["max_workers"] == 0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("docker", "imagee"), "a-typo"),
        (("setup_comands",), []),
        (("available_node_types", "head", "resources"), {"control": 0.5}),
        (("max_workers",), "8"),
    ],
)
def test_ray_refuses_a_broken_copy(config: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        accept(config)


def test_ray_refuses_a_missing_head(config: dict[str, Any]) -> None:
    config["head_node_type"] = "heads"
    with pytest.raises(ValueError, match="head_node_type"):
        accept(config)


@pytest.mark.parametrize("node_type", ["head", *SPOT])
def test_ec2_accepts_each_node(config: dict[str, Any], node_type: str) -> None:
    assert run_instances_faults(config["available_node_types"][node_type]["node_config"]) == ""


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("InstanceTyp", "g6.xlarge", "Unknown parameter"),
        ("BlockDeviceMappings", [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": "100"}}], "Invalid type"),
        ("IamInstanceProfile", "frontfoot-ray-spot", "Invalid type"),
        ("InstanceMarketOptions", {"MarketTyp": "spot"}, "Unknown parameter"),
    ],
)
def test_ec2_refuses_a_broken_node(config: dict[str, Any], field: str, value: object, fault: str) -> None:
    node = config["available_node_types"]["gpu-g6"]["node_config"]
    assert fault in run_instances_faults({**node, field: value})


def test_the_head_takes_no_pose_work_and_alone_offers_control(config: dict[str, Any]) -> None:
    nodes = config["available_node_types"]
    assert nodes["head"]["resources"] == {"CPU": 0, CONTROL: 1}
    assert "InstanceMarketOptions" not in nodes["head"]["node_config"], "the head must not be taken back"
    assert all(CONTROL not in nodes[name]["resources"] for name in SPOT)


def test_gpu_nodes_are_spot_and_start_at_none(config: dict[str, Any]) -> None:
    nodes = config["available_node_types"]
    assert set(nodes) == {"head", *SPOT}
    for name in SPOT:
        assert nodes[name]["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
        assert nodes[name]["resources"]["GPU"] == 1
        assert nodes[name]["min_workers"] == 0
        assert nodes[name]["max_workers"] == config["max_workers"]
    assert len({nodes[name]["node_config"]["InstanceType"] for name in SPOT}) == len(SPOT)


def test_nothing_is_installed_on_a_node(config: dict[str, Any]) -> None:
    prepared = accept(config)
    for name in ("setup_commands", "head_setup_commands", "worker_setup_commands"):
        assert prepared[name] == [], f"{name}: Ray's default would install"


def test_tokens_are_on_and_statistics_off_on_every_node(config: dict[str, Any]) -> None:
    shared = options(config, "run_options")
    settings = ("RAY_AUTH_MODE=token", "RAY_USAGE_STATS_ENABLED=0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=1")
    for setting in (*settings, "RAY_worker_oom_score_adjustment=500"):
        assert f"-e {setting}" in shared
    head_start = "\n".join(config["head_start_ray_commands"])
    # The launcher exports its own idea of usage statistics before the start command, and this flag wins over it.
    assert "--disable-usage-stats" in head_start
    assert "--dashboard-host=127.0.0.1" in head_start
    assert list(config["file_mounts"]) == ["/home/frontfoot/.ray/auth_token"]


def test_spot_nodes_are_given_no_credentials(config: dict[str, Any]) -> None:
    assert "--env-file /etc/frontfoot/worker.env" in options(config, "head_run_options")
    everywhere = options(config, "run_options") + options(config, "worker_run_options") + str(config["file_mounts"])
    assert "worker.env" not in everywhere
    assert "DATABASE_URL" not in everywhere
    head, *spot = [config["available_node_types"][name]["node_config"] for name in ("head", *SPOT)]
    assert "secretsmanager" in head["UserData"]
    assert all("UserData" not in node for node in spot)
    assert {node["IamInstanceProfile"]["Name"] for node in spot} == {"frontfoot-ray-spot"}
    assert head["IamInstanceProfile"]["Name"] == "frontfoot-ray-head"


def test_the_image_is_the_workers_of_this_version(config: dict[str, Any]) -> None:
    name, _, tag = config["docker"]["image"].rpartition("/")[2].partition(":")
    assert (name, tag) == ("frontfoot-worker", importlib.metadata.version("frontfoot"))
    dockerfile = (ROOT / "deploy" / "Dockerfile.worker").read_text(encoding="utf-8")
    assert "\nENTRYPOINT" not in dockerfile, "Ray's launcher starts the container with `bash`"
    for program in ("openssh-client", "rsync"):
        assert program in dockerfile, "Ray's launcher runs it in the head's container"


def test_frontfoots_settings_are_spelled_right(config: dict[str, Any]) -> None:
    given = [word for line in config["docker"]["head_run_options"] for word in line.split() if "FRONTFOOT_" in word]
    values = {
        name.removeprefix("FRONTFOOT_").lower(): value for name, _, value in (word.partition("=") for word in given)
    }
    assert values == {"ray_address": "auto", "actor_gpus": "1"}
    assert Settings.model_validate(values).actor_gpus == 1
    assert set(values) <= set(Settings.model_fields)
