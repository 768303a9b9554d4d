"""The project's pages against what they name: other pages, their sections, the commands and their options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from frontfoot.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MODEL_PAGES = ("models.md", "model-operations.md")


def broken_links(text: str) -> list[str]:
    """Of `docs/NAME.md` and `docs/NAME.md`, "Section": what is not there."""
    broken = []
    for name, section in re.findall(r"`?docs/([\w-]+\.md)`?(?:,\s+\"([^\"]+)\")?", text):
        page = ROOT / "docs" / name
        if not page.exists():
            broken.append(name)
        elif section and not re.search(rf"^#+ {re.escape(section)}$", page.read_text(), re.MULTILINE):
            broken.append(f"{name}: {section}")
    return broken


def commands_in(text: str) -> list[str]:
    """What stands in fenced blocks and begins with `frontfoot`, without prompt, variables and remark."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^(?:\$ )?(?:\w+=\S+ )*frontfoot ([^#\n]+)", "\n".join(blocks), re.MULTILINE)


def unknown_words(command: str) -> list[str]:
    """Of `models register …` and the like: a command or an option that there is not."""
    node = typer.main.get_command(app)
    words = shlex.split(re.sub(r"[\[\]|()]", " ", command))
    while words and (inner := getattr(node, "commands", None)) is not None:
        if words[0] not in inner:
            return words[:1]
        node = inner[words.pop(0)]
    known = {option for parameter in node.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in words if word.startswith("--") and word not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_and_sections_that_a_page_names_are_there(page: Path) -> None:
    assert broken_links(page.read_text()) == []


@pytest.mark.parametrize("name", MODEL_PAGES)
def test_commands_and_options_are_there(name: str) -> None:
    commands = commands_in((ROOT / "docs" / name).read_text())
    assert len(commands) > 10
    assert {command: words for command in commands if (words := unknown_words(command))} == {}


def test_what_is_wrong_is_found() -> None:
    assert broken_links('(`docs/models.md`, "On a GPU"), docs/api.md') == []
    assert broken_links('`docs/models.md`, "On the moon", and `docs/moon.md`') == ["models.md: On the moon", "moon.md"]
    assert commands_in("```\n$ X=1 frontfoot models list --all  # all\nmodel\n```\n") == ["models list --all  "]
    assert unknown_words("models list --all") == ["--all"]
    assert unknown_words("models rerun net@1 [--yield] | --diff") == []
    assert unknown_words("models burn net@1") == ["burn"]
