"""A provisioner in sixty lines besides imports, made from docs/protocol.md alone: nats-py, nothing of ours.

A workspace is a folder. A template's source may say `{"seconds": 5}`, how long a build takes, and
`{"error": "no disk"}`, how it ends.
"""

import asyncio
import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

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
        self.attempt, self.workspace = msg.metadata.num_delivered, self.job["workspace"]["id"]
        self.ids = {name: self.job[name] for name in ("build_id", "build_number", "job_id")} | {"worker": "example"}
        self.heard: asyncio.Queue[Msg] = asyncio.Queue()

    async def tell(self, subject: str, **more: object) -> object:
        """Publish it under one id until the stream has it; the stream's answer."""
        data, headers = json.dumps(self.ids | {"attempt": self.attempt} | more).encode(), {"Nats-Msg-Id": str(uuid4())}
        while True:
            with suppress(Error):
                return await self.nc.jetstream().publish(subject, data, timeout=1, headers=headers)
            await asyncio.sleep(0.2)

    async def report(self, status: str, **more: object) -> None:
        """Tell how the job stands; returns when that is stored."""
        await self.tell(f"ws.event.{self.workspace}.job.{status}", **more)

    async def end(self, status: str, **more: object) -> None:
        """Tell that the log and the job are over; only then the job leaves the queue."""
        await self.tell(f"ws.log.{self.workspace}.{self.job['build_id']}", seq=self.attempt, end=True)
        await self.report(status, **more)
        await self.msg.ack()

    async def build(self) -> None:
        """From `running` to the end."""
        if (lost := self.attempt - 1) >= 3:  # noqa: PLR2004  # the protocol's
            hung = f"Build has been detected as hung: its provisioner was lost {lost} times"
            return await self.end("failed", error=hung)
        await self.report("running")
        source, folder = self.job["template"]["source"] or {}, ROOT / self.workspace
        with suppress(TimeoutError):
            async with asyncio.timeout(source.get("seconds", 0.01)):  # the work itself would stand here
                while (await self.heard.get()).subject.startswith("ws.resync"):
                    await self.report("running")
            await self.report("canceling")
            return await self.end("canceled")
        if "error" in source:
            return await self.end("failed", error=source["error"])
        if self.job["transition"] == "start":
            folder.mkdir(parents=True, exist_ok=True)  # by the workspace's id: an earlier attempt's is found again
        elif self.job["transition"] == "delete":
            shutil.rmtree(folder, ignore_errors=True)
        return await self.end("succeeded", agents=[])

    async def carry_out(self, lease: float) -> None:
        """Work and keep the lease; stop when it ran out all the same: this machine was suspended, for example."""
        subjects = (f"ws.cancel.{self.job['job_id']}", "ws.resync", f"ws.resync.{self.workspace}")
        ears = [await self.nc.subscribe(subject, cb=self.heard.put) for subject in subjects]
        working, until = asyncio.create_task(self.build()), time.monotonic() + lease
        while not (await asyncio.wait({working}, timeout=lease / 3))[0] and (now := time.monotonic()) < until:
            with suppress(Error):
                await self.nc.request(self.msg.reply, b"+WPI", timeout=lease / 3)
                until = now + lease
        working.cancel()
        await asyncio.gather(*(ear.unsubscribe() for ear in ears))


async def main() -> None:
    """Take jobs one by one, work on them side by side."""
    nc = await nats.connect(os.environ["NATS_URL"], **LOGIN, max_reconnect_attempts=-1)
    queue = await nc.jetstream().pull_subscribe_bind(consumer=TAG, stream="JOBS")
    lease = (await queue.consumer_info()).config.ack_wait or 30
    async with asyncio.TaskGroup() as tasks:
        while True:
            with suppress(Error):
                for msg in await queue.fetch(1, timeout=5):
                    tasks.create_task(Work(nc, msg).carry_out(lease))
            await asyncio.sleep(0.05)  # the queue may be away


asyncio.run(main())
