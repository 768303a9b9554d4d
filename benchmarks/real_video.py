"""What a real clip says of itself without labels: its mirror image, half of its frames, bones that keep their length.

`science.py flip`, `science.py halves` and `science.py bones` print it. None of this is an error against the truth: a
model that is wrong in the same way in both pictures agrees with itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
from numpy.typing import NDArray

from frontfoot import wiring
from frontfoot.settings import Settings
from inference.extract import Extraction, ExtractRequest, PoseExtractor, load_extractor
from inference.lineup import line_up
from inference.poses import COCO_17, PoseSequence
from inference.probe import survey
from inference.segments import WHOLE
from inference.tracking import SubjectHint
from inference.tracks import CONFIDENT
from models.documents import Metric, ViewDocument
from models.requests import AnalysisOptions, Mode
from pipeline.biomechanics import kinematics
from pipeline.biomechanics.measure import measure
from pipeline.biomechanics.motion import prepare
from pipeline.measurements import MeasureContext

Array = NDArray[np.float64]
Figures = dict[str, Any]
Metrics = dict[str, Metric]

PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
BONES = {"upper arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"), "thigh": ("hip", "knee"),
         "shank": ("knee", "ankle")}  # fmt: skip
OTHER_SIDE = list(range(17))
"""The keypoint of the other side, for each of the 17."""
for _left, _right in COCO_17.left_right:
    OTHER_SIDE[_left], OTHER_SIDE[_right] = _right, _left
SEEN_MIN_S = 2.0
"""Who is seen for less has no movement to compare."""


# --- What is compared -------------------------------------------------------------------------------------------------


def flip(clip: Path) -> Figures:
    """Everybody of a clip beside themselves in its mirror image."""
    with _extractor() as extractor, tempfile.TemporaryDirectory(prefix="frontfoot-flip-") as folder:
        mirrored = mirror_clip(clip, Path(folder) / "mirrored.mp4")
        people = []
        for hint in everybody(extractor, clip):
            here = _extract(extractor, clip, hint)
            there = _extract(extractor, mirrored, replace(hint, x=here.clip.width - hint.x))
            people.append({**_who(here), **flip_error(here.poses, unmirror(there.poses)),
                           "metrics": _tally([beside(here.poses, unmirror(there.poses))])})  # fmt: skip
    return {"clip": clip.name, "people": people}


def halves(clip: Path) -> Figures:
    """The metrics of everybody at all frames beside those at every second one, of either half."""
    people = []
    for who, poses in _everybodys_poses(clip):
        verdicts = [beside(poses, every(poses, 2, first)) for first in (0, 1)]
        people.append({**who, "fps": round(_rate(poses), 2), "metrics": _tally(verdicts)})
    return {"clip": clip.name, "people": people}


def bones(clip: Path) -> Figures:
    """How much the bones of everybody seem to change their length."""
    return {
        "clip": clip.name,
        "people": [{**who, "bones": bone_spread(poses)} for who, poses in _everybodys_poses(clip)],
    }


# --- Pure figures -----------------------------------------------------------------------------------------------------


def unmirror(poses: PoseSequence) -> PoseSequence:
    """The poses of a mirrored clip as they would lie in the clip itself: x' = width - x, left and right exchanged."""
    width = poses.frame_size[0]
    points, boxes = poses.keypoints[:, OTHER_SIDE].copy(), poses.boxes.copy()
    points[..., 0] = width - points[..., 0]
    boxes[:, [0, 2]] = width - poses.boxes[:, [2, 0]]
    return replace(poses, keypoints=points, boxes=boxes, confidence=poses.confidence[:, OTHER_SIDE])


def every(poses: PoseSequence, step: int, first: int = 0) -> PoseSequence:
    """Each `step`-th frame."""
    names = ("keypoints", "confidence", "boxes", "timestamps_s", "frame_indices")
    return replace(poses, **{name: getattr(poses, name)[first::step] for name in names})


def flip_error(one: PoseSequence, other: PoseSequence) -> Figures:
    """How far two readings of the same frames lie apart: joints in % of height, the knee in degrees.

    Of keypoints that both are confident of. `sideways_pct` is the mean of one minus other along x: what one of the two
    would be off if the other were right. Frames in which the whole body fits better with left and right exchanged are
    counted, and left out of `same_way`.
    """
    here, there = _confident(one), _confident(other)
    stature = _stature(one, here)
    offset = 100 * (here - there) / stature[:, None, None]
    apart, exchanged = (np.linalg.norm(o, axis=-1) for o in (offset, 100 * (here - there[:, OTHER_SIDE])
                                                            / stature[:, None, None]))  # fmt: skip
    both = np.isfinite(apart).any(axis=1) & np.isfinite(exchanged).any(axis=1)
    turned = np.zeros(len(both), dtype=bool)
    turned[both] = np.nanmean(exchanged[both], axis=1) < np.nanmean(apart[both], axis=1)
    knees = np.abs(np.stack([_knee(here, side) - _knee(there, side) for side in ("left", "right")], axis=1))
    filtered = np.abs(_filtered_knees(one) - _filtered_knees(other))
    return {
        "frames": int(both.sum()), "seen_in_one_alone": int((one.seen != other.seen).sum()),
        "exchanged": int(turned.sum()), "sideways_pct": round(float(np.nanmean(offset[~turned, :, 0])), 3),
        "all": _spread(apart), "same_way": _spread(apart[~turned]),
        "joints": {part: _spread(apart[:, _indices(part)]) for part in PARTS},
        "knee_deg": _spread(knees), "knee_same_way_deg": _spread(knees[~turned]), "knee_12hz_deg": _spread(filtered),
    }  # fmt: skip


def compare(one: Metrics, other: Metrics) -> dict[str, str]:
    """Metric → `within` where |Δ| ≤ 2·√(e₁² + e₂²), `outside`, or which of the two alone gives it.

    What neither gives is left out.
    """
    verdicts = {}
    for name, here in one.items():
        there = other.get(name)
        values = here.value, None if there is None else there.value
        if values == (None, None):
            continue
        if None in values or there is None:
            verdicts[name] = "first_alone" if values[1] is None else "second_alone"
        elif isinstance(values[0], str):
            verdicts[name] = "within" if values[0] == values[1] else "outside"
        else:
            allowed = 2 * np.hypot(here.expected_error or 0.0, there.expected_error or 0.0)
            verdicts[name] = "within" if abs(float(values[0]) - float(values[1] or 0.0)) <= allowed else "outside"
    return verdicts


def bone_spread(poses: PoseSequence) -> Figures:
    """Half of the middle 68 % of each bone's length in the picture, and its median, % of height, smoothed at 6 Hz.

    A bone that turns out of the picture's plane changes its length there too, so this bounds the model's error from
    above.
    """
    motion = prepare(poses, 1.0, constant_view=True)
    figures = {}
    for (name, ends), side in product(BONES.items(), ("left", "right")):
        one, two = (motion.point(f"{side}_{end}").path for end in ends)
        length = 100 * np.linalg.norm(one - two, axis=-1) / motion.stature
        low, middle, high = np.nanpercentile(length, (16, 50, 84))
        figures[f"{side} {name}"] = {"median_pct": round(middle, 2), "spread_pct": round((high - low) / 2, 2)}
    return figures


def beside(one: PoseSequence, other: PoseSequence) -> dict[str, str]:
    """`compare` from the side, each metric once: in the first mode in which either gives it."""
    verdicts: dict[str, str] = {}
    for mode in get_args(Mode):
        verdicts = compare(*(_measured(poses, mode) for poses in (one, other))) | verdicts
    return verdicts


def _tally(verdicts: Sequence[dict[str, str]]) -> Figures:
    """Metric → how often each verdict was given."""
    counts: Figures = {}
    for name, verdict in (pair for one in verdicts for pair in one.items()):
        row = counts.setdefault(name, {})
        row[verdict] = row.get(verdict, 0) + 1
    return counts


def _measured(poses: PoseSequence, mode: Mode) -> Metrics:
    view = ViewDocument(value="side", source="caller", confidence=1.0)
    return measure(poses, MeasureContext(mode=mode, stage="deep", view=view, options=AnalysisOptions())).metrics


def _confident(poses: PoseSequence) -> Array:
    return np.where((poses.confidence >= CONFIDENT)[..., None], poses.keypoints, np.nan).astype(np.float64)


def _stature(poses: PoseSequence, points: Array) -> Array:
    chain = kinematics.compute_eye_to_ankle({name: points[:, k] for k, name in enumerate(COCO_17.keypoint_names)})
    return kinematics.compute_size(chain, poses.timestamps_s, 0.5)


def _knee(points: Array, side: str) -> Array:
    hip, knee, ankle = (points[:, COCO_17.index(f"{side}_{part}")] for part in ("hip", "knee", "ankle"))
    return kinematics.compute_joint_angle(hip, knee, ankle)


def _filtered_knees(poses: PoseSequence) -> Array:
    """(T, 2) left and right as the product reads them: sides repaired, outliers out, 12 Hz; a repeat is not seen."""
    motion = prepare(poses, 1.0, constant_view=True)
    out = np.full((len(poses.timestamps_s), 2), np.nan)
    rows = np.searchsorted(poses.frame_indices, motion.frames)
    for column, side in enumerate(("left", "right")):
        out[rows, column] = kinematics.compute_joint_angle(
            *(motion.point(f"{side}_{part}", "contact").path for part in ("hip", "knee", "ankle"))
        )
    return out


def _indices(part: str) -> list[int]:
    return [COCO_17.index(f"{side}_{part}") for side in ("left", "right")]


def _spread(values: Array) -> Figures:
    known = values[np.isfinite(values)]
    if not known.size:
        return {"samples": 0, "median": None, "p95": None}
    middle, high = np.percentile(known, (50, 95))
    return {"samples": int(known.size), "median": round(float(middle), 3), "p95": round(float(high), 3)}


# --- Pixels -----------------------------------------------------------------------------------------------------------


def mirror_clip(clip: Path, out: Path, *, seconds: float = float("inf")) -> Path:
    """Write a copy whose pictures are mirrored and otherwise the same: libavfilter's hflip, then H.264 without loss.

    Of the first `seconds` alone where that is said.
    Raises ValueError where a player must turn the pictures: hflip would mirror them the wrong way.
    """
    with av.open(str(clip)) as source, av.open(str(out), "w") as target:
        read = source.streams.video[0]
        graph = av.filter.Graph()
        graph.link_nodes(graph.add_buffer(template=read), graph.add("hflip"), graph.add("buffersink")).configure()
        write = target.add_stream("libx264", rate=read.average_rate, options={"qp": "0", "preset": "ultrafast"})
        write.width, write.height, write.pix_fmt = read.width, read.height, read.pix_fmt
        write.codec_context.time_base = read.time_base
        for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(write.codec_context, name, getattr(read.codec_context, name))
        for frame in source.decode(read):
            if frame.rotation:
                raise ValueError(f"{clip.name} is stored turned by {frame.rotation} degrees")
            if frame.time >= seconds:
                break
            graph.vpush(frame)
            target.mux(write.encode(graph.vpull()))
        target.mux(write.encode(None))
    return out


def everybody(extractor: PoseExtractor, clip: Path) -> list[SubjectHint]:
    """A point on each person who is seen for two seconds or more, the most prominent first."""
    request = ExtractRequest(limits=wiring.limits(Settings()).video)
    seen = extractor.detect(clip, request, survey(clip, request.limits), WHOLE)
    people = line_up(seen.people.frames(), window_s=float("inf"), slowmo_factor=1.0).people
    return [person.hint for person in people if person.last_s - person.first_s >= SEEN_MIN_S]


def _everybodys_poses(clip: Path) -> Iterator[tuple[Figures, PoseSequence]]:
    with _extractor() as extractor:
        for hint in everybody(extractor, clip):
            extraction = _extract(extractor, clip, hint)
            yield _who(extraction), extraction.poses


@contextmanager
def _extractor() -> Iterator[PoseExtractor]:
    extractor = load_extractor(wiring.extractor_options(Settings()))
    try:
        yield extractor
    finally:
        extractor.close()


def _extract(extractor: PoseExtractor, clip: Path, hint: SubjectHint) -> Extraction:
    return extractor.extract(clip, ExtractRequest(subject=(hint,), limits=wiring.limits(Settings()).video))


def _who(extraction: Extraction) -> Figures:
    poses = extraction.poses
    box, seen = extraction.subject.box, poses.timestamps_s[poses.seen]
    return {
        "at": [round(side) for side in box], "at_s": round(extraction.subject.time_s, 2),
        "seen_s": round(float(np.ptp(seen)), 2), "model": poses.model.name, "precision": poses.model.precision,
    }  # fmt: skip


def _rate(poses: PoseSequence) -> float:
    return 1 / float(np.median(np.diff(poses.timestamps_s)))


CHECKS: dict[str, Callable[[Path], Figures]] = {"flip": flip, "halves": halves, "bones": bones}
"""By the name of `science.py`'s command."""
