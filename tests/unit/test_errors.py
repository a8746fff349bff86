"""Every error: its status and its word are stable for good."""

import pytest

from workspaced.fsm import errors
from workspaced.fsm.errors import ErrorBody, UndecodableMessage, Validation, WorkspacedError

ALL = {
    "WorkspacedError": (500, "internal", "something went wrong inside workspaced; the operator's log has the cause"),
    "BadRequest": (400, "bad_request", "the request is not well formed"),
    "Forbidden": (403, "not_owner", "only the chat's owner may do this"),
    "NotFound": (404, "chat_not_found", "there is no such chat; create_workspace or attach makes one"),
    "Conflict": (409, "request_id_reused", "this request_id was used for another request; use a fresh one"),
    "Unavailable": (503, "unavailable", "the store is away; try again with the same request_id"),
    "VersionConflict": (500, "internal", "somebody else moved a row first; the batch is decided again"),
}


@pytest.mark.parametrize(("name", "expected"), ALL.items())
def test_each_error(name: str, expected: tuple[int, str, str]) -> None:
    """Without arguments the docstring speaks."""
    error = getattr(errors, name)()

    assert (error.status, error.code, str(error)) == expected
    assert error.body() == ErrorBody(expected[1], expected[2])


def test_there_are_no_others() -> None:
    """A new one is listed here, and in the tree at the top of its file."""
    found = {
        name
        for name, one in vars(errors).items()
        if isinstance(one, type) and issubclass(one, WorkspacedError) and one is not UndecodableMessage
    }

    assert found == set(ALL)
    assert all(name in (errors.__doc__ or "") for name in [*ALL, "UndecodableMessage"])


def test_details_are_attributes() -> None:
    """And stand in the body."""
    fault = Validation("a", "b")
    error = errors.BadRequest("no", code="invalid_parameters", field="f", detail="d", validations=(fault,))

    assert error.body() == ErrorBody("invalid_parameters", "no", "f", "d", (fault,))


@pytest.mark.parametrize(("detail", "text"), [("", "not_json"), ("line 1", "not_json: line 1")])
def test_an_undecodable_message_has_a_reason(detail: str, text: str) -> None:
    """A word for the header, and more for people."""
    error = UndecodableMessage("not_json", detail)

    assert (error.reason, error.detail, str(error)) == ("not_json", detail, text)
