"""The one door for TOML: rules and words come in as checked records, and a fault names its file and line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, TypeVar

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


@dataclass(frozen=True, kw_only=True, slots=True)
class DataText:
    """A TOML file as it was read or sent: what its faults are called by, and what is in it."""

    name: str
    text: str

    def read(self) -> dict[str, Any]:
        """Its keys and values. Raises `DataFileError` for what is not TOML."""
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise DataFileError(_syntax_fault(self, str(error))) from error

    def check(self, data: Mapping[str, Any], model: type[Model]) -> Model:
        """`data`, which it holds, as `model`. Raises `DataFileError` with one line a fault."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            faults = (self.fault(fault["loc"], fault["msg"]) for fault in error.errors(include_url=False))
            raise DataFileError("\n".join(faults)) from error

    def fault(self, key: tuple[Key, ...], what: str) -> str:
        """`name:line: key: what is wrong`; the line of the table where the key itself is not there."""
        lines = _line_numbers(self.text)
        known = key
        while known and known not in lines:
            known = known[:-1]
        where = ".".join(str(part) for part in key)
        return f"{self.name}:{lines.get(known, 1)}: {f'{where}: ' if where else ''}{what}"


def read_text(path: Path) -> DataText:
    """The file at `path`. Raises `DataFileError` for one that is not there or no text."""
    content = b""
    try:
        content = path.read_bytes()
        return DataText(name=str(path), text=content.decode("utf-8"))
    except OSError as error:
        raise DataFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise DataFileError(f"{path}:{line}: not UTF-8 text") from error


def load(path: Path, model: type[Model]) -> Model:
    """Read `path` as `model`. Raises `DataFileError` for a file that is missing, not TOML, or not what `model` asks."""
    file = read_text(path)
    return file.check(file.read(), model)


def _syntax_fault(file: DataText, said: str) -> str:
    """tomllib says the place at the end of its message: `… (at line 3, column 7)` or `… (at end of document)`."""
    what, _, place = said.rpartition(" (at ")
    found = re.match(r"line (\d+), column (\d+)", place)
    if found is None:
        last = file.text.count("\n") + 1
        return f"{file.name}:{last}: {what or said}"
    return f"{file.name}:{found[1]}: {what} (column {found[2]})"


def _line_numbers(text: str) -> dict[tuple[Key, ...], int]:
    """The line of every table and key of a TOML file that `tomllib` accepts.

    Keys written as `a.b = 1` and tables inside `{…}` are known by their outermost key only.
    """
    lines: dict[tuple[Key, ...], int] = {}
    counts: dict[tuple[Key, ...], int] = {}
    table: tuple[Key, ...] = ()
    inside: str | None = None  # the quotes of the multi-line string we are in
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if inside is not None:
            inside = None if inside in line else inside
            continue
        inside = next((quotes for quotes in ('"""', "'''") if line.count(quotes) == 1), None)
        header = line.split("#", maxsplit=1)[0].strip()
        if header.startswith("[") and header.endswith("]") and "=" not in header:
            table = _table(header, counts)
            lines[table] = number
        elif "=" in line and not line.startswith("#"):
            lines[(*table, line.split("=", 1)[0].strip().strip("\"'"))] = number
    return lines


def _table(header: str, counts: dict[tuple[Key, ...], int]) -> tuple[Key, ...]:
    """The path of a `[table]` or `[[table]]` header; `counts` knows how often each list of tables was opened."""
    names = [name.strip().strip("\"'") for name in header.strip("[]").split(".")]
    path: tuple[Key, ...] = ()
    for depth, name in enumerate(names, start=1):
        path = (*path, name)
        if header.startswith("[[") and depth == len(names):
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path = (*path, counts[path] - 1)
    return path
