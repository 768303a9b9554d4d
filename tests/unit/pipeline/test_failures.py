"""Which exception ends a job how."""

from __future__ import annotations

import pytest
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayTaskError,
    WorkerCrashedError,
)

from inference.errors import InferenceError, NoPerson, RuntimeBroken, SourceUnavailable
from models.canary_judge import ERRORS, NOBODY
from models.errors import StoreError, StoreUnavailable
from pipeline.coaching.datafiles import DataFileError
from pipeline.errors import HandedBack, JobError, ModelNotLoaded, ModeMissing, NeighbourCrash, Stalled
from pipeline.failures import INTERNAL, Failure, failure_of, lost_its_actor


def _in_a_task(cause: Exception) -> RayTaskError:
    return RayTaskError("measure", "traceback", cause)


@pytest.mark.parametrize(
    ("error", "code", "transient"),
    [
        (NoPerson(), "no_person", False),
        (_in_a_task(NoPerson()), "no_person", False),
        (_in_a_task(NoPerson()).as_instanceof_cause(), "no_person", False),
        (_in_a_task(_in_a_task(NoPerson())), "no_person", False),
        (SourceUnavailable(), "source_unavailable", True),
        (_in_a_task(RuntimeBroken()), "runtime_broken", True),
        (StoreUnavailable(), "store_unavailable", True),
        (_in_a_task(DataFileError("club.toml:3: no")), "rules_invalid", False),
        (ModeMissing(), "analysis_mode_missing", False),
        (HandedBack(), "handed_back", True),
        (NeighbourCrash(), "neighbour_crash", True),
        (Stalled(), "stalled", True),
        (MemoryError(), "out_of_memory", True),
        (OutOfMemoryError("killed"), "out_of_memory", True),
        (OSError(28, "No space left on device"), "io_error", True),
        (ActorDiedError(), "actor_died", True),
        (NodeDiedError("gone"), "cluster_error", True),
        (ZeroDivisionError("division by zero"), "internal_error", False),
        (_in_a_task(ZeroDivisionError("division by zero")), "internal_error", False),
    ],
)
def test_an_error_is_known_by_its_cause(error: BaseException, code: str, *, transient: bool) -> None:
    failure = failure_of(error)
    assert (failure.code, failure.transient) == (code, transient)
    assert failure.message


def test_a_fault_of_ours_tells_its_details_to_the_log_and_not_to_the_owner() -> None:
    assert failure_of(_in_a_task(KeyError("/secret/path"))) == Failure(
        code="internal_error", message=INTERNAL, transient=False
    )


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (ActorDiedError(), True),
        (ActorUnavailableError("restarting", None), True),
        (OutOfMemoryError("killed by Ray's memory monitor"), True),
        (NodeDiedError("gone"), True),
        (_in_a_task(ActorDiedError()), True),
        (_in_a_task(NoPerson()), False),
        (_in_a_task(MemoryError()), False),
        (WorkerCrashedError(), False),
        (ObjectLostError("0" * 56, "", ""), False),
    ],
)
def test_whether_an_extractions_process_is_gone(error: BaseException, *, lost: bool) -> None:
    assert lost_its_actor(error) is lost


def test_what_counts_against_a_canary_are_codes_that_there_are() -> None:
    def below(error: type[Exception]) -> set[str]:
        return {error.code} | {code for one in error.__subclasses__() for code in below(one)}  # type: ignore[attr-defined]

    of_rays = {
        failure_of(error).code for error in (ActorDiedError(), ObjectLostError("0" * 40, None, ""), RuntimeError())
    }
    there = below(InferenceError) | below(StoreError) | below(JobError) | of_rays
    assert there >= ERRORS | NOBODY
    assert not ERRORS & {HandedBack.code, ModelNotLoaded.code, "store_unavailable", "source_unavailable", "canceled"}
