"""`--rules` as Typer reads it: a file or folder of a coach's own rules, checked before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from models.requests import OwnRules


@dataclass(frozen=True, kw_only=True, slots=True)
class RulesChoice:
    """The rules that were chosen, as a request carries them."""

    asked: OwnRules | Literal["frontfoot"]


def read_rules(text: str) -> RulesChoice:
    """`frontfoot`, or the path of a file or folder. Raises BadParameter with every fault, its file and its line."""
    from pipeline.coaching.datafiles import DataFileError
    from pipeline.coaching.rules import own_rules

    path = Path(text)
    if text == "frontfoot" and not path.exists():
        return RulesChoice(asked="frontfoot")
    if not path.exists():
        raise typer.BadParameter(f"{text!r} is no file and no folder; the built-in rules are called frontfoot")
    try:
        return RulesChoice(asked=own_rules(path))
    except DataFileError as error:
        raise typer.BadParameter(f"rules_invalid:\n{error}") from None
