"""No job is measured by another model than it asks for."""

from __future__ import annotations

import pytest

from inference.errors import ModelUnknown
from pipeline.errors import HandedBack, ModelNotLoaded
from pipeline.failures import failure_of
from pipeline.job_run import check_model


def test_who_asks_for_none_takes_what_there_is() -> None:
    check_model(None, "net@1", "net@1", follows=None)
    check_model(None, None, "net@2", follows=None)


def test_what_is_said_to_measure_does() -> None:
    """The model of an earlier attempt was there when the job was claimed, and went before anybody could hold it."""
    with pytest.raises(HandedBack, match="began with net@1"):
        check_model(None, "net@1", "net@2", follows=None)


def test_a_job_that_leaves_it_to_the_worker_is_never_charged_for_what_that_dropped() -> None:
    with pytest.raises(HandedBack, match="began with net@1"):
        check_model("production", "net@1", "net@2", follows="production")
    with pytest.raises(ModelNotLoaded):
        check_model("net@1", "net@1", "net@2", follows="production")


def test_what_was_meant_is_what_must_run() -> None:
    check_model("production", "net@1", "net@1", follows=None)
    for runs in ("net@2", "other@1", None):
        with pytest.raises(ModelNotLoaded) as caught:
            check_model("production", "net@1", runs, follows=None)
    assert caught.value.message == "The job asks for production, which is net@1; this worker runs None."
    failure = failure_of(caught.value)
    assert (failure.code, failure.transient) == ("model_not_loaded", True)  # another worker may run it


def test_what_is_not_in_the_catalogue_is_never_tried_again() -> None:
    with pytest.raises(ModelUnknown, match="no model 'net@9' in the catalogue") as caught:
        check_model("net@9", None, "net@1", follows=None)
    assert not failure_of(caught.value).transient
