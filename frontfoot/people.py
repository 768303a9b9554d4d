"""What `frontfoot analyze --list-people` does: who is in a clip, and how to point at each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from frontfoot import wiring
from frontfoot.local import ModelChoice
from frontfoot.progress import progress_bar
from frontfoot.settings import Settings
from inference.extract import ExtractRequest, load_extractor
from inference.lineup import Candidate, Lineup, line_up
from inference.probe import survey
from inference.segments import WHOLE
from pipeline.coaching.assessment import CLOSE_CALL
from pipeline.rendering.lineup import draw_lineup
from pipeline.stages import QUICK_FPS, QUICK_WINDOW_S


def list_people(clip: Path, out: Path, choice: ModelChoice, *, slowmo: float, as_json: bool) -> None:
    """Look through the clip as the quick pass does, write a still of everybody into `out` and print who is who."""
    settings = choice.apply(Settings())
    limits = wiring.limits(settings).video
    request = ExtractRequest(sample_fps=QUICK_FPS / slowmo, slowmo_factor=slowmo, limits=limits)
    out.mkdir(parents=True, exist_ok=True)
    extractor = load_extractor(wiring.extractor_options(settings))
    try:
        with progress_bar() as bar:
            task = bar.add_task("people", total=1.0)
            seen = extractor.detect(
                clip,
                request,
                survey(clip, limits),
                WHOLE,
                on_progress=lambda share: bar.update(task, completed=share),
            )
    finally:
        extractor.close()
    lineup = line_up(seen.people.frames(), window_s=QUICK_WINDOW_S, slowmo_factor=slowmo)
    for number, jpeg in draw_lineup(clip, lineup, limits).items():
        _still(out, number).write_bytes(jpeg)
    if as_json:
        typer.echo(json.dumps({"people": listed(lineup, out), "confidence": round(lineup.confidence, 3)}))
    else:
        typer.echo(told(lineup, out))


def near_equal(lineup: Lineup) -> tuple[int, ...]:
    """The numbers between whom the choice is a close call, as the report has it; empty where it is clear."""
    close = tuple(person.number for person in lineup.people if person.prominence > 1 - CLOSE_CALL)
    return close if len(close) > 1 else ()


def listed(lineup: Lineup, out: Path) -> list[dict[str, Any]]:
    """Everybody, in plain JSON values."""
    close = near_equal(lineup)
    return [
        {
            "number": person.number,
            "chosen": person.number == lineup.chosen,
            "near_equal": person.number in close,
            "prominence": round(person.prominence, 3),
            "seen_share": round(person.share, 4),
            "first_s": round(person.first_s, 3),
            "last_s": round(person.last_s, 3),
            "subject": _flag(person),
            "still": str(_still(out, person.number)),
        }
        for person in lineup.people
    ]


def told(lineup: Lineup, out: Path) -> str:
    """Everybody, for a reader."""
    people = "1 person" if len(lineup.people) == 1 else f"{len(lineup.people)} people"
    lines = [f"{people}; an analysis would follow number {lineup.chosen} by itself."]
    close = [str(number) for number in near_equal(lineup)]
    if close:
        numbers = f"{', '.join(close[:-1])} and {close[-1]}"
        lines.append(f"It is a close call between {numbers}: point at the one you mean.")
    for person in lineup.people:
        seen = f"{person.first_s:.1f} to {person.last_s:.1f} s, in {100 * person.share:.0f} % of the frames"
        lines.append(f"{person.number:>3}  seen {seen}  --subject {_flag(person)}  {_still(out, person.number)}")
    return "\n".join(lines)


def _flag(person: Candidate) -> str:
    """As `--subject` takes it, to the pixel and the millisecond."""
    hint = person.hint
    return f"{hint.x:.0f},{hint.y:.0f}@{round(hint.time_s, 3)!r}"


def _still(out: Path, number: int) -> Path:
    return out / f"person-{number}.jpg"
