"""What is wrong with a job itself, each with a stable code; the docstring is the default message."""

from __future__ import annotations

from typing import ClassVar


class JobError(Exception):
    """The job cannot be run as it stands."""

    code: ClassVar[str] = "job_invalid"
    transient: ClassVar[bool] = False

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.message)


class ModeMissing(JobError):
    """The job names no analysis_mode; it is never guessed."""

    code = "analysis_mode_missing"


class RequestInvalid(JobError):
    """What the job asks for is not something this version can do."""

    code = "request_invalid"


class ModelNotLoaded(JobError):
    """The worker runs another model than the job asks for; another worker may run it."""

    code = "model_not_loaded"
    transient = True


class LoadingFailed(JobError):
    """The pose actors did not come to hold the model."""

    code = "model_load_failed"
    transient = True


class HandedBack(JobError):
    """The worker is stopping and hands the job back."""

    code = "handed_back"
    transient = True


class NeighbourCrash(HandedBack):
    """The actor died with this clip and others in it; the job is handed back and runs alone from now on."""

    code = "neighbour_crash"


class Stalled(JobError):
    """The extraction made no progress for too long; it was given up and its actor started again."""

    code = "stalled"
    transient = True
