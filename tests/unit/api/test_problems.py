from collections.abc import Iterator

import pytest

from api.problems import STATUS_AND_TITLE, Problem, ProblemDocument, problem_response, responses
from models import errors


def store_errors(kind: type[errors.StoreError] = errors.StoreError) -> Iterator[type[errors.StoreError]]:
    for child in kind.__subclasses__():
        yield child
        yield from store_errors(child)


def test_every_code_has_a_real_status_and_a_title() -> None:
    for code, (status, title) in STATUS_AND_TITLE.items():
        assert 400 <= status < 600, code
        assert title[0].isupper(), code
        assert not title.endswith("."), code


@pytest.mark.parametrize(
    "error",
    [
        errors.NotFound,
        errors.KeyTooLong,
        errors.StoreUnavailable,
        errors.SchemaBehind,
        errors.InvalidTransition,
        errors.InvalidCursor,
        errors.UploadTooLarge,
        errors.RangeNotSatisfiable,
    ],
)
def test_what_a_caller_can_cause_or_wait_out_is_no_500(error: type[errors.StoreError]) -> None:
    assert error in set(store_errors())
    assert STATUS_AND_TITLE[error.code][0] != 500


def test_a_problem_is_written_as_the_rfc_wants_it() -> None:
    response = problem_response(Problem("unauthorized", headers={"WWW-Authenticate": "Bearer"}), instance="/somewhere")
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"] == "Bearer"
    document = ProblemDocument.model_validate_json(bytes(response.body))
    assert document.type == "urn:frontfoot:problem:unauthorized"
    assert (document.status, document.code, document.instance) == (401, "unauthorized", "/somewhere")
    assert b"errors" not in bytes(response.body)


def test_documented_responses_share_a_status() -> None:
    documented = responses("validation_failed", "model_unknown")
    assert set(documented) == {422}
    assert set(documented[422]["content"]["application/problem+json"]["examples"]) == {
        "validation_failed",
        "model_unknown",
    }
