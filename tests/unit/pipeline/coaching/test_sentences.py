"""What a sentence stands on, and the Markdown around it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from readability import reading_ease, syllables

from models.documents import Evidence, ReportSection, Sentence, TimeSpan
from pipeline.coaching.repeatable import most_repeatable
from pipeline.coaching.sentences import blocks, follow, items, joined, lead, speak, text_of
from pipeline.coaching.speaker import Speaker
from pipeline.coaching.words import load_words


def test_a_fact_without_a_metric_cannot_be_written():
    with pytest.raises(ValidationError, match="no metric is behind it: You are tall"):
        Sentence(text="You are tall.", kind="fact")
    with pytest.raises(ValidationError, match="no metric is behind it"):
        speak("fact", "You are tall.")
    assert Sentence(text="Film from the side.", kind="advice").metrics == ()


def test_a_fact_about_what_was_not_tried_cannot_be_written(make_metric, make_measurements):
    speaker = Speaker(
        measurements=make_measurements({"foot_line_offset": make_metric(3.0)}), words=load_words("player")
    )
    (one,) = speaker.fact("Your foot line was 3 ± 1.", ["foot_line_offset"])
    assert (one.metrics, one.evidence.frames) == (("foot_line_offset",), (40,))
    with pytest.raises(ValueError, match="no metric bat_speed in these measurements"):
        speaker.fact("Your bat was fast.", ["foot_line_offset", "bat_speed"])
    with pytest.raises(ValueError, match="no metric bat_speed"):
        speaker.over_repetitions("Your bat was fast.", ["bat_speed"])


def test_a_section_s_sentences_are_its_text():
    one = Sentence(text="Film it.", kind="advice")
    ReportSection(id="a", title="A", text="Film it.", sentences=(one,))
    ReportSection(id="a", title="A", text="as an older version wrote it")
    with pytest.raises(ValidationError, match="the sentences of section a are not its text"):
        ReportSection(id="a", title="A", text="Film it again.", sentences=(one,))


def test_a_text_is_cut_into_its_sentences_and_nothing_is_lost():
    text = "Your head was at -9.5 ± 4 %. In 1 of 2!  Why?\n12 is the mark (r 0.40, n = 20). “Likely” it is. e.g. this"
    line = speak("method", text)
    assert [one.text for one in line] == [
        "Your head was at -9.5 ± 4 %.",
        "In 1 of 2!",
        "Why?",
        "12 is the mark (r 0.40, n = 20).",
        "“Likely” it is. e.g. this",
    ]
    assert text_of(line) == " ".join(text.split())
    assert speak("method", " ") == ()


def test_layout_and_back():
    title, first = lead(speak("method", "Head"), "### 1. "), speak("method", "One. Two.")
    laid = follow([title, first, items([speak("method", "Three. Four."), (), speak("method", "Five.")])], "\n\n")
    assert text_of(laid) == "### 1. Head\n\nOne. Two.\n\n- Three. Four.\n- Five."
    assert [(block.kind, [one.text for one in block.sentences]) for block in blocks(laid)] == [
        ("heading", ["Head"]),
        ("paragraph", ["One.", "Two."]),
        ("item", ["Three.", "Four."]),
        ("item", ["Five."]),
    ]


def test_evidence_of_several_is_named_once():
    one = Evidence(spans=(TimeSpan(start_s=0, end_s=1),), frames=(3, 9), times_s=(0.1, 0.3))
    two = Evidence(
        spans=(TimeSpan(start_s=0, end_s=1), TimeSpan(start_s=2, end_s=3)), frames=(9, 5), times_s=(0.3, 0.2)
    )
    both = joined([one, two])
    assert both.spans == (TimeSpan(start_s=0, end_s=1), TimeSpan(start_s=2, end_s=3))
    assert (both.frames, both.times_s) == ((3, 9, 5), (0.1, 0.3, 0.2))


# With n = 9 and no noise the error of a variance is half of it.
@pytest.mark.parametrize(
    ("spreads", "best"),
    [
        ({"a": 1.0, "b": 2.0}, "a"),  # 4 - 1 = 3 > √(0.5² + 2²) = 2.06
        ({"a": 1.0, "b": 1.6}, "a"),  # 2.56 - 1 = 1.56 > √(0.5² + 1.28²) = 1.37
        ({"a": 1.0, "b": 1.4}, None),  # 1.96 - 1 = 0.96 < √(0.5² + 0.98²) = 1.10
        ({"a": 1.0, "b": 2.0, "c": 1.1}, None),  # two alike
        ({"a": 1.0}, None),
        ({}, None),
    ],
)
def test_the_most_repeatable_stands_out(make_metric, spreads, best):
    metrics = {name: make_metric(5.0, n=9, spread=spread, rand=0.0) for name, spread in spreads.items()}
    assert most_repeatable(tuple(metrics), metrics) == best


@pytest.mark.parametrize(("ours", "best"), [(2.0, "a"), (3.4, None)])
def test_what_our_own_slow_error_may_have_made_is_no_difference(make_metric, ours, best):
    """16 - 1 = 15, less the 2² or 3.4² that the other's error may hold beyond 0.1²; the difference is known to 8.0."""
    one = make_metric(5.0, n=9, spread=1.0, rand=0.0, sys=0.1)
    other = make_metric(5.0, n=9, spread=4.0, rand=0.0, sys=ours)
    assert most_repeatable(("a", "b"), {"a": one, "b": other}) == best


def test_noise_hides_what_repeats(make_metric):
    def judge(rand):
        metrics = {name: make_metric(5.0, n=9, spread=spread, rand=rand) for name, spread in (("a", 1.0), ("b", 2.0))}
        return most_repeatable(("a", "b"), metrics)

    assert judge(0.5) == "a"
    assert judge(1.9) is None  # own 0 and 0.62; their errors are about as large as the noise, 1.8 and 2.0
    few = {name: make_metric(5.0, n=3, spread=spread, rand=0.0) for name, spread in (("a", 0.1), ("b", 9.0))}
    assert most_repeatable(("a", "b"), few) is None


def test_degrees_are_not_compared_with_lengths(make_metric):
    metrics = {
        "a": make_metric(5.0, n=9, spread=0.1, rand=0.0, unit="deg"),
        "b": make_metric(5.0, n=9, spread=1.0, rand=0.0),
        "c": make_metric(5.0, n=9, spread=9.0, rand=0.0),
    }
    assert most_repeatable(("a", "b", "c"), metrics) == "b"


def test_flesch_s_own_measure():
    counts = {
        "the": 1,
        "delivery": 4,
        "make": 1,
        "landed": 2,
        "jumped": 1,
        "measure": 2,
        "table": 2,
        "eye": 1,
        "area": 3,
    }
    heard = {word: syllables(word) for word in counts}
    assert sum(abs(heard[word] - count) for word, count in counts.items()) <= 1, heard
    # 6 words, 1 sentence, 6 syllables: 206.835 - 1.015 · 6 - 84.6 · 1
    assert reading_ease(["The cat sat on the mat."]) == pytest.approx(116.145)
