"""Write `pipeline/coaching/metrics.toml` anew from the code: after a metric came, went, or changed its unit or view."""

from __future__ import annotations

from pipeline.biomechanics.measure import ROOMS
from pipeline.coaching.measured import LISTED, UNIT_DEPENDS

HEAD = """\
# What a rule may be held against: each mode's metrics with their unit and the camera that they ask for (`along` the
# pitch: from in front or behind). Written by tools/rule_metrics.py and compared with the code by a test; it is a file
# because the API checks rules and holds no numpy. Not listed: `travel_speed`, whose unit depends on the request.
"""


def listed() -> str:
    """The file as it should be."""
    parts = [HEAD]
    for mode, (specs, _) in ROOMS.items():
        lines = [f'{s.id} = {{ unit = "{s.unit}", view = "{s.view}" }}\n' for s in specs if s.id not in UNIT_DEPENDS]
        parts.append(f"[{mode}]\n{''.join(lines)}")
    return "\n".join(parts)


if __name__ == "__main__":
    LISTED.write_text(listed(), encoding="utf-8")
