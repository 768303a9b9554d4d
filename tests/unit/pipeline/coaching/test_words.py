"""What readers are told instead of the names in results.json."""

from __future__ import annotations

import re

from pipeline.biomechanics.events.vocabulary import MOMENTS
from pipeline.coaching.words import load_words

ANALYSTS = re.compile(r"\b(contact|release|impact|plant|rise)\b|_")


def test_every_moment_has_a_coach_s_name_and_no_other_has():
    names = {name for moments in MOMENTS.values() for name in moments}
    words = load_words("player")
    assert set(words.event) == names
    assert not [words.moment(name) for name in names if ANALYSTS.search(words.moment(name).replace("you rise", ""))]


def test_an_analyst_keeps_the_moments_own_names():
    assert load_words("analyst").moment("back_foot_contact") == "back foot contact"


def test_a_coach_is_told_when_a_part_was_not_seen():
    say = load_words("player").say
    assert say("the keypoints that it needs were not seen at release") == (
        "the parts of your body that it needs were not seen as you let go")  # fmt: skip
    assert say("the keypoints that it needs were not seen just before impact").endswith("just before you hit")
    assert say("Forward lean of the trunk") == "Forward lean of your upper body"
