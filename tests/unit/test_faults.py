"""Errors survive the wire, and nothing else does."""

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from workspaced.bus.faults import encode_error, error_in, for_the_wire
from workspaced.fsm.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    Unavailable,
    UndecodableMessage,
    Validation,
    VersionConflict,
    WorkspacedError,
)


def received(error: Exception) -> WorkspacedError | None:
    """The error at the other end."""
    data, headers = encode_error(*for_the_wire(error))
    return error_in(Msg(Client(), data=data, headers=headers))


@pytest.mark.parametrize(
    "error",
    [
        BadRequest("owner.id: this field is required", field="owner.id"),
        BadRequest("a b", code="invalid_parameters", validations=(Validation("cpu", "too many"),)),
        Forbidden(),
        NotFound("look up template: template not found", code="template_not_found", field="template_id"),
        Conflict("a workspace with this name already exists", code="name_taken", detail="d"),
        Unavailable(),
    ],
)
def test_our_errors_come_back(error: WorkspacedError) -> None:
    """Same class, same word, same details."""
    back = received(error)

    assert type(error) is type(back)
    assert back is not None
    assert error.body() == back.body()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("postgres://user:secret@host"),
        KeyError("secret"),
        WorkspacedError("secret"),
        VersionConflict("secret"),
        UndecodableMessage("bad_body", "secret"),
    ],
)
def test_internals_stay_inside(error: Exception) -> None:
    """Whatever else happened is a bare 500."""
    data, headers = encode_error(*for_the_wire(error))

    assert headers["Nats-Service-Error-Code"] == "500"
    assert b"secret" not in data
    assert "secret" not in str(headers)


@pytest.mark.parametrize(("status", "kind"), [("503", Unavailable), ("418", WorkspacedError), ("x", WorkspacedError)])
def test_errors_without_our_body(status: str, kind: type[WorkspacedError]) -> None:
    """Another program's error becomes the nearest of ours."""
    message = Msg(Client(), data=b"?", headers={"Nats-Service-Error-Code": status, "Nats-Service-Error": "away"})

    assert type(error_in(message)) is kind
    assert str(error_in(message)) == "away"


def test_a_good_answer_is_no_error() -> None:
    """Without the header nothing is wrong."""
    assert error_in(Msg(Client(), data=b"{}")) is None
