"""Pending builds whose job is not in JOBS: a provisioner that took one acknowledges it after it told of its end."""

from nats.aio.client import Client

from workspaced.bus import streams, subjects
from workspaced.bus.codec import decode
from workspaced.bus.look_up import next_of
from workspaced.store.audit import Found


async def untold(admin: Client, lost: list[Found]) -> list[Found]:
    """Those of `lost` whose job no report in EVENTS names. Raises Unavailable."""
    return [one for one in lost if not await _told(admin, one.ids["workspace_id"], one.ids["job_id"])]


async def _told(admin: Client, workspace_id: str, job_id: str) -> bool:
    sequence = 1
    while (report := await next_of(admin, streams.EVENTS, subjects.job_events(workspace_id), sequence)) is not None:
        if _job_of(report.body) == job_id:
            return True
        sequence = report.sequence + 1
    return False


def _job_of(body: bytes) -> object:
    try:
        told = decode(body, object)
    except ValueError:  # garbage, which the engine puts aside
        return None
    return told.get("job_id") if isinstance(told, dict) else None
