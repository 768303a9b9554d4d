"""What can go wrong with what is stored, each with a stable code; the docstring is the default message."""

from __future__ import annotations

from typing import ClassVar

INTERNAL_ERROR = "internal_error"
"""The code of what nobody expected: an error of ours, with its traceback in a log."""


class StoreError(Exception):
    """Something stored could not be read or written."""

    code: ClassVar[str] = "store_failed"
    transient: ClassVar[bool] = False

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.message)


class NotFound(StoreError):
    """There is no such thing, or it belongs to somebody else."""

    code = "not_found"


class SourceMissing(StoreError):
    """The source video is not in the store."""

    code = "source_missing"


class KeyTooLong(StoreError):
    """The source key is longer than 400 characters."""

    code = "source_key_too_long"


class StoreUnavailable(StoreError):
    """The artifact store or the database did not answer."""

    code = "store_unavailable"
    transient = True


class LeaseLost(StoreError):
    """Another worker holds this job now; nothing was changed."""

    code = "lease_lost"


class JobCanceled(StoreError):
    """The job was canceled; nothing was changed."""

    code = "canceled"


class ArtifactsMissing(StoreError):
    """Critical artifacts missing: findings or report."""

    code = "artifacts_missing"

    def __init__(self, message: str | None = None, *, retried: bool = False) -> None:
        """`retried`: the job did not end by it, for another model has a try."""
        super().__init__(message)
        self.retried = retried


class InvalidTransition(StoreError):
    """The job is not in a state that allows this."""

    code = "invalid_state"


class SchemaBehind(StoreUnavailable):
    """The database's schema is older than this code; run `alembic upgrade head`."""

    code = "schema_behind"


class InvalidCursor(StoreError):
    """The cursor does not come from an earlier page."""

    code = "invalid_cursor"


class InvalidKey(StoreError):
    """This cannot be the key of a stored object."""

    code = "invalid_key"


class UploadTooLarge(StoreError):
    """The upload is larger than allowed; nothing was kept."""

    code = "upload_too_large"


class RangeNotSatisfiable(StoreError):
    """The range starts behind the end of the object."""

    code = "range_not_satisfiable"


class IdempotencyConflict(StoreError):
    """The idempotency key was used for another request."""

    code = "idempotency_conflict"


class TooManyActiveJobs(StoreError):
    """The owner has as many unfinished jobs as allowed."""

    code = "too_many_active_jobs"


class BucketNotAllowed(StoreError):
    """The source is not in a bucket that may be read."""

    code = "bucket_not_allowed"


class UploadInvalid(StoreError):
    """What arrived is not what was announced."""

    code = "upload_invalid"


class WebhookUrlRefused(StoreError):
    """The webhook cannot be sent there."""

    code = "webhook_url_refused"


class ModelNotInCatalogue(StoreError):
    """No model of this name is in the catalogue."""

    code = "model_unknown"


class CatalogueMissing(StoreError):
    """The database is older than the catalogue, or not there yet."""

    code = "schema_behind"


class ModelRefused(StoreError):
    """The catalogue does not take this."""

    code = "model_refused"


class ModelInUse(StoreError):
    """An alias means this version."""

    code = "model_in_use"
