"""The audit: what must hold of Postgres and NATS together, checked from outside, whether engines work or rest.

One checker for tests, for operators (`workspaced audit`) and for chaos runs. It trusts nothing that an engine says: it
reads rows and streams. The order makes it right while engines work: first how far the inputs are acknowledged, then
what the streams hold, and the rows last. Whatever an acknowledged input did was published before it was acknowledged,
and whatever was published was committed before, so neither can be missing, however busy the place is.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from msgspec import Struct
from nats.aio.client import Client

from workspaced.app.audit_facts import check_facts
from workspaced.app.audit_jobs import untold
from workspaced.app.audit_limits import check_limits
from workspaced.app.audit_replay import check_replay
from workspaced.app.audit_streams import Streams, note_streams
from workspaced.app.audit_timers import check_timers
from workspaced.app.clock import utc_now
from workspaced.bus import streams
from workspaced.bus.look_up import acknowledged
from workspaced.fsm.drawing import moves
from workspaced.fsm.settings import Settings
from workspaced.store.audit import CHECKS, AuditRows, Found

INVARIANTS: Final = {
    "versions_gap_free": "each chat's versions run from 1 without a gap, and the last one is the chat's",
    "chain_unbroken": "each transition begins where the one before ended, the first one in idle",
    "moves_legal": "each transition is a move of the machine, or keeps the state",
    "input_applied_once": "what one input did to a chat was done once: consecutive versions at one time",
    "history_ends_in_row": "the last transition says what the chat's row says",
    "one_unfinished_build": "a workspace has one unfinished build at most, and that is its latest",
    "one_workspace_per_create": "each workspace is accounted for by one accepted create",
    "no_orphan_workspace": "a workspace that no chat is bound to is stopped or being cleaned up",
    "deadline_in_row": "a chat has a deadline when it waits, and only then",
    "transition_pushed": "each transition whose input is done is in CHATS under <chat>:<version>",
    "push_has_transition": "each push in CHATS is of a committed transition",
    "pending_job_queued": "the job of each pending build is in JOBS, or a provisioner told of it",
    "queued_job_has_build": "each job in JOBS has a committed build",
    "limits_kept": "no more start builds are under way for an owner or a template than the stored limit",
    "queue_moves": "no build waits in the queue that no limit holds back, unless a look at the queue is on its way",
    "deadline_in_timers": "the wake-up of each waiting chat is in TIMERS, for that deadline",
    "limits_in_timers": "the wake-up of each workspace's TTL and of each job that is not over is in TIMERS",
    "at_rest_on_facts": "the machine of each chat is at rest on the stored facts",
    "bound_to_selected_agent": "a chat is bound to the latest build and the agent that the rule selects",
    "failure_fits_facts": "a failed chat's failure is one that the stored facts allow",
    "replay_gives_rows": "the stored events, played anew from nothing, come to the stored rows",
}
"""Every invariant by its name, in the order in which they are checked."""

Tell = Callable[[str, int, int], None]
"""Told as the audit goes on: what is looked at, how many are done, how many there are."""


class Violation(Struct, frozen=True):
    """One fault: which invariant, the ids that name where, and what is wrong."""

    invariant: str
    ids: dict[str, str]
    detail: str


async def audit(
    dsn: str,
    admin: Client,
    *,
    tell: Tell = lambda *_: None,
    left_out: Tell = lambda *_: None,
    taken_jobs: Collection[str] = (),
    defaults: Settings | None = None,
) -> list[Violation]:
    """Every violation, at most 1,000 of each invariant; empty when all is well.

    `admin` is a connection of role admin. `left_out` is told what the replay could not play: why, how many parts, of
    how many (0 when they were not even counted). `taken_jobs` are ids of jobs that a provisioner took off the queue and
    tells nothing of, as only a test's does. `defaults` are the engines' own settings, under those that are stored.
    Raises Unavailable when a server does not answer, SchemaRefused for a foreign schema.
    """
    since, own = utc_now(), defaults or Settings()
    done = await acknowledged(admin, streams.EVENTS, streams.ENGINE)
    async with AuditRows.opened(dsn) as rows:
        held = await note_streams(rows, admin, tell)
        found = await _check_rows(rows, held, since, own, tell)
        lost = found["pending_job_queued"]
        found["pending_job_queued"] = await untold(admin, [one for one in lost if one.ids["job_id"] not in taken_jobs])
        found["deadline_in_timers"] = await check_timers(rows, admin, since, tell)
        found["limits_in_timers"] = await check_limits(rows, admin, since, tell)
        played = await check_replay(rows, dsn, admin, done, own, tell)
        found["replay_gives_rows"] = played.found
    found |= await check_facts(dsn, tell)
    for reason, parts in played.left_out.items():
        left_out(reason, parts, played.parts)
    return [Violation(name, one.ids, one.detail) for name in INVARIANTS for one in found[name]]


async def _check_rows(
    rows: AuditRows, held: Streams, since: datetime, defaults: Settings, tell: Tell
) -> dict[str, list[Found]]:
    """All that one statement can find, in one moment."""
    edges = sorted({(source, target) for source, _, _, target in moves()})
    arguments: dict[str, tuple[object, ...]] = {
        "moves_legal": ([source for source, _ in edges], [target for _, target in edges]),
        "transition_pushed": (since, held.pushes_since, held.pushes_per_subject),
        "pending_job_queued": (since,),
        "queue_moves": (since, defaults.builds_per_owner, defaults.builds_per_template),
    }
    found = {}
    async with rows.one_moment():
        for done, name in enumerate(CHECKS):
            tell("rows", done, len(CHECKS))
            found[name] = await rows.find(name, *arguments.get(name, ()))
    if held.queue_is_looked_at:
        found["queue_moves"] = []
    tell("rows", len(CHECKS), len(CHECKS))
    return found
