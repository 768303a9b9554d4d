"""What OpenAPI shows of webhooks is what is sent and answered."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from api import webhook_schemas
from api.app import create_app
from api.webhook_schemas import DELIVERY_ID, EVENT, DeliveryRead, JobEvent
from models.database import Database
from models.folder import FolderStore
from models.queue import JobQueue

SCHEMAS = [
    value
    for value in vars(webhook_schemas).values()
    if isinstance(value, type) and issubclass(value, BaseModel) and "json_schema_extra" in value.model_config
]


def examples(schema: type[BaseModel]) -> list[dict[str, Any]]:
    extra = schema.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    found = extra["examples"]
    assert isinstance(found, list)
    assert found
    return [example for example in found if isinstance(example, dict)]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_each_example_is_true(schema: type[BaseModel]) -> None:
    for example in examples(schema):
        assert schema.model_validate(example).model_dump(mode="json") == example


def test_the_delivery_shown_holds_the_event_shown() -> None:
    (example,) = examples(DeliveryRead)
    assert JobEvent.model_validate_json(example["body"]).model_dump(mode="json") == EVENT
    assert example["id"] == EVENT["id"] == DELIVERY_ID


def test_receivers_find_what_they_will_be_sent(tmp_path: Any) -> None:
    database = Database("sqlite:///unused.sqlite3")  # nothing connects before its first use
    app = create_app(
        database=database,
        queue=JobQueue(database),
        store=FolderStore(tmp_path),
        owners={},
        models=set(),
        version="1.2.3",
    )
    openapi = app.openapi()
    ((name, item),) = openapi["webhooks"].items()
    operation = item["post"]
    assert (name, operation["operationId"]) == ("job-event", "job_event")
    assert {parameter["name"] for parameter in operation["parameters"]} == {
        "Frontfoot-Webhook-Id",
        "Frontfoot-Webhook-Timestamp",
        "Frontfoot-Webhook-Signature",
    }
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/JobEvent")
    assert list(operation["responses"]) == ["204", "4XX"]
