"""One JSON object a line: `message`, `level`, and the values as fields. The words are the contract's."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as JSON. Whatever was passed as `extra=` becomes a field of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line without a line break."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({key: value for key, value in vars(record).items() if not _is_noise(key) and key not in line})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def _is_noise(key: str) -> bool:
    """What logging itself, Ray's record factory (`_ray_timestamp_ns`) and uvicorn put on every record."""
    return key in _STANDARD or key.startswith("_") or key == "color_message"


def configure(level: str, *, stream: TextIO | None = None) -> None:
    """Send every logger to `stream` (standard output for services, standard error for commands) as JSON."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("uvicorn.access", "botocore", "urllib3", "alembic.runtime.plugins", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
