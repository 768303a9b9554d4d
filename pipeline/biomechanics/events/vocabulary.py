"""The moments that a repetition may hold, by the name under which results.json has them."""

from __future__ import annotations

from collections.abc import Mapping

from models.requests import Mode

MOMENTS: Mapping[Mode, Mapping[str, str]] = {
    "bowling": {
        "back_foot_contact": "the foot of the bowling arm's side lands for the delivery stride; from the side alone",
        "front_foot_contact": "the other foot lands, the last time before release; from the side alone",
        "release": "the bowling wrist passes its highest point, near its greatest speed",
        "follow_through": "the bowling wrist is lowest after release",
    },
    "batting": {
        "stance": "the middle of the last time that the hips wait before the shot",
        "backlift_top": "the hands are highest before the downswing",
        "front_foot_plant": "the front foot lands, where it was moved; from the side alone",
        "impact": "the hands are fastest in the downswing: no ball is seen",
        "finish": "the hands are highest after impact",
    },
    "wicketkeeping": {
        "crouch": "the middle of the time in which the hips stay low in one place",
        "rise": "the hips begin to climb out of the crouch",
        "take": "the hands, having gone to the ball, stop together: no ball is seen",
    },
    "fielding": {
        "lowest_point": "the hips are lowest around the pick-up",
        "pick_up": "the lower hand is nearest the ground",
        "throw_release": "the throwing hand is fastest above its shoulder; from the side the near arm's",
    },
}
