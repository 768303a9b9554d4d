"""The one clip that would add most."""

from __future__ import annotations

import pytest

from models.documents import ViewDocument
from pipeline.biomechanics.filming import FILM_FPS, choose_clip, is_filmable, is_fit
from pipeline.biomechanics.gates import ADVISED_FPS, RATES
from pipeline.biomechanics.measure import ROOMS
from pipeline.biomechanics.readings import Spec


def seen(place):
    """The caller's view."""
    return ViewDocument(value=place, source="caller" if place else "unknown", confidence=1.0 if place else 0.0)


def a_spec(name, view, rate, **more):
    """A metric that asks for a view and a rate."""
    return Spec(id=name, label=name, unit="deg", method=name, view=view, rate=rate, **more)


SPECS = [
    a_spec("knee", "side", "contact"),
    a_spec("stride", "side", "contact"),
    a_spec("tilt", "along", "posture"),
    a_spec("release", "any", "timing"),
    a_spec("separation", "never", "timing"),
    a_spec("weight", "side", "timing", not_built="not built"),
]


@pytest.mark.parametrize(
    ("place", "fps", "clip"),
    [
        ("behind", 30, ("side", ("knee", "stride", "release"))),
        ("behind", 120, ("side", ("knee", "stride"))),
        ("side", 60, ("along", ("tilt",))),  # a release at 60 is degraded, and so it is measured
        ("side", 30, ("along", ("tilt", "release"))),
        ("other", 120, ("side", ("knee", "stride"))),
        (None, 30, ("side", ("knee", "stride", "release"))),
    ],
)
def test_the_clip_that_adds_most(place, fps, clip):
    found = choose_clip(SPECS, seen(place), fps)
    assert (found.view, found.adds) == clip


def test_what_neither_view_nor_rate_forbids_asks_for_no_other_clip():
    assert choose_clip([SPECS[2], SPECS[4], SPECS[5]], seen("front"), 120) is None
    assert choose_clip([], seen("side"), 30) is None


def test_of_two_places_that_add_as_much_the_side_is_named():
    assert choose_clip([SPECS[0], SPECS[2]], seen("other"), 120).view == "side"


def test_filming_as_told_makes_everything_measurable():
    """At the rate that the advice names, and from where it says, no gate of view or rate is left."""
    for rate, fps in FILM_FPS.items():
        assert ADVISED_FPS >= fps >= RATES[rate][0]
    for specs, _ in ROOMS.values():
        for spec in specs:
            place = seen({"along": "behind"}.get(spec.view, "side"))
            assert is_fit(spec, place, FILM_FPS[spec.rate]) == (spec.view != "never")
            assert is_filmable(spec) == (spec.view != "never" and spec.not_built is None)
