"""Clips through two models in turn, each round in a process of its own: what came of it, how fast, in how much memory.

A B A B: a machine that grows slower meanwhile slows both.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

from inference.errors import InferenceError, RuntimeBroken
from inference.extract import ExtractorOptions, load_extractor
from inference.sources import ClipSource
from models.requests import AnalysisRequest
from pipeline.comparison.differences import Failed, Outcome
from pipeline.comparison.documents import RoundDocument
from pipeline.run import run_stages
from pipeline.stages import Limits

ROUNDS = 2
"""Of each model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A clip, and what is asked of it."""

    name: str
    source: ClipSource
    request: AnalysisRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """All cases once through one model; equal in every round of the model but for time and memory."""

    outcomes: tuple[Outcome | Failed, ...]
    cost: RoundDocument


def run_rounds(
    cases: Sequence[Case], a: tuple[str, ExtractorOptions], b: tuple[str, ExtractorOptions], limits: Limits
) -> tuple[Round, ...]:
    """A B A B of (name, model). Raises InferenceError where a model cannot be loaded, RuntimeBroken where it dies."""
    done = []
    for name, options in (a, b) * ROUNDS:
        # A process of its own each time, and a fresh one: what was loaded before counts in nobody's memory.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            try:
                done.append(process.submit(_round, cases, name, options, limits).result())
            except BrokenProcessPool:
                raise RuntimeBroken(
                    f"The process that ran {name} died; too little memory is the usual cause."
                ) from None
    return tuple(done)


def _round(cases: Sequence[Case], name: str, options: ExtractorOptions, limits: Limits) -> Round:
    extractor = load_extractor(options)
    outcomes: list[Outcome | Failed] = []
    frames, started = 0, time.perf_counter()
    try:
        for case in cases:
            try:
                quick, final = run_stages(case.source, case.request, extractor=extractor, limits=limits)
            except InferenceError as error:
                outcomes.append(Failed(code=error.code))
                continue
            stages = (quick,) if final is quick else (quick, final)
            frames += sum(stage.extraction.receipt.inferred for stage in stages)
            outcomes.append(Outcome(extraction=final.extraction, results=final.results))
        seconds = time.perf_counter() - started
    finally:
        extractor.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    cost = RoundDocument(model=name, seconds=round(seconds, 3), frames=frames, peak_mib=round(peak, 1))
    return Round(outcomes=tuple(outcomes), cost=cost)
