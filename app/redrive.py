"""Sending dead letters again, or dropping them; both as an administrator, with no engine needed.

A letter is sent first and removed then, and its message id is made of its place in DEAD: whoever dies in between and
does it again sends nothing twice within the stream's window.
"""

from typing import Final, Literal

from msgspec import Struct
from nats.aio.client import Client

from workspaced.bus import headers, streams
from workspaced.bus.direct import Kept, read
from workspaced.bus.look_up import remove
from workspaced.bus.publish import Message, Publisher, with_id
from workspaced.bus.subject_parser import DeadSubject, parse
from workspaced.fsm.errors import NotFound, UndecodableMessage

_FROM_SERVER: Final = "ws.sys."
_OURS: Final = ("ws.cmd.", "ws.event.", "ws.due.")
_UNNAMED: Final = "_"
"""Stands in a dead letter's subject where the original had a token that nobody may publish."""

Outcome = Literal["redriven", "dropped", "refused", "not_found"]


class Done(Struct, frozen=True):
    """What became of one dead letter."""

    seq: int
    outcome: Outcome
    subject: str | None = None
    detail: str | None = None


async def read_letter(admin: Client, sequence: int) -> Kept:
    """One dead letter. Raises NotFound, and Unavailable when NATS does not answer."""
    page = await read(admin, streams.DEAD, streams.SUBJECTS[streams.DEAD][0], sequence - 1, 1)
    if not page.kept or page.kept[0].sequence != sequence:
        raise NotFound(f"there is no dead letter {sequence}; see `workspaced dead list`", code="dead_not_found")
    return page.kept[0]


def original_subject(letter: Kept) -> str:
    """Where it came from."""
    named = parse(letter.subject)
    return named.subject if isinstance(named, DeadSubject) else letter.subject


def refusal(subject: str) -> str | None:
    """Why a message of this subject may not be sent again; None when it may."""
    if subject.startswith(_FROM_SERVER):
        return (
            "only the NATS server says who comes and goes, and a late word of it may undo a newer one;"
            " drop it, an engine asks the servers itself when it starts"
        )
    if _UNNAMED in subject.split("."):
        return "its subject was none that anybody may publish to, so nobody would take it again; drop it"
    if not subject.startswith(_OURS):
        return "no engine takes messages of this subject; drop it"
    return None


async def redrive(admin: Client, sequence: int) -> Done:
    """Send one again, as it was, and take it out of DEAD. Raises Unavailable; the letter is still there then."""
    try:
        letter = await read_letter(admin, sequence)
        subject = original_subject(letter)
    except (NotFound, UndecodableMessage) as error:
        return Done(sequence, "not_found", detail=str(error))
    if (reason := refusal(subject)) is not None:
        return Done(sequence, "refused", subject, reason)
    publisher = Publisher(admin)
    await publisher.start()
    await publisher.publish([_again(letter, subject)])
    await remove(admin, streams.DEAD, sequence)
    return Done(sequence, "redriven", subject)


async def drop(admin: Client, sequence: int) -> Done:
    """Take one out of DEAD for good. Raises Unavailable."""
    try:
        letter = await read_letter(admin, sequence)
    except NotFound as error:
        return Done(sequence, "not_found", detail=str(error))
    await remove(admin, streams.DEAD, sequence)
    return Done(sequence, "dropped", original_subject(letter))


def _again(letter: Kept, subject: str) -> Message:
    """The original body and headers, without what we and the server wrote on it."""
    original = {
        name: value
        for name, value in letter.headers.items()
        if not name.startswith((headers.DEAD_PREFIX, headers.SERVER_PREFIX))
    }
    fresh = with_id(f"redriven/{letter.sequence}/{letter.at.isoformat()}")
    return Message(subject, letter.body, original | fresh | {headers.REDRIVEN: str(letter.sequence)})
