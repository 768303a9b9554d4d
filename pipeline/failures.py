"""Any exception → what the job row says about it: a stable code, a sentence, and whether trying again may help."""

from __future__ import annotations

from dataclasses import dataclass

from ray import exceptions

from inference.errors import InferenceError
from models.errors import INTERNAL_ERROR, StoreError
from pipeline.coaching.datafiles import DataFileError
from pipeline.errors import JobError

INTERNAL = "An error of ours, not of the clip. The worker's log has the details under this job's id."


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a job did not finish."""

    code: str
    message: str
    transient: bool


def failure_of(error: BaseException) -> Failure:
    """Classify an exception; a Ray error is opened first, so that the code is the one its cause carries."""
    cause = _cause(error)
    if isinstance(cause, InferenceError | StoreError | JobError):
        return Failure(code=cause.code, message=cause.message, transient=cause.transient)
    if isinstance(cause, DataFileError):
        return Failure(code=cause.code, message=str(cause), transient=False)
    if isinstance(cause, MemoryError):
        return Failure(code="out_of_memory", message="The worker ran out of memory.", transient=True)
    if isinstance(cause, OSError):
        return Failure(code="io_error", message=f"{type(cause).__name__}: {cause}", transient=True)
    return _ray_failure(cause) or Failure(code=INTERNAL_ERROR, message=INTERNAL, transient=False)


def lost_its_actor(error: BaseException) -> bool:
    """Whether an extraction ended because the process it ran in did: killed, out of memory, or gone with its node."""
    gone = exceptions.RayActorError | exceptions.OutOfMemoryError | exceptions.NodeDiedError
    return isinstance(_cause(error), gone)


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, exceptions.RayTaskError) and isinstance(error.cause, BaseException):
        error = error.cause
    return error


def _ray_failure(error: BaseException) -> Failure | None:
    """What happened to the processes, not to the clip: all of it may go well the next time."""
    if isinstance(error, exceptions.OutOfMemoryError):
        return Failure(code="out_of_memory", message="A Ray process ran out of memory.", transient=True)
    if isinstance(error, exceptions.ActorDiedError | exceptions.ActorUnavailableError):
        return Failure(code="actor_died", message="The process that ran the pose model died.", transient=True)
    if isinstance(error, exceptions.RayError):
        return Failure(code="cluster_error", message=f"{type(error).__name__}: {error}".splitlines()[0], transient=True)
    return None
