"""The published description of the API: it builds, shows an example of every body, and every example is true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from api import schemas
from api.app import create_app
from api.problems import STATUS_AND_TITLE, ProblemDocument
from models.database import Database
from models.folder import FolderStore
from models.queue import JobQueue

PREFIX = "/api/coaches/plus"
Operation = dict[str, Any]


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    # Nothing connects before its first use, and nothing is used here.
    database = Database("sqlite:///unused.sqlite3")
    app = create_app(
        database=database,
        queue=JobQueue(database),
        store=FolderStore(Path("unused")),
        owners={},
        models=set(),
        version="1.2.3",
    )
    return app.openapi()


def operations(openapi: dict[str, Any]) -> list[tuple[str, Operation]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]


def resolved(openapi: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas that `schema` stands for."""
    if "anyOf" in schema:
        return [found for choice in schema["anyOf"] for found in resolved(openapi, choice)]
    return [openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]] if "$ref" in schema else [schema]


def test_every_resource_of_the_contract_is_there(openapi: dict[str, Any]) -> None:
    assert {name for name, _ in operations(openapi)} == {
        f"POST {PREFIX}/sessions",
        f"GET {PREFIX}/sessions",
        f"GET {PREFIX}/sessions/{{session_id}}",
        f"PATCH {PREFIX}/sessions/{{session_id}}",
        f"DELETE {PREFIX}/sessions/{{session_id}}",
        f"PUT {PREFIX}/sessions/{{session_id}}/video",
        f"POST {PREFIX}/videos/upload/initiate",
        f"POST {PREFIX}/videos/upload/complete",
        f"PUT {PREFIX}/videos/upload/{{upload_id}}/content",
        f"POST {PREFIX}/sessions/{{session_id}}/analysis-jobs",
        f"GET {PREFIX}/analysis-jobs",
        f"GET {PREFIX}/players/{{player_id}}/progress",
        f"GET {PREFIX}/analysis-jobs/{{job_id}}",
        f"GET {PREFIX}/analysis-jobs/{{job_id}}/events",
        f"POST {PREFIX}/analysis-jobs/{{job_id}}/cancel",
        f"POST {PREFIX}/analysis-jobs/{{job_id}}/retry",
        f"DELETE {PREFIX}/analysis-jobs/{{job_id}}",
        f"POST {PREFIX}/analysis-jobs/bulk",
        f"GET {PREFIX}/batches",
        f"GET {PREFIX}/batches/{{batch_id}}",
        f"POST {PREFIX}/batches/{{batch_id}}/cancel",
        f"GET {PREFIX}/analysis-jobs/{{job_id}}/artifacts",
        f"GET {PREFIX}/analysis-jobs/{{job_id}}/artifacts/{{name}}",
        f"GET {PREFIX}/models",
        f"GET {PREFIX}/models/{{reference}}",
        f"POST {PREFIX}/models/{{reference}}/retire",
        f"GET {PREFIX}/models/aliases/{{alias}}",
        f"POST {PREFIX}/models/aliases/{{alias}}/promote",
        f"POST {PREFIX}/models/aliases/{{alias}}/rollback",
        f"GET {PREFIX}/webhooks/deliveries",
        f"GET {PREFIX}/webhooks/deliveries/{{delivery_id}}",
        f"POST {PREFIX}/webhooks/deliveries/{{delivery_id}}/redeliver",
        f"GET {PREFIX}/webhooks/secret",
        f"POST {PREFIX}/webhooks/secret/rotate",
        "GET /health/live",
        "GET /health/ready",
    }
    assert openapi["info"]["version"] == "1.2.3"


def test_each_operation_is_described_tagged_and_guarded(openapi: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in openapi["tags"]}
    (scheme,) = openapi["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for name, operation in operations(openapi):
        assert operation["description"], name
        assert tags.issuperset(operation["tags"]), name
        assert len(operation["tags"]) == 1, name
        guarded = "/health/" not in name and not name.endswith("/content")  # a signed link says it all
        assert ("security" in operation) is guarded, name
        assert ("401" in operation["responses"]) is guarded, name


def test_each_json_body_has_an_example(openapi: dict[str, Any]) -> None:
    bodies = 0
    for name, operation in operations(openapi):
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [answer.get("content", {}) for code, answer in operation["responses"].items() if code < "300"]
        for content in contents:
            if "schema" in content.get("application/json", {}):
                for schema in resolved(openapi, content["application/json"]["schema"]):
                    bodies += 1
                    assert schema["examples"], name
    assert bodies > 10


def test_each_problem_is_documented_as_one(openapi: dict[str, Any]) -> None:
    codes = set()
    for name, operation in operations(openapi):
        for status, answer in operation["responses"].items():
            if status < "400":
                continue
            assert list(answer["content"]) == ["application/problem+json"], (name, status)
            (schema,) = resolved(openapi, answer["content"]["application/problem+json"]["schema"])
            assert schema["title"] == "ProblemDocument"
            for code, example in answer["content"]["application/problem+json"]["examples"].items():
                document = ProblemDocument.model_validate(example["value"])
                assert (document.code, str(document.status)) == (code, status)
                codes.add(code)
    assert codes == set(STATUS_AND_TITLE) - {"client_closed", "method_not_allowed"}
    assert "HTTPValidationError" not in openapi["components"]["schemas"]


@pytest.mark.parametrize(
    "schema",
    [
        value
        for value in vars(schemas).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == schemas.__name__
        and "json_schema_extra" in value.model_config
    ]
    + [ProblemDocument],
)  # fmt: skip
def test_each_example_is_what_the_schema_says(schema: type[BaseModel]) -> None:
    extra = schema.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    examples = extra["examples"]
    assert isinstance(examples, list)
    for example in examples:
        written = schema.model_validate(example).model_dump(mode="json", exclude_unset=True)
        assert written == example
