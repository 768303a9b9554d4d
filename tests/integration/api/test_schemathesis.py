"""Requests made up from the OpenAPI document, good and bad: no 500, and no answer that the document does not have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from api_server import MISSING_ID, Backend, Server
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.schemas import APIOperation

from api.app import create_app
from models.database import Database
from models.folder import FolderStore
from models.jobs import Owner
from models.keys import KeyRegister
from models.model_versions import BUILT_IN
from models.queue import JobQueue


@schemathesis.serializer("application/x-ndjson")
def _json_lines(_context: Any, value: Any) -> bytes:
    """What the document calls a string is sent as it is; anything else as one line of JSON."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


EXAMPLES = 8
"""Of each kind (valid, invalid) for each operation; raise it for an evening's run."""


def _operations() -> dict[str, APIOperation[Any, Any]]:
    """Every operation of the document but the event stream, which never ends by itself and has tests of its own."""
    database = Database("sqlite://")
    # Nothing of it is connected: it only describes itself.
    app = create_app(
        database=database,
        queue=JobQueue(database),
        store=FolderStore.__new__(FolderStore),
        owners={},
        models={"yolo11n-pose"},
        version="0",
    )
    found = [result.ok() for result in schemathesis.openapi.from_dict(app.openapi()).get_all_operations()]
    return {operation.label: operation for operation in found if not operation.path.endswith("/events")}


def _parameters(operation: APIOperation[Any, Any]) -> Iterator[Any]:
    yield from operation.path_parameters
    yield from operation.query
    yield from operation.headers


OPERATIONS = _operations()
TRIED = [
    pytest.param(label, mode, id=f"{label} {mode.value}")
    for label, operation in OPERATIONS.items()
    for mode in GenerationMode
    # Who asks for nothing in particular cannot ask for it wrongly.
    if mode is GenerationMode.POSITIVE or operation.body or any(_parameters(operation))
]


@pytest.fixture(scope="module")
def operator(backend: Backend) -> str:
    """A key that may see and move models."""
    database = Database(backend.database_url)
    owner = Owner(owner_type="org", owner_id="ops")
    made = KeyRegister(database).create(owner, name="schemathesis", scopes=["models"])
    database.close()
    return made.token


@pytest.mark.parametrize("backend", ["postgresql+s3"], indirect=True)  # what is said of answers depends on no backend
@pytest.mark.parametrize(("label", "mode"), TRIED)
def test_every_answer_is_documented(label: str, mode: GenerationMode, server: Server, operator: str) -> None:
    jobs = [server.submitted() for _ in range(2)]
    line = json.dumps({"session_id": jobs[0]["session_id"], "analysis_mode": "bowling"})
    batch = server.jane.post(
        "/analysis-jobs/bulk", content=line, headers={"Content-Type": "application/x-ndjson"}
    ).json()
    real = {
        "session_id": [server.uploaded(player_ids=["p-17"])["id"], jobs[0]["session_id"]],
        "job_id": [job["id"] for job in jobs],
        "batch_id": [batch["id"]],
        "player_id": ["p-17"],
        "reference": [str(BUILT_IN.ref), BUILT_IN.ref.name],
        "alias": ["schemathesis"],
    }
    token = operator if "/models" in label else server.token
    tried = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode), data=st.data())
    def attempt(case: Case, data: st.DataObject) -> None:
        nonlocal tried
        for name in case.path_parameters or {}:
            if (name.endswith("_id") or name in real) and data.draw(
                st.integers(0, 3), label=name
            ):  # mostly something that is there
                case.path_parameters[name] = data.draw(st.sampled_from([*real.get(name, []), MISSING_ID]))
        if case.query and "wait" in case.query and str(case.query["wait"]).isdecimal():
            case.query["wait"] = min(int(case.query["wait"]), 1)
        case.headers["Authorization"] = f"Bearer {token}"
        answer = case.call(base_url=server.url)
        tried += 1
        assert answer.status_code < 500, (answer.status_code, answer.text)
        case.validate_response(answer, excluded_checks=EXCLUDED)

    attempt()
    assert tried


EXCLUDED = [
    CHECKS.get_one(name)
    for name in (
        # A generator cannot know what only we do: that a value it takes for wrong means something, or the reverse.
        "negative_data_rejection",
        "positive_data_acceptance",
        # It takes away the token that this test put there; the authorisation matrix asks that of every route.
        "ignored_auth",
        # They ask for what came before (a deleted thing, a made one) and belong to stateful runs.
        "use_after_free",
        "ensure_resource_availability",
    )
]
