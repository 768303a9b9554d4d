"""Do findings hold? Athletes whose every judged number is known, and what the reports say of them.

*Clean*: every number that the rules of a view judge lies so many total expected errors inside its limit (as far as a
good cricketer's own range goes, `GOOD`); a report with any finding of a fault is a false one. *Fault*: all others are
three errors inside, and one number lies beyond its limit: at a fixed size (`FAULTS`) or so many errors beyond.

The total expected error is what the product states for that view, rate and number of balls, in the median over athletes
at the limits (`stated_errors`), and never less than the rule's tolerance. A spread has the error that the laws give it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from cricketer.clips import film
from cricketer.movement import Movement
from cricketer.noise import Noise
from cricketer.steer import Unreachable, steer, true_value

from models.documents import Findings
from pipeline.biomechanics.measure import measure
from pipeline.coaching.compare import MIN_REPETITIONS
from pipeline.coaching.findings import generate_findings
from pipeline.coaching.rule import Rule
from pipeline.coaching.rules import load_rules

Figures = dict[str, Any]

FAULTS: Mapping[str, float] = MappingProxyType({
    "bowling_head_sideways": 20.0, "bowling_foot_line": 20.0, "bowling_head_repeatability": 8.0,
    "bowling_slows_before_crease": 0.8, "bowling_stride_repeatability": 10.0, "bowling_front_knee_folds": 110.0,
    "batting_head_sideways": 18.0, "batting_trunk_tilt": 30.0, "batting_head_still_front": 8.0,
    "batting_head_behind": -15.0, "batting_head_still_side": 9.0, "batting_base_narrow": 10.0,
    "batting_base_wide": 60.0,
    "keeping_crouch_tilt": 20.0, "keeping_head_still": 6.0, "keeping_hands_repeatability": 10.0,
    "keeping_crouch_repeatability": 8.0,
    "fielding_head_outside_feet": 20.0, "fielding_trunk_tilt": 45.0, "fielding_reach_repeatability": 12.0,
    "fielding_hips_high": 50.0, "fielding_too_fast": 0.95, "fielding_elbow_low": -15.0,
})  # fmt: skip
"""Rule → the number (or spread) of a plain fault, in the rule's unit: two of its practical steps beyond its limit,
which the report's own scale calls high. Hips at the pick-up: one, for at 52 % of height a fielder stands upright."""

GOOD: Mapping[str, tuple[float, float]] = MappingProxyType({
    "run_up_speed_ratio": (0.0, 1.05), "front_knee_min": (0.0, 168.0), "head_forward_plant": (-20.0, 6.0),
    "head_steadiness": (1.0, 20.0), "head_outside_feet_pick_up": (0.0, 40.0), "hip_height_pick_up": (28.0, 60.0),
    "throw_elbow_height": (-20.0, 8.0), "base_width": (10.0, 60.0),
})  # fmt: skip
"""Metric → the range in which numbers of cricketers lie: no clean athlete is asked for a better one."""
ONE_SIDED = frozenset({"head_sideways_contact", "trunk_lateral_flexion_pick_up"})
"""Compared by size, but a body does it to one side only: away from the bowling arm, towards the hand that picks up."""
RANGE: Mapping[str, tuple[float, float]] = MappingProxyType({
    "reach_pick_up": (1.0, 45.0), "hand_height_ready": (2.0, 42.0), "crouch_depth": (17.0, 40.0),
    "stride_length": (30.0, 78.0),
})  # fmt: skip
"""Metric → between which numbers the balls of a spread lie, where a body has bounds."""
SIZES, MARGINS = (0.0, 2.5, 2.0), (3.0, 2.0, 1.0)
"""Errors beyond a limit (0: a fault of its fixed size), and inside it."""
PILOTS = 8


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What the product says of the error of what a rule judges, in the median over athletes."""

    sys: float
    rand: float

    def total(self, rule: Rule, balls: int) -> float:
        """The error of an external comparison."""
        return max(math.sqrt(self.sys**2 + self.rand**2 / balls), rule.tolerance or 0.0)

    def spread(self, rule: Rule, balls: int, errors: float) -> float:
        """The spread over `balls` that lies so many errors beyond the rule's (0 where it would be less than none)."""
        expected = rule.finding**2 + self.rand**2
        return math.sqrt(max(0.0, expected * (1 + errors * math.sqrt(2 / (balls - 1))) - self.rand**2))


@dataclass(frozen=True, kw_only=True)
class Filming:
    """How the clips of a row are filmed."""

    mode: str
    view: str
    fps: float
    balls: int
    yaw: float
    seed: int = 0
    noise: Noise | None = None
    """None: the model's own, for that view."""

    def clip_noise(self, rng: np.random.Generator) -> Noise:
        """Along the pitch 5 or 20 % of the frames are mirrored."""
        return self.noise or Noise(mirrored=0.0 if self.view == "side" else float(rng.choice([0.05, 0.2])))


def rules_for(mode: str, view: str) -> tuple[Rule, ...]:
    """The built-in rules that hold there."""
    return load_rules().applicable(mode, view)  # type: ignore[arg-type]  # the modes and views are the requests'


@cache
def stated_errors(mode: str, view: str, fps: float, yaw: float) -> Mapping[str, Stated]:
    """Rule → median sys and rand of its metric, one ball each, over athletes who stand at the rules' limits.

    An error may grow with the number, so what a metric is off in the middle says little about where it is judged. Where
    two rules judge a metric from either side, each has its own athletes.
    """
    stated: dict[str, Stated] = {}
    left = list(rules_for(mode, view))
    while left:
        group = {rule.metric: rule for rule in reversed(left)}
        left = [rule for rule in left if rule not in group.values()]
        seen = _pilots(Filming(mode=mode, view=view, fps=fps, balls=1, yaw=yaw), tuple(group.values()))
        for metric, pairs in seen.items():
            if pairs:
                sys, rand = np.median(pairs, axis=0)
                stated[group[metric].id] = Stated(sys=float(sys), rand=float(rand))
    return stated


def _pilots(filming: Filming, rules: Sequence[Rule]) -> dict[str, list[tuple[float, float]]]:
    """Metric → (sys, rand) of the pilots in whom it was measured."""
    at_limit = {rule.metric: rule.finding for rule in rules if rule.comparison == "external"}
    seen: dict[str, list[tuple[float, float]]] = {rule.metric: [] for rule in rules}
    for seed, rng in _athletes(filming, "".join(rule.id for rule in rules), 0, PILOTS):
        try:
            movement = steer(filming.mode, filming.view, seed, at_limit)
        except Unreachable:
            continue
        metrics = _measured(filming, [movement], rng).metrics
        for name, pairs in seen.items():
            if (metric := metrics[name]).sys is not None and metric.rand is not None:
                pairs.append((metric.sys, metric.rand))
    return seen


def clean_numbers(
    rules: Sequence[Rule], stated: Mapping[str, Stated], balls: int, margin: float, rng: np.random.Generator
) -> dict[str, float]:
    """Metric → a number `margin` errors inside every limit that holds for it, within `GOOD`; a metric with a limit on
    either side is near one of them. Signs of what is compared by size are random."""
    wanted: dict[str, float] = {}
    for metric in dict.fromkeys(rule.metric for rule in rules):
        own = [rule for rule in rules if rule.metric == metric and rule.comparison == "external" and rule.id in stated]
        if not own:
            continue
        low, high = GOOD.get(metric, (-math.inf, math.inf))
        for rule in own:
            edge = rule.finding - rule.sign * margin * stated[rule.id].total(rule, balls)
            if rule.sign > 0:
                high = max(0.0 if rule.absolute else low, min(high, edge))
            else:
                low = min(high, max(low, edge))
        above = own[int(rng.integers(len(own)))].sign > 0
        number = (high if above else low) if low <= high else (low + high) / 2
        turned = own[0].absolute and metric not in ONE_SIDED and rng.random() < 0.5
        wanted[metric] = -number if turned else number
    return wanted


def margins_reached(
    rules: Sequence[Rule], stated: Mapping[str, Stated], balls: int, wanted: Mapping[str, float]
) -> dict[str, float]:
    """Rule → how many errors inside its limit the wanted number lies."""
    reached = {}
    for rule in rules:
        if rule.comparison == "external" and rule.id in stated:
            number = abs(wanted[rule.metric]) if rule.absolute else wanted[rule.metric]
            reached[rule.id] = round(rule.sign * (rule.finding - number) / stated[rule.id].total(rule, balls), 2)
    return reached


def fault_number(rule: Rule, stated: Stated, balls: int, size: float) -> float:
    """The number, or spread, of a fault of `size` errors beyond the limit; 0: the fixed one."""
    if size == 0:
        return FAULTS[rule.id]
    if rule.comparison == "within_clip":
        return stated.spread(rule, balls, size)
    return rule.finding + rule.sign * size * stated.total(rule, balls)


def perform(
    filming: Filming, seed: Sequence[int], wanted: Mapping[str, float], spread: tuple[str, float] | None
) -> list[Movement]:
    """One athlete's balls. They are alike, but for the metric whose truth has a sample SD of `spread` over them."""
    if spread is None or spread[1] == 0:
        return [steer(filming.mode, filming.view, seed, wanted)] * filming.balls
    metric, size = spread
    usual = wanted.get(metric)
    if usual is None:
        usual = true_value(steer(filming.mode, filming.view, seed, wanted), metric, filming.view)
    pattern = np.linspace(-1, 1, filming.balls)
    pattern = np.random.default_rng(seed).permutation(pattern / np.std(pattern, ddof=1))
    least, most = RANGE.get(metric, (-math.inf, math.inf))
    usual = float(np.clip(usual, least + size * pattern.max(), most - size * pattern.max()))
    return [steer(filming.mode, filming.view, seed, {**wanted, metric: usual + size * float(z)})
            for z in pattern]  # fmt: skip


def judged(filming: Filming, movements: Sequence[Movement], rng: np.random.Generator) -> Findings:
    """What the product's rules say of a clip of them."""
    return generate_findings(_measured(filming, movements, rng))


def _measured(filming: Filming, movements: Sequence[Movement], rng: np.random.Generator) -> Any:
    clip = film(movements, filming.view, filming.fps, rng, noise=filming.clip_noise(rng), yaw=filming.yaw)
    return measure(clip.poses, clip.context)


def faults_in(findings: Findings) -> list[str]:
    """The rules that found a fault."""
    return [finding.id for finding in findings.findings if finding.type in ("technique", "consistency")]


def clean_row(filming: Filming, margin: float, athletes: int) -> Figures:
    """Reports of clean athletes, and how many find a fault."""
    rules = rules_for(filming.mode, filming.view)
    stated = stated_errors(filming.mode, filming.view, filming.fps, filming.yaw)
    consistency = [rule for rule in rules if rule.comparison == "within_clip" and rule.id in stated]
    reports, false, compared, least = 0, Counter[str](), 0, dict[str, float]()
    impossible = faulty = 0
    for seed, rng in _athletes(filming, "clean", round(margin * 10), athletes):
        wanted = clean_numbers(rules, stated, filming.balls, margin, rng)
        spread = None
        if consistency and filming.balls >= MIN_REPETITIONS:
            rule = consistency[int(rng.integers(len(consistency)))]
            spread = rule.metric, stated[rule.id].spread(rule, filming.balls, -margin)
        try:
            movements = perform(filming, seed, wanted, spread)
        except Unreachable:
            impossible += 1
            continue
        found = judged(filming, movements, rng)
        names = faults_in(found)
        reports, faulty = reports + 1, faulty + bool(names)
        false.update(names)
        compared += len(found.compared)
        for name, reached in margins_reached(rules, stated, filming.balls, wanted).items():
            least[name] = min(least.get(name, math.inf), reached)
    return {
        "what": "clean", "mode": filming.mode, "view": filming.view, "fps": filming.fps, "balls": filming.balls,
        "margin": margin, "reports": reports, "with_fault": faulty, "by_rule": dict(false),
        "compared": round(compared / max(reports, 1), 2), "metrics": len({rule.metric for rule in rules}),
        "short_of_margin": {name: reached for name, reached in least.items() if reached < margin - 0.05},
        "impossible": impossible,
    }  # fmt: skip


def fault_row(filming: Filming, rule: Rule, size: float, athletes: int) -> Figures:
    """Athletes with one fault, and how many reports find it."""
    rules = rules_for(filming.mode, filming.view)
    stated = stated_errors(filming.mode, filming.view, filming.fps, filming.yaw)
    row: Figures = {
        "what": "fault", "mode": filming.mode, "view": filming.view, "fps": filming.fps, "balls": filming.balls,
        "rule": rule.id, "size": size, "reports": 0, "found": 0, "compared": 0, "others": 0, "impossible": 0,
    }  # fmt: skip
    if rule.id not in stated:
        return row
    row["number"] = round(fault_number(rule, stated[rule.id], filming.balls, size), 3)
    if rule.comparison == "external":
        row["error"] = round(stated[rule.id].total(rule, filming.balls), 3)
    for seed, rng in _athletes(filming, rule.id, round(10 * size), athletes):
        wanted = clean_numbers(rules, stated, filming.balls, MARGINS[0], rng)
        spread = None
        if rule.comparison == "within_clip":
            spread = rule.metric, row["number"]
        else:
            turned = rule.absolute and rule.metric not in ONE_SIDED and rng.random() < 0.5
            wanted[rule.metric] = -row["number"] if turned else row["number"]
        try:
            movements = perform(filming, seed, wanted, spread)
        except Unreachable:
            row["impossible"] += 1
            continue
        found = judged(filming, movements, rng)
        names = faults_in(found)
        row["reports"] += 1
        row["found"] += rule.id in names
        row["compared"] += rule.metric in found.compared
        row["others"] += any(name != rule.id for name in names)
    return row


def _athletes(
    filming: Filming, label: str, size: int, athletes: int
) -> Iterator[tuple[Sequence[int], np.random.Generator]]:
    """A seed of body and technique, and a generator of everything else, for each; the same in every run."""
    for athlete in range(athletes):
        seed = [filming.seed, sum(map(ord, filming.mode + label)), len(filming.view), round(filming.fps), size,
                filming.balls, athlete]  # fmt: skip
        yield seed, np.random.default_rng([*seed, 1])


def clean_rows(filming: Filming, margins: Sequence[float], athletes: int) -> Iterator[Figures]:
    """Clean athletes at every margin."""
    for margin in margins if athletes else ():
        yield clean_row(filming, margin, athletes)


def fault_rows(
    filming: Filming, sizes: Sequence[float], athletes: int, only: Sequence[str] | None = None
) -> Iterator[Figures]:
    """Every fault (`only`: of these rules) at every size; of a few balls no spread is judged."""
    for rule in rules_for(filming.mode, filming.view) if athletes else ():
        told = rule.comparison == "external" or filming.balls >= MIN_REPETITIONS
        if told and (only is None or rule.id in only):
            for size in sizes:
                yield fault_row(filming, rule, size, athletes)


def print_findings(row: Figures) -> None:
    """One row as a line."""
    where, n = f"{row['mode']} {row['view']} {row['fps']:g}/s {row['balls']} balls", row["reports"]
    if row["what"] == "clean":
        share = f"{row['with_fault']} of {n} reports with a fault ({_percent(row['with_fault'], n)})"
        print(f"{where}: clean by {row['margin']:g} errors: {share} {row['by_rule'] or ''}; "
              f"compared {row['compared']} of {row['metrics']}; less margin {row['short_of_margin'] or 'nowhere'}; "
              f"no such body {row['impossible']}", flush=True)  # fmt: skip
        return
    size = "fixed" if row["size"] == 0 else f"{row['size']:g} errors"
    print(f"{where}: {row['rule']} {size} ({row.get('number')} ± {row.get('error')}): found {row['found']} of {n} "
          f"({_percent(row['found'], n)}), compared {row['compared']}, other faults {row['others']}, "
          f"no such body {row['impossible']}", flush=True)  # fmt: skip


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "none"
