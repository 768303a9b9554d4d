"""A comparison of two versions made of what trials kept: nothing is inferred again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.metadata import version

from inference.errors import InferenceError
from models.artifacts import ArtifactStore
from models.errors import StoreError
from models.trials import Trial
from pipeline.comparison.documents import ComparedClip, ComparisonDocument
from pipeline.comparison.page import build_page
from pipeline.comparison.pictures import Pair
from pipeline.comparison.run import Comparison, stills
from pipeline.sources import clip_source
from pipeline.stages import Limits
from pipeline.trials.files import job_outcome, trial_outcome

logger = logging.getLogger(__name__)

MAX_DRAWN = 20
"""Clips whose findings are shown with stills, the newest ones: a page of many stays one that a browser opens."""


def kept_comparison(store: ArtifactStore, trials: Sequence[Trial], a: str, b: str, limits: Limits) -> Comparison:
    """What was kept of jobs that `a` had measured and `b` measured once more, in the order of `trials`.

    There are no rounds: the two did not run side by side, so speed and memory are not compared. A clip that is not in
    the store any more, or cannot be read, has no stills.
    """
    kept = [(trial, clip) for trial in trials if (clip := compared_clip(trial)) is not None]
    document = ComparisonDocument(
        a=a, b=b, code_version=version("frontfoot"), clips=tuple(clip for _, clip in kept), rounds=()
    )
    flipped = [(trial, clip) for trial, clip in kept if clip.flips and clip.agreement]
    pairs = {clip.name: _stills(store, trial, clip, limits) for trial, clip in flipped[-MAX_DRAWN:]}
    return Comparison(document=document, page=build_page(document, pairs))


def compared_clip(trial: Trial) -> ComparedClip | None:
    """What a trial found to differ; None where nothing could be compared."""
    found = trial.outcome.comparison
    return None if found is None else ComparedClip.model_validate(found)


def _stills(store: ArtifactStore, trial: Trial, clip: ComparedClip, limits: Limits) -> dict[str, Pair]:
    before, after = trial.outcome.base_key, trial.outcome.results_key
    if clip.diff is None or before is None or after is None:
        return {}
    try:
        one = job_outcome(store, trial.bucket, before)
        other = trial_outcome(store, trial.bucket, after, trial.model)
        source = clip_source(store, trial.bucket, trial.source_key, limits)
        return stills(source, clip.diff, one, other, limits)
    except (StoreError, InferenceError, ValueError) as error:
        logger.warning("No stills of %s: %s", trial.job_id, error)
        return {}
