"""Write docs/metrics.md: every metric, from the code that measures it. `--check` only compares.

Run as a module from the repository's root, so that it describes the tree it lies in: `python -m tools.metrics_page`.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType

from models.documents import ViewDocument
from models.requests import Mode
from pipeline.biomechanics import gates
from pipeline.biomechanics.events.vocabulary import MOMENTS
from pipeline.biomechanics.filming import FILM_FPS, is_filmable
from pipeline.biomechanics.measure import ROOMS
from pipeline.biomechanics.metrics import batting, bowling, common, fielding, wicketkeeping
from pipeline.biomechanics.metrics.common import described_ids
from pipeline.biomechanics.readings import Spec
from pipeline.coaching.compare import MIN_REPETITIONS
from pipeline.coaching.quantities import quantity
from pipeline.coaching.rules import Rule, load_rules
from pipeline.coaching.words import load_words

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "metrics.md"
MODULES: dict[Mode, ModuleType] = {
    "bowling": bowling,
    "batting": batting,
    "wicketkeeping": wicketkeeping,
    "fielding": fielding,
}
_NEVER = gates.judge_view("never", ViewDocument(value=None, source="unknown", confidence=0.0), None)
NO_REFERENCE = "none: described, not judged"
VIEWS: dict[gates.ViewNeed, str] = {
    "side": "from the side (square to the pitch)",
    "along": "from the front or behind (along the pitch)",
    "any": "any",
    "never": "none with one camera",
}
FILM: dict[gates.ViewNeed, str] = {"side": "square-on", "along": "along the pitch, from behind or in front"}
"""As an advice says it."""

INTRO = """# The metrics

Written by `make docs` from the code; a test compares. Every number comes with `sys` (definition, view, camera: does
not average out), `rand` (keypoints, timing: shrinks with repetitions) and `expected_error` = √(sys² + rand²/n), one
standard error. A metric is `measurable`, `degraded` (with a reason; then a finding is `likely` at most, and never a
strength) or `not_measurable` (no number, a reason, and the recording that would fix it).

| status | the recording |
|---|---|
"""


def main() -> int:
    """Write the page, or with `--check` say whether it is as the code has it."""
    page = build_page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == page:
        return 0
    print("docs/metrics.md is not what the code says; run: make docs", file=sys.stderr)
    return 1


def build_page() -> str:
    """The whole page, Markdown."""
    parts = [INTRO + "\n".join(_statuses()), "\n".join(_rates())]
    for mode, (specs, _) in ROOMS.items():
        own = [spec for spec in specs if spec.id not in described_ids(mode)]
        parts += [f"## {mode.capitalize()}", _moments(mode), _table(mode, own), *(_entry(mode, spec) for spec in own)]
    described = common.DESCRIPTIVE
    parts.append(
        "## Whoever moves\n\nDescribed in every mode and judged in none; steps and speed only where somebody walks or "
        "runs across the picture. In fielding, step length and step rate are metrics of the mode itself."
    )
    parts += [_entry(None, spec) for spec in described]
    return "\n\n".join(parts) + "\n"


def _statuses() -> Iterator[str]:
    """What to film for each status, over all metrics."""
    timing, contact = gates.RATES["timing"], gates.RATES["contact"]
    most = max(FILM_FPS.values())
    yield (
        f"| measurable | film {FILM['side']} (or {FILM['along']}, where the metric asks for it) within "
        f"{gates.YAW_GOOD:g}°, at {most} frames a second or more, whole body in frame and at least "
        f"{gates.SIZE_GOOD_PX:g} pixels tall, the camera on a tripod |"
    )
    yield (
        f"| degraded | {gates.YAW_GOOD:g} to {gates.YAW_MAX:g}° off square; {contact[1]:g} to {contact[0]:g} frames a "
        f"second for a contact, {timing[1]:g} to {timing[0]:g} for a timing; under {gates.SIZE_GOOD_PX:g} pixels tall; "
        "a view that is estimated or in doubt; left and right exchanged; frames missing |"
    )
    yield (
        f"| not measurable | the other view, or more than {gates.YAW_MAX:g}° off square; fewer frames than that; for "
        f"an angle under {gates.SIZE_MIN_PX:g} pixels tall; what it needs out of sight; what one camera cannot show |"
    )


def _rates() -> Iterator[str]:
    """The needs of rate."""
    yield f"A report asks for one rate, {gates.ADVISED_FPS} frames a second, whatever is missing. Each needs:\n"
    yield "| a metric of | measurable from, real frames/s | degraded from | film at |"
    yield "|---|---|---|---|"
    for need, (good, least) in gates.RATES.items():
        yield f"| {need} | {good:g} | {f'{least:g}' if least < good else '–'} | {FILM_FPS[need]} |"


def _moments(mode: Mode) -> str:
    """What a repetition may hold."""
    lines = ["Moments of a repetition, each a time with a half-width:", ""]
    return "\n".join([*lines, *(f"- `{name}`: {meaning}" for name, meaning in MOMENTS[mode].items())])


def _table(mode: Mode, specs: list[Spec]) -> str:
    """The mode's metrics at a glance."""
    lines = ["| id | what | unit | view | rate | judged |", "|---|---|---|---|---|---|"]
    for spec in specs:
        rules = _rules_of(mode, spec)
        judged = ", ".join(dict.fromkeys(rule.reference_kind for rule in rules)) or "–"
        view = spec.view if is_filmable(spec) else "never"
        lines.append(f"| `{spec.id}` | {spec.label} | `{spec.unit}` | {view} | {spec.rate} | {judged} |")
    return "\n".join(lines)


def _entry(mode: Mode | None, spec: Spec) -> str:
    """One metric in full."""
    lines = [f"### {spec.label}", f"`{spec.id}`, `{spec.unit}`. {_sentence(spec.method)}"]
    facts = []
    if not is_filmable(spec):
        reason = spec.not_built or _NEVER.reason
        lines.append(f"Never measured: {reason}.")
    else:
        told = docstring_of(mode, spec)
        lines.append(_plain(told))
        facts += [f"floor of the error (sys): {floor_of(told)}"]
        facts += [f"view: {VIEWS[spec.view]}", f"rate: {_rate(spec)}", f"film it: {_film(spec)}"]
    facts.append(f"source: {spec.source or 'none published for this measure'}")
    rules = [] if mode is None else _rules_of(mode, spec)
    facts += [f"rule `{rule.id}`: {_rule(rule)}" for rule in rules] or [f"reference: {NO_REFERENCE}"]
    return "\n\n".join([*lines, "\n".join(f"- {fact}" for fact in facts)])


def _rate(spec: Spec) -> str:
    """From which rate on, in words."""
    good, least = gates.RATES[spec.rate]
    degraded = f", degraded from {least:g}" if least < good else ""
    return f"{spec.rate}: measurable from {good:g} real frames a second{degraded}"


def _film(spec: Spec) -> str:
    """The recording that makes it measurable."""
    where = f"{FILM[spec.view]} " if spec.view in FILM else ""
    return f"{where}at {FILM_FPS[spec.rate]} frames a second or more, whole body in frame"


def _rules_of(mode: Mode, spec: Spec) -> list[Rule]:
    """The built-in rules that hold it against something."""
    return [rule for rule in load_rules().rules.get(mode, ()) if rule.metric == spec.id]


def _rule(rule: Rule) -> str:
    """Kind of comparison, the mark, whose it is, and how large a step matters."""
    words = load_words("analyst")
    watch = "" if rule.watch is None else quantity(rule.watch, rule.unit, words)
    reference = rule.reference.format(finding=quantity(abs(rule.finding), rule.unit, words), watch=watch)
    kind = "external reference" if rule.comparison == "external" else f"within the clip, n ≥ {MIN_REPETITIONS}"
    tolerance = "" if rule.tolerance is None else f", no sharper than {quantity(rule.tolerance, rule.unit, words)}"
    step = quantity(rule.step, rule.unit, words)
    views = f", seen from: {', '.join(rule.views)}" if rule.views else ""
    return f"{reference}{tolerance} ({kind}; {rule.reference_kind}; practical step {step}{views})"


# ---- the docstring of what computes a metric -------------------------------------------------------------------------


def docstring_of(mode: Mode | None, spec: Spec) -> str:
    """The docstring of the function whose result `spec.id` is. Raises `LookupError` where there is none."""
    for module in (common,) if mode is None else (MODULES[mode], common):
        function = _computed_by(module).get(spec.id)
        text = None if function is None else inspect.getdoc(function)
        if text:
            return text
    raise LookupError(f"no documented function computes {spec.id}")


def floor_of(docstring: str) -> str:
    """What it says of `sys`. Raises `LookupError` where it says nothing."""
    found = re.search(r"\bsys: (.+?)(?:\.(?: [A-Z]|$)|$)", " ".join(docstring.split()))
    if found is None:
        raise LookupError(f"nothing about sys: {docstring}")
    return found[1]


@cache
def _computed_by(module: ModuleType) -> dict[str, FunctionType]:
    """Ids of metrics and the functions they come from, as the module's own dictionaries pair them.

    `{"id": compute_this(…)}` pairs them outright. For `**compute_these(…)` every id among that function's strings is
    its own, unless a pair says better.
    """
    pairs: dict[str, FunctionType] = {}
    several: dict[str, FunctionType] = {}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            called = _called(module, value)
            if called is None:
                continue
            if isinstance(key, ast.Constant):
                pairs[str(key.value)] = called
            elif key is None:
                strings = ast.walk(ast.parse(inspect.getsource(called)))
                several.update({str(one.value): called for one in strings if isinstance(one, ast.Constant)})
    return several | pairs


def _called(module: ModuleType, node: ast.AST) -> FunctionType | None:
    """The function of a metric that is called in an expression, the last of several; also one from another module."""
    found = None
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        home, name = module, call.func
        if isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name):
            home, name = getattr(module, name.value.id, None), ast.Name(id=name.attr)
        function = getattr(home, name.id, None) if isinstance(name, ast.Name) else None
        if isinstance(function, FunctionType) and function.__name__.startswith(("compute_", "classify_")):
            found = function
    return found


def _plain(docstring: str) -> str:
    """Its paragraphs, each in one line."""
    return "\n\n".join(" ".join(part.split()) for part in docstring.split("\n\n"))


def _sentence(text: str) -> str:
    """With a capital and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


if __name__ == "__main__":
    sys.exit(main())
