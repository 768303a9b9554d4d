"""The model catalogue through HTTP: what is shown, what moves, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from uuid import uuid4

import httpx
import pytest
from api_server import Backend, Served, client, problem

from models.canaries import Canaries
from models.canary import Limits
from models.database import Database
from models.jobs import Owner
from models.keys import KeyRegister
from models.model_catalogue import ModelCatalogue
from models.model_versions import BUILT_IN, ModelRef, ModelVersion, StoredArtifact
from models.promotion import Policy
from models.worker_models import WorkerModel


@pytest.fixture
def operator(served: Served, backend: Backend) -> Iterator[httpx.Client]:
    database = Database(backend.database_url)
    made = KeyRegister(database).create(Owner(owner_type="org", owner_id="ops"), name="ops", scopes=["models"])
    database.close()
    with client(served.url, made.token) as ops:
        yield ops


def registered(served: Served, *, kept: bool = True, skeleton: str = "coco-17") -> ModelVersion:
    """A version that nobody has, its artifact in the store or not."""
    catalogue: ModelCatalogue = served.app.state.services.catalogue
    sha256 = uuid4().hex * 2
    artifact = StoredArtifact(bucket=served.store.bucket, key=f"models/{sha256}.zip", sha256=sha256)
    if kept:
        served.store.put_bytes(artifact.bucket, artifact.key, b"a network")
    ref = ModelRef(name=f"club-{uuid4().hex[:8]}", version="1")
    skeletons = {**BUILT_IN.skeleton, "name": skeleton}
    return catalogue.add(replace(BUILT_IN, ref=ref, artifact=artifact, skeleton=skeletons, created_by="anna"))


def test_a_promotion_and_the_way_back(served: Served, operator: httpx.Client) -> None:
    version, alias = registered(served), f"alias-{uuid4().hex[:8]}"
    first = operator.post(f"/models/aliases/{alias}/promote", json={"model": str(BUILT_IN.ref)})
    assert (first.status_code, first.json()["model"]) == (200, str(BUILT_IN.ref))
    promoted = operator.post(f"/models/aliases/{alias}/promote", json={"model": str(version.ref), "reason": "better"})
    assert promoted.json()["model"] == str(version.ref)
    again = operator.post(f"/models/aliases/{alias}/promote", json={"model": str(version.ref)})
    assert again.json() == promoted.json()  # nothing moved
    move = promoted.json()["moves"][-1]
    assert (move["kind"], move["from"], move["to"]) == ("promote", str(BUILT_IN.ref), str(version.ref))
    assert (move["reason"], move["forced"], move["moved_by"][:4]) == ("better", False, "key:")
    word = WorkerModel(worker_id=alias, follows=alias, model="net@1", state="loading", wanted=str(version.ref))
    served.app.state.services.worker_models.say(word)
    shown = operator.get(f"/models/{version.ref}").json()
    assert shown["workers"] == [asdict(word)]
    assert operator.get(f"/models/{BUILT_IN.ref}").json()["workers"] == []
    assert (shown["aliases"], shown["moves"]) == ([alias], [move])
    assert operator.get(f"/models/{alias}").json() == shown
    everything = operator.get("/models").json()
    assert asdict(word) in everything["workers"]
    said = operator.get("/health/ready").json()  # nobody needs a token for it, so it names nobody
    loading = sum(one["state"] == "loading" for one in everything["workers"])
    assert (said["status"], said["workers"]["loading"]) == ("ready", loading)
    assert everything["aliases"][alias] == str(version.ref)
    assert {"model": str(version.ref), "created_by": "anna", "skeleton": "coco-17"}.items() <= next(
        model for model in everything["models"] if model["model"] == str(version.ref)
    ).items()
    problem(operator.post(f"/models/{version.ref}/retire"), 409, "model_in_use")
    back = operator.post(f"/models/aliases/{alias}/rollback", json={}).json()
    assert (back["model"], back["moves"][-1]["kind"]) == (str(BUILT_IN.ref), "rollback")
    assert operator.get(f"/models/aliases/{alias}").json() == back
    problem(operator.post(f"/models/aliases/{alias}/rollback", json={}), 409, "model_refused")
    retired = operator.post(f"/models/{version.ref}/retire").json()
    assert (retired["state"], operator.get(f"/models/{version.ref}").json()) == ("retired", retired)
    answer = operator.post(f"/models/aliases/{alias}/promote", json={"model": str(version.ref)})
    assert "retired" in problem(answer, 409, "model_refused")["detail"]


def test_a_canary_is_shown_while_it_is_one_and_after(served: Served, operator: httpx.Client) -> None:
    version = registered(served)
    canaries: Canaries = served.app.state.services.canaries
    canaries.begin(version.ref, share=0.25, by="jane")
    (shown,) = operator.get(f"/models/{version.ref}").json()["canaries"]
    assert (shown["model"], shown["beside"], shown["share"]) == (str(version.ref), str(BUILT_IN.ref), 0.25)
    assert (shown["ended_at"], shown["figures"], shown["limits"]) == (None, None, Limits().model_dump())
    problem(operator.post(f"/models/{version.ref}/retire"), 409, "model_in_use")
    canaries.end(by="jane", reason="enough")
    over = operator.get("/models").json()["canaries"][0]
    assert over == {**shown, "ended_at": over["ended_at"], "ended_by": "jane", "reason": "enough"}
    assert over["ended_at"] is not None
    assert operator.get(f"/models/{BUILT_IN.ref}").json()["canaries"] == []


def test_what_workers_could_not_load_or_compare_is_not_promoted(served: Served, operator: httpx.Client) -> None:
    gone, feet, alias = registered(served, kept=False), registered(served, skeleton="halpe-26"), f"a{uuid4().hex[:8]}"
    path = f"/models/aliases/{alias}/promote"
    problem(operator.post(path, json={"model": str(gone.ref)}), 404, "not_found")
    problem(operator.get(f"/models/aliases/{alias}"), 404, "not_found")
    operator.post(path, json={"model": str(BUILT_IN.ref)}).raise_for_status()
    assert "skeleton" in problem(operator.post(path, json={"model": str(feet.ref)}), 409, "model_refused")["detail"]
    forced = operator.post(path, json={"model": str(feet.ref), "force": True}).json()
    assert (forced["model"], forced["moves"][-1]["forced"]) == (str(feet.ref), True)


@pytest.fixture
def policy(served: Served) -> Iterator[None]:
    """`production` moves only to what flips nothing."""
    services = served.app.state.services
    served.app.state.services = replace(services, promotion_policy=Policy(flips_max=0))
    yield
    served.app.state.services = services


@pytest.mark.usefixtures("policy")
def test_production_moves_by_the_policy_over_http_too(served: Served, operator: httpx.Client) -> None:
    version, path = registered(served), "/models/aliases/production/promote"
    problem_of = operator.post(path, json={"model": str(version.ref)})
    assert "there is none: `frontfoot models compare" in problem(problem_of, 409, "model_refused")["detail"]
    forced = operator.post(path, json={"model": str(version.ref), "force": True}).json()
    assert (forced["model"], forced["moves"][-1]["forced"]) == (str(version.ref), True)
    operator.post("/models/aliases/production/rollback", json={}).raise_for_status()
    other = operator.post(f"/models/aliases/a{uuid4().hex[:8]}/promote", json={"model": str(version.ref)})
    assert other.status_code == 200  # other aliases are for trying


@pytest.mark.parametrize(
    "body", [{}, {"model": "no version"}, {"model": "a@b@c"}, {"model": 3}, {"model": "a@1", "x": 1}]
)
def test_a_promotion_that_says_nothing_clear_is_refused(operator: httpx.Client, body: dict[str, object]) -> None:
    problem(operator.post("/models/aliases/any/promote", json=body), 422, "validation_failed")


def test_unknown_names(operator: httpx.Client) -> None:
    problem(operator.get("/models/nothing@1"), 404, "not_found")
    problem(operator.get("/models/nothing"), 404, "not_found")
    problem(operator.get("/models/%00"), 422, "validation_failed")
    problem(operator.get("/models/aliases/nothing"), 404, "not_found")
    problem(operator.post("/models/aliases/nothing/rollback", json={}), 404, "not_found")
    problem(operator.post("/models/aliases/any/promote", json={"model": "nothing@1"}), 422, "model_unknown")
    problem(operator.post(f"/models/aliases/{BUILT_IN.ref.name}/promote", json={"model": str(BUILT_IN.ref)}), 409,
            "model_refused")  # fmt: skip
