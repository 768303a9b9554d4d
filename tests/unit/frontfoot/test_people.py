"""What `--list-people` prints of a line-up."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontfoot.people import listed, near_equal, told
from inference.lineup import Candidate, Lineup
from inference.subject import SubjectHint


def lineup(*prominence: float, chosen: int = 1) -> Lineup:
    people = tuple(
        Candidate(
            number=number, prominence=value, hint=SubjectHint(x=100.0 * number, y=50.0, time_s=1.25), frame=30,
            boxes={number: (0.0, 0.0, 10.0, 20.0)}, first_s=0.5, last_s=2.0, share=0.25,
        )
        for number, value in enumerate(prominence, start=1)
    )  # fmt: skip
    return Lineup(people=people, chosen=chosen, confidence=0.5)


@pytest.mark.parametrize(
    ("prominence", "numbers"),
    [((1.0,), ()), ((1.0, 0.4), ()), ((1.0, 0.41), (1, 2)), ((1.0, 0.9, 0.8, 0.1), (1, 2, 3))],
)
def test_a_close_call_is_that_of_the_report(prominence: tuple[float, ...], numbers: tuple[int, ...]) -> None:
    """Confidence is 1 - rival / best, and close below 0.6."""
    assert near_equal(lineup(*prominence)) == numbers


def test_the_list_as_it_is_read() -> None:
    assert told(lineup(1.0, 0.9, 0.8, chosen=2), Path("out")).splitlines() == [
        "3 people; an analysis would follow number 2 by itself.",
        "It is a close call between 1, 2 and 3: point at the one you mean.",
        "  1  seen 0.5 to 2.0 s, in 25 % of the frames  --subject 100,50@1.25  out/person-1.jpg",
        "  2  seen 0.5 to 2.0 s, in 25 % of the frames  --subject 200,50@1.25  out/person-2.jpg",
        "  3  seen 0.5 to 2.0 s, in 25 % of the frames  --subject 300,50@1.25  out/person-3.jpg",
    ]
    assert told(lineup(1.0), Path("out")).splitlines()[0] == "1 person; an analysis would follow number 1 by itself."
    assert "close call" not in told(lineup(1.0, 0.2), Path("out"))


def test_the_list_for_programs() -> None:
    first, second = listed(lineup(1.0, 0.2, chosen=2), Path("out"))
    assert (first["chosen"], second["chosen"]) == (False, True)
    assert second == {
        "number": 2, "chosen": True, "near_equal": False, "prominence": 0.2, "seen_share": 0.25, "first_s": 0.5,
        "last_s": 2.0, "subject": "200,50@1.25", "still": "out/person-2.jpg",
    }  # fmt: skip
