"""The doctor's look at job queues: whether anybody takes what waits there."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec.structs import replace
from nats.aio.client import Client

from workspaced.app.connection import TAG
from workspaced.app.doctor import MIGRATE, OF_THE_STACK, Check
from workspaced.bus import jetstream, streams, subjects
from workspaced.bus.look_up import subjects_held
from workspaced.bus.tokens import is_tag
from workspaced.fsm.errors import WorkspacedError


async def check_provisioners(nats: Client, tag: str | None, *, local: bool) -> AsyncGenerator[Check, None]:
    """A line for each tag: the one that is asked for, or all of which there are jobs, and a local stack's own."""
    try:
        tags = {tag} if tag else await _tags_of_jobs(nats) | ({TAG} if local else set())
    except WorkspacedError as error:
        yield Check("provisioner", ok=False, detail=str(error), next="see jetstream")
        return
    if not tags:
        yield Check("provisioner", ok=True, detail="no job waits for one")
    for each in sorted(tags):
        check = await _provisioner(nats, each)
        heals = local and each == TAG and not check.ok
        yield replace(check, next=OF_THE_STACK) if heals else check


async def _tags_of_jobs(nats: Client) -> set[str]:
    """Those of the jobs that wait or are worked on; whoever may write to the queue may have made up some."""
    async with aclosing(subjects_held(nats, streams.JOBS, subjects.ALL_JOBS)) as pages:
        return {tag async for page in pages for held in page if is_tag(tag := held.split(".")[2])}


async def _provisioner(nats: Client, tag: str) -> Check:
    try:
        info = await jetstream.request(nats, f"CONSUMER.INFO.{streams.JOBS}.{tag}")
    except jetstream.Refused:
        hint = f"run `{MIGRATE} --provisioner-tag {tag}`"
        return Check("provisioner", ok=False, detail=f"there is no job queue {tag!r}", next=hint)
    except WorkspacedError as error:
        return Check("provisioner", ok=False, detail=str(error), next="see nats")
    waiting, jobs = info.get("num_waiting", 0), info.get("num_pending", 0)
    detail = f"{jobs} jobs wait in queue {tag!r}, "
    if not waiting and not info.get("num_ack_pending", 0):
        return Check(
            "provisioner",
            ok=False,
            detail=f"{detail}and nobody takes them",
            next=f"start one: `workspaced provisioner --tag {tag}`",
        )
    return Check("provisioner", ok=True, detail=f"{detail}and somebody takes them")
