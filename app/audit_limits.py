"""Whether TIMERS will end what must end by itself: a workspace's TTL, a job that nobody takes or that never ends."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec
from nats.aio.client import Client

from workspaced.bus import streams, subjects
from workspaced.bus.look_up import last_of
from workspaced.fsm.effects import JobLimit, WorkspaceExpiry
from workspaced.store.audit import MOST, AuditRows, Found, Limited

PAGE: Final = 500
"""Slots that are asked for at once."""


async def check_limits(
    rows: AuditRows, admin: Client, since: datetime, tell: Callable[[str, int, int], None]
) -> list[Found]:
    """TTLs and jobs whose wake-up is not in TIMERS. Raises Unavailable."""
    found: list[Found] = []
    after: Limited | None = None
    done = 0
    while len(found) < MOST and (page := await rows.limited(after, PAGE)):
        tell("limits", done, done + len(page))
        missing = await _unarmed(admin, page)
        # One that was set anew meanwhile, by an input that is still in hand, has its wake-up published by and by.
        in_hand = await rows.in_hand([one.slot for one in missing], since) if missing else set()
        lasting = set(await rows.limited(after, PAGE)) if missing else set()
        found += [_fault(one) for one in missing if one in lasting and one.slot not in in_hand]
        after, done = page[-1], done + len(page)
    tell("limits", done, done)
    return found[:MOST]


async def _unarmed(admin: Client, page: Sequence[Limited]) -> list[Limited]:
    """Those without their wake-up in its slot or on its way from there; when it is due is the setting's business."""
    slots = await last_of(admin, streams.TIMERS, [subjects.timer(one.kind, one.slot) for one in page])
    missing = [one for one, held in zip(page, slots, strict=True) if held is None or held.body != _wanted(one)]
    # The slot first: what is not in it any more has fired, and stays there until it is acknowledged.
    fired = await last_of(admin, streams.TIMERS, [subjects.due(one.kind, one.slot) for one in missing])
    return [one for one, held in zip(missing, fired, strict=True) if held is None or held.body != _wanted(one)]


def _wanted(one: Limited) -> bytes:
    if one.at is not None:
        return msgspec.json.encode(WorkspaceExpiry(one.workspace_id, one.at))
    status: Literal["pending", "running"] = "pending" if one.status == "pending" else "running"
    return msgspec.json.encode(JobLimit(one.workspace_id, one.slot, status))


def _fault(one: Limited) -> Found:
    if one.at is not None:
        return Found({"workspace_id": one.workspace_id}, f"its TTL ends at {one.at.isoformat()}, but no timer says so")
    ids = {"workspace_id": one.workspace_id, "job_id": one.slot}
    return Found(ids, f"its job is {one.status}, but no timer limits that")
