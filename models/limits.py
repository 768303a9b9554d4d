"""Limits that an operator writes, and figures held to them. A limit's name is its figure and `min` or `max`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar, cast

from pydantic import BaseModel, Field

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]

L = TypeVar("L", bound=BaseModel)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """How far a figure may go; as text `at least 0.9` or `at most 1.5`."""

    figure: str
    direction: Literal["min", "max"]
    value: float

    def __str__(self) -> str:
        """The limit in words."""
        return f"at {'least' if self.direction == 'min' else 'most'} {self.value:g}"

    def passed_by(self, figure: float) -> bool:
        """Whether a figure lies beyond it; one that is the limit itself does not."""
        return figure < self.value if self.direction == "min" else figure > self.value


def limits_of(written: BaseModel) -> Iterator[Limit]:
    """What is limited, in the order of its fields; None limits nothing."""
    for field in type(written).model_fields:
        value = getattr(written, field)
        figure, _, direction = field.rpartition("_")
        if value is not None:
            yield Limit(figure=figure, direction=cast("Literal['min', 'max']", direction), value=value)


def read_limits(path: Path, kind: type[L]) -> L:
    """Limits that an operator wrote (TOML). Raises ValueError with what is wrong in the file."""
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # of TOML, of UTF-8 and of pydantic
        raise ValueError(f"{path}: {error}") from None
