"""`docs/runbook.md` against what it speaks of: its SQL runs, its names exist, AWS's own model takes its commands."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import botocore.validate
import psycopg2
import pytest
from botocore import xform_name
from botocore.model import Shape, StructureShape
from migrating import VERIFICATION_QUERY

import pipeline.errors
from frontfoot.settings import Settings
from inference.errors import InferenceError
from models.tables import SCHEMA_REVISIONS
from pipeline.errors import JobError

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
NOT_RUN = "# Not run here\n"
GLOBAL_OPTIONS = {"region", "query", "output", "profile"}


def blocks(language: str) -> list[str]:
    return [content for found, content in BLOCKS if found == language]


def commands(program: str) -> list[str]:
    """Every line of the unrun blocks that begins with this program, continuation lines joined."""
    lines = "".join(block.removeprefix(NOT_RUN) for block in blocks("bash")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith(f"{program} ")]


def aws_faults(line: str) -> str:
    """What botocore says against a line of the AWS command line; nothing where it takes it."""
    _, service, name, *words = shlex.split(line)
    model = botocore.session.get_session().get_service_model(service)
    operations = {xform_name(operation, "-"): operation for operation in model.operation_names}
    if name == "wait":
        waiters = botocore.session.get_session().get_waiter_model(service)
        names = {xform_name(waiter, "-"): waiter for waiter in waiters.waiter_names}
        operation = waiters.get_waiter(names[words.pop(0)]).operation
    else:
        operation = operations[name]
    shape = model.operation_model(operation).input_shape
    assert isinstance(shape, StructureShape)
    members = {xform_name(member, "-"): member for member in shape.members}
    request, unknown = {}, []
    for option, values in _options(words):
        if option in members:
            request[members[option]] = _value(shape.members[members[option]], values)
        elif option not in GLOBAL_OPTIONS:
            unknown.append(f"--{option}")
    faults = str(botocore.validate.ParamValidator().validate(request, shape).generate_report())
    return "\n".join([*(f"{operation} knows no {option}" for option in unknown), *([faults] if faults else [])])


def _options(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """`--name value value …` as pairs."""
    starts = [place for place, word in enumerate(words) if word.startswith("--")]
    assert starts[:1] == [0], f"an operand nobody asked for: {words[0]}"
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        yield words[start].removeprefix("--"), words[start + 1 : end]


def _value(shape: Shape, values: list[str]) -> Any:
    """As the command line would hand it to botocore; a `<PLACEHOLDER>` is a word, and 1 where a number is wanted."""
    if shape.type_name == "boolean":
        assert not values
        return True
    if shape.type_name == "list" and not values[0].startswith("["):
        return values
    (value,) = values
    if shape.type_name in {"structure", "list", "map"}:
        return json.loads(value)
    if shape.type_name in {"integer", "long"}:
        number = re.sub(r"^<[A-Z_]+>$", "1", value)
        return int(number) if number.isdecimal() else value
    return value


@pytest.mark.parametrize("line", commands("aws"))
def test_aws_takes_the_command(line: str) -> None:
    assert aws_faults(line) == ""


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("aws ecs update-service --cluster frontfoot", 'Missing required parameter in input: "service"'),
        ("aws ecs update-service --service x --force-new-deploy", "UpdateService knows no --force-new-deploy"),
        ("aws logs filter-log-events --start-time soon", "Invalid type for parameter startTime"),
        ("aws ecs run-task --task-definition x --overrides '{\"containers\": []}'", "Unknown parameter in overrides"),
        ("aws ecs wait services-stable --cluster x", 'Missing required parameter in input: "services"'),
    ],
)
def test_a_wrong_command_is_found_out(line: str, fault: str) -> None:
    assert fault in aws_faults(line)


def test_what_was_not_run_says_so() -> None:
    assert len(commands("aws")) >= 10
    assert all(block.startswith(NOT_RUN) for block in blocks("bash"))
    shown = "".join(blocks(""))
    assert not re.search(r"^\$ (docker|aws) ", shown, re.MULTILINE)


@pytest.mark.parametrize("line", commands("docker"))
def test_docker_builds_what_is_there(line: str) -> None:
    words = shlex.split(line)
    assert words[1] in {"build", "tag", "push"}
    if words[1] == "build":
        assert (ROOT / words[words.index("-f") + 1]).is_file()


@pytest.mark.parametrize("statement", blocks("sql"), ids=lambda statement: " ".join(statement.split())[:40])
def test_its_sql_runs(postgres_url: str, statement: str) -> None:
    connection = psycopg2.connect(postgres_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            assert cursor.description
    finally:
        connection.close()


def test_the_verification_query_is_the_contracts() -> None:
    assert VERIFICATION_QUERY in blocks("sql")


def test_revisions_are_the_codes() -> None:
    assert f"{SCHEMA_REVISIONS[-1]} (head)" in TEXT
    assert f"this code needs revision {SCHEMA_REVISIONS[-1]}" in TEXT
    assert all(f"`{revision}`" in TEXT for revision in SCHEMA_REVISIONS[1:])
    assert "downgrade -1" not in TEXT, "a target has a name"


def test_settings_exist() -> None:
    named = set(re.findall(r"FRONTFOOT_([A-Z0-9_]+)", TEXT))
    assert named
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_error_codes_are_all_there_and_say_whether_they_are_retried() -> None:
    """Those that a clip, a request or the cluster may cause; `neighbour_crash` is `actor_died` in the row.

    What inherits its code is a special case of it, which the row says in words.
    """
    assert pipeline.errors.NeighbourCrash.code == "neighbour_crash"
    expected = {
        error.code: error.transient
        for base in (InferenceError, JobError)
        for error in _subclasses(base)
        if "code" in vars(error) and error.code not in {"canceled", "handed_back", "neighbour_crash"}
    }
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| (yes|no)\b[^|]*\|$", TEXT, re.MULTILINE)
    told = {code: retried == "yes" for codes, retried in rows for code in re.findall(r"`(\w+)`", codes)}
    assert expected.items() <= told.items(), expected.items() - told.items()


def test_the_log_says_what_it_is_quoted_with() -> None:
    """The fixed words of every sentence that the table of faults quotes."""
    table = TEXT[TEXT.index("| you see |") : TEXT.index("Error codes in the row")]
    code = "".join(
        path.read_text(encoding="utf-8")
        for room in ("api", "frontfoot", "inference", "migrations", "models", "pipeline")
        for path in (ROOT / room).rglob("*.py")
    )
    sentences = [
        re.split(r"[:…]", quoted)[0].strip().removeprefix("Deep").removeprefix("Quick-only")  # put together at run time
        for row in table.splitlines()[2:]
        for quoted in re.findall(r"`([A-Z][^`]+)`", row.split(" | ", maxsplit=1)[0])
    ]
    assert len(sentences) > 10
    assert [sentence for sentence in sentences if sentence not in code] == []


def _subclasses(error: type[Any]) -> Iterator[type[Any]]:
    for subclass in error.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
