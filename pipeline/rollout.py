"""What to do next so that a worker comes to run the model that it should: one step at a time, out of what is there now.

A version is *loading* until all its actors have it, is then given all new jobs, and stays when another one takes over:
*draining* while a job holds it, *warm* for a while after, so that the way back takes no loading, then dropped. Jobs
that mean this very version still come to it, unless a third one waits for its place: there are never more than two.
Where two do not fit, the old one goes first: nobody is given jobs until the new one is there.

A *canary* is loaded beside what serves, once that is what it should be, and takes the place of whatever is warm. It is
never given all jobs; when it is over its version goes. Where there is no room for it, it does not come.

Nothing here remembers anything, so it does not matter where a swap was interrupted. No Ray, and no clock of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["load", "route", "close", "shut", "drop", "rest"]
Room = Literal["enough", "unclear", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A version that this worker has actors for."""

    model: str
    """`name@version`."""
    ready: bool
    """Whether every actor has loaded it, and answers."""
    jobs: int
    left: float
    """When it was last of use: the last job left it, or new jobs stopped coming to it."""
    proven: bool = False
    """Whether its actors have shown that they find people: no job comes before."""
    former: bool = False
    """Whether new jobs came to it, and now go elsewhere."""
    late: bool = False
    """Not ready, but it has been, and answered a moment ago: busy, for all that is known."""
    shut: bool = False
    """Whether not even jobs that mean this very version come to it."""
    canary: bool = False
    """Whether it was loaded as a canary, and so is of no use when that is over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """What is so now."""

    wanted: str
    """What the worker should run."""
    serving: str | None
    """What new jobs get; None: they wait in the queue."""
    served: str
    """What they got last."""
    held: tuple[Held, ...]
    refused: frozenset[str] = frozenset()
    """What could not be loaded, and is not to be tried now."""
    tried: frozenset[str] = frozenset()
    """What could not be loaded since it is wanted: not worth giving up one that works for it again."""
    canary: str | None = None
    """What should be there beside what serves."""
    room: Room = "enough"
    """For one more beside those that are there; `unclear`: what was given up a moment ago may not be free yet."""

    def __post_init__(self) -> None:
        """Check it; raises ValueError."""
        models = [one.model for one in self.held]
        if len(set(models)) != len(models) or self.serving not in {None, *models}:
            raise ValueError(f"{self.serving} serves out of {models}")

    @property
    def target(self) -> str:
        """Where to go: what is wanted, or back to what was there where that cannot be loaded."""
        return self.served if self.wanted in self.refused else self.wanted

    @property
    def beside(self) -> str | None:
        """The canary that is to be there: one that can be loaded, and is not where to go itself."""
        return None if self.canary in {self.target, *self.refused} else self.canary

    def find(self, model: str | None) -> Held | None:
        """The one of this model."""
        return next((one for one in self.held if one.model == model), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing to do: load a model, give it all new jobs, give it none any more, drop it.

    Or `close`: give new jobs to nobody; or rest.
    """

    kind: Kind
    model: str | None = None


REST = Step(kind="rest")


def next_step(now: Situation, *, moment: float, warm_s: float) -> Step:
    """The next step; `rest` until something changes or time passes. `moment` is of the clock that `left` is of."""
    target = now.find(now.target)
    others = [one for one in now.held if one is not target and one.model != now.serving]
    gone = (one for one in others if not (one.ready or one.late or one.jobs) and one.model != now.beside)
    unwanted = next(gone, None)
    if unwanted is not None:  # half loaded, and another is wanted by now; or dead for good
        return Step(kind="drop", model=unwanted.model)
    if target is None:
        return _make_room(now, others)
    if now.serving != target.model:
        return Step(kind="route", model=target.model) if target.ready else REST
    return _beside(now, others, moment - warm_s)


def _beside(now: Situation, others: list[Held], cold: float) -> Step:
    """The next step where the target serves: what is of no use goes, and a canary comes. `cold`: left before then."""
    for one in others:
        if one.model == now.beside and not one.shut:
            continue
        in_the_way = one.canary or now.beside is not None
        if not one.jobs and (in_the_way or one.left <= cold):
            return Step(kind="drop", model=one.model)
        if in_the_way and not one.shut:
            return Step(kind="shut", model=one.model)
    wanting = now.beside is not None and not others and now.room == "enough"
    return Step(kind="load", model=now.beside) if wanting else REST


def _make_room(now: Situation, others: list[Held]) -> Step:
    """The next step on the way to a target that is not there."""
    if now.target in now.refused:
        return REST
    for one in others:  # warm, or draining
        if not one.jobs:
            return Step(kind="drop", model=one.model)
        return REST if one.shut else Step(kind="shut", model=one.model)
    if now.serving is not None and now.room != "enough":
        if now.target in now.tried:  # it is not worth a second outage
            return REST
        return Step(kind="close") if now.room == "none" else REST
    return Step(kind="load", model=now.target)
