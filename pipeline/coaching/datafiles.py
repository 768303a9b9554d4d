"""The one door for TOML: rules and words come in as checked records, and a fault names its file and line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from string import Formatter
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

Key = str | int
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class DataFileError(ValueError):
    """A rule or word file is not valid; the message lists every fault as `file:line: what is wrong`."""

    code = "rules_invalid"


class Entry(BaseModel):
    """Base of all records read from a data file: frozen, an unknown key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=BaseModel)


def placeholders(*allowed: str) -> AfterValidator:
    """Accept a text only if it is a valid format string that fills in nothing but the names in `allowed`."""

    def check(text: str) -> str:
        for _, name, spec, conversion in Formatter().parse(text):
            if name is not None and (name not in allowed or spec or conversion):
                raise ValueError(f"{{{name}}} cannot be filled in here; there is {', '.join(allowed) or 'nothing'}")
        return text

    return AfterValidator(check)


def load(path: Path, model: type[Model]) -> Model:
    """Read `path` as `model`. Raises `DataFileError` for a file that is missing, not TOML, or not what `model` asks."""
    try:
        text = path.read_text(encoding="utf-8")
        return model.model_validate(tomllib.loads(text))
    except OSError as error:
        raise DataFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataFileError(f"{path}: not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        # tomllib says the line at the end of its message ("… (at line 3, column 7)").
        raise DataFileError(f"{path}: {error}") from error
    except ValidationError as error:
        raise DataFileError("\n".join(_faults(path, text, error))) from error


def _faults(path: Path, text: str, error: ValidationError) -> list[str]:
    """One line a fault of `error`."""
    lines = _line_numbers(text)
    found = []
    for fault in error.errors(include_url=False):
        key = tuple(fault["loc"])
        known = key
        while known and known not in lines:
            known = known[:-1]
        what = ".".join(str(part) for part in key)
        found.append(f"{path}:{lines.get(known, 1)}: {what}: {fault['msg']}")
    return found


def _line_numbers(text: str) -> dict[tuple[Key, ...], int]:
    """The line of every table and key of a TOML file that `tomllib` accepts.

    Keys written as `a.b = 1` and tables inside `{…}` are known by their outermost key only.
    """
    lines: dict[tuple[Key, ...], int] = {}
    counts: dict[tuple[Key, ...], int] = {}
    table: tuple[Key, ...] = ()
    inside: str | None = None  # the quotes of the multi-line string we are in
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if inside is not None:
            inside = None if inside in line else inside
            continue
        inside = next((quotes for quotes in ('"""', "'''") if line.count(quotes) == 1), None)
        if line.startswith("[") and "=" not in line:
            table = _table(line, counts)
            lines[table] = number
        elif "=" in line and not line.startswith("#"):
            lines[(*table, line.split("=", 1)[0].strip().strip("\"'"))] = number
    return lines


def _table(header: str, counts: dict[tuple[Key, ...], int]) -> tuple[Key, ...]:
    """The path of a `[table]` or `[[table]]` header; `counts` knows how often each list of tables was opened."""
    names = [name.strip().strip("\"'") for name in header.split("#", maxsplit=1)[0].strip().strip("[]").split(".")]
    path: tuple[Key, ...] = ()
    for depth, name in enumerate(names, start=1):
        path = (*path, name)
        if header.startswith("[[") and depth == len(names):
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path = (*path, counts[path] - 1)
    return path
