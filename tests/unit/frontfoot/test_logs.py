import io
import json
import logging
from collections.abc import Iterator

import pytest

from frontfoot import logs


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("INFO", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_one_object_with_the_sentence_the_level_and_the_values(lines: io.StringIO) -> None:
    logging.getLogger("pipeline.persist").info(
        "Persisted job artifacts: job_id=%s findings_len=%d", "j1", 4, extra={"job_id": "j1", "findings_len": 4}
    )
    (line,) = lines.getvalue().splitlines()
    record = json.loads(line)
    assert record["message"] == "Persisted job artifacts: job_id=j1 findings_len=4"
    assert (record["level"], record["job_id"], record["findings_len"]) == ("INFO", "j1", 4)


def test_line_breaks_and_exceptions_stay_on_one_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger("x").exception("it\nbroke")
    (line,) = lines.getvalue().splitlines()
    record = json.loads(line)
    assert record["message"] == "it\nbroke"
    assert "ValueError: first\nsecond" in record["exception"]


def test_a_value_cannot_take_the_place_of_the_sentence(lines: io.StringIO) -> None:
    logging.getLogger("x").info("right", extra={"level": "wrong", "time": "wrong"})
    record = json.loads(lines.getvalue())
    assert (record["message"], record["level"]) == ("right", "INFO")
