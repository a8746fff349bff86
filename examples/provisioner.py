"""A provisioner in eighty lines, made from docs/protocol.md alone: nats-py, nothing of ours. A workspace is a folder.

A template's source may say `{"seconds": 5}`, how long a build takes, and `{"error": "no disk"}`, how it ends.
"""

import asyncio
import json
import os
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

TAG, ROOT = os.environ["PROVISIONER_TAG"], Path(os.environ["CONFORMANCE_FOLDER"], "folders")
LOGIN = {name: os.environ[f"WORKSPACED_{name.upper()}"] for name in ("user", "password", "inbox_prefix")}


class Work:
    """One delivery of a job."""

    def __init__(self, nc: Client, msg: Msg) -> None:
        self.nc, self.msg, self.job = nc, msg, json.loads(msg.data)
        self.attempt, self.status, self.canceled = msg.metadata.num_delivered, "", asyncio.Event()
        self.workspace, self.source = self.job["workspace"]["id"], self.job["template"]["source"] or {}

    async def store(self, subject: str, **body: object) -> None:
        """Send it under one id until the stream has it."""
        data, headers = json.dumps(body).encode(), {"Nats-Msg-Id": str(uuid.uuid4())}
        while True:
            with suppress(Error):
                if "error" not in json.loads((await self.nc.request(subject, data, 1, headers=headers)).data):
                    return
            await asyncio.sleep(0.2)

    async def report(self, status: str, **more: object) -> None:
        """Tell how the job stands; returns when that is stored."""
        self.status = status
        ids = {name: self.job[name] for name in ("build_id", "build_number", "job_id")}
        subject = f"ws.event.{self.workspace}.job.{status}"
        await self.store(subject, **ids, worker="example", attempt=self.attempt, **more)

    async def keep_lease(self, lease: float) -> None:
        """Extend it; return when it ran out all the same, because this machine was suspended for example."""
        until = time.monotonic() + lease
        while (now := time.monotonic()) < until:
            with suppress(Error):
                await self.nc.request(self.msg.reply, b"+WPI", timeout=lease / 3)
                until = now + lease
            await asyncio.sleep(lease / 3)

    def make(self) -> None:
        """Do the job; the folder has the workspace's id, so what an earlier attempt made is found again."""
        if self.job["transition"] == "start":
            (ROOT / self.workspace).mkdir(parents=True, exist_ok=True)
        elif self.job["transition"] == "delete":
            shutil.rmtree(ROOT / self.workspace, ignore_errors=True)

    async def build(self) -> tuple[str, dict[str, object]]:
        """How the job ended, and what else to report."""
        if (lost := self.attempt - 1) >= 3:  # noqa: PLR2004  # the protocol's
            return "failed", {"error": f"Build has been detected as hung: its provisioner was lost {lost} times"}
        await self.report("running")
        with suppress(TimeoutError):
            await asyncio.wait_for(self.canceled.wait(), self.source.get("seconds", 0.01))
            await self.report("canceling")
            return "canceled", {}
        if "error" in self.source:
            return "failed", {"error": self.source["error"]}
        self.make()
        return "succeeded", {"agents": []}

    async def run(self) -> None:
        """From `running` to the acknowledgement."""
        status, more = await self.build()
        await self.store(f"ws.log.{self.workspace}.{self.job['build_id']}", seq=self.attempt, end=True)
        await self.report(status, **more)
        await self.nc.publish(self.msg.reply, b"+ACK")


async def main() -> None:
    """Take jobs one by one, work on them side by side."""
    nc = await nats.connect(os.environ["NATS_URL"], **LOGIN, max_reconnect_attempts=-1)
    lease = (await nc.jetstream().consumer_info("JOBS", TAG)).config.ack_wait or 30
    inbox = f"{LOGIN['inbox_prefix']}.".encode()
    queue = await nc.jetstream().pull_subscribe_bind(consumer=TAG, stream="JOBS", inbox_prefix=inbox)
    at_work: set[Work] = set()

    async def attend(work: Work) -> None:
        at_work.add(work)
        parts = [asyncio.create_task(work.run()), asyncio.create_task(work.keep_lease(lease))]
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        at_work.discard(work)
        for part in parts:
            part.cancel()

    async def heed(msg: Msg) -> None:
        for work in list(at_work):
            if msg.subject == f"ws.cancel.{work.job['job_id']}":
                work.canceled.set()
            elif msg.subject in {"ws.resync", f"ws.resync.{work.workspace}"} and work.status in {
                "running",
                "canceling",
            }:
                await work.report(work.status)

    for subject in ("ws.cancel.*", "ws.resync", "ws.resync.*"):
        await nc.subscribe(subject, cb=heed)
    async with asyncio.TaskGroup() as tasks:
        while True:
            with suppress(Error):
                for msg in await queue.fetch(1, timeout=5):
                    tasks.create_task(attend(Work(nc, msg)))


asyncio.run(main())
