"""Hostile messages through the real engine: nothing dies, nothing grows, each is put aside or answered.

`make hostile N=1000000`. The engine is a program of its own; half of the messages are events, half are requests.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

from nats.aio.client import Client
from nats.aio.msg import Msg
from processes import Program, console_script

from tests import broken
from tests.wire.mangled import mangled
from workspaced.app.connection import NAME, Connection, read_connection
from workspaced.app.contract.examples import examples
from workspaced.bus import streams
from workspaced.bus.codec import MAX_BODY
from workspaced.bus.connection import open_connection

ROUND = 500
"""Messages under way at once."""
ROUND_LIMIT = 60.0
GROWTH_MB = 100
"""More than this and the engine keeps something of each message."""
STAYS = (
    "event-job",
    "event-build-created",
    "event-agent-connected",
    "event-agent-lifecycle",
    "event-agent-disconnected",
)
HEADERS = ("Ws-Dead-Reason", "ce-id", "traceparent", "Ws-Reply", "ws-dead-reason")


class Flood:
    """Sends, and counts what came back."""

    def __init__(self, connection: Client, seed: int) -> None:
        self._connection, self._dice = connection, random.Random(seed)  # noqa: S311  # dice, no secret
        goldens = examples()
        self._events = [goldens[name] for name in goldens if name.partition(":")[0] in STAYS]
        self._requests = [golden for golden in goldens.values() if golden.get("subject", "").startswith("ws.api.")]
        self.events = self.requests = self.stored = self.answered = 0
        self._back = asyncio.Event()
        self._missing = 0

    async def open(self) -> None:
        """Listen for answers."""
        self._inbox = self._connection.new_inbox()
        await self._connection.subscribe(f"{self._inbox}.*", cb=self._on_answer)

    async def round(self, count: int) -> None:
        """Send so many, and wait until each is stored or answered. Raises TimeoutError."""
        self._missing, self._back = count, asyncio.Event()
        for _ in range(count):
            if self._dice.random() < 0.5:  # noqa: PLR2004  # half
                await self._send_event()
            else:
                await self._send_request()
        async with asyncio.timeout(ROUND_LIMIT):
            await self._back.wait()

    async def _send_event(self) -> None:
        golden = self._dice.choice(self._events)
        body = mangled(golden["body"], self._dice)
        if self._dice.random() < 0.001:  # noqa: PLR2004  # as large as the stream takes
            body = b'{"x":"' + b"a" * (MAX_BODY - 1000) + b'"}'
        # Nobody knows the workspace, so that even a body with nothing wrong in it is put aside.
        words = golden["subject"].split(".")
        words[2] = self._dice.choice([str(uuid.uuid4()), "no-id", words[2], "\u00e9"])
        if self._dice.random() < 0.1:  # noqa: PLR2004  # now and then
            words[-1] = self._dice.choice(["paused", "CONNECTED", "a" * 200])
        headers = {name: "\u00e9" * 50 for name in HEADERS if self._dice.random() < 0.1}  # noqa: PLR2004  # now and then
        self.events += 1
        subject, reply = ".".join(words), f"{self._inbox}.e{self.events}"
        if self._dice.random() < 0.01:  # noqa: PLR2004  # what no library sends
            odd = self._dice.choice(broken.ODD)
            block = self._dice.choice(broken.BLOCKS)
            await broken.send(self._connection, subject.encode() + odd, body, block=block, reply=reply.encode())
        else:
            await self._connection.publish(subject, body, reply=reply, headers=headers)

    async def _send_request(self) -> None:
        golden = self._dice.choice(self._requests)
        self.requests += 1  # a reply subject of its own: the engine may answer on each once
        await self._connection.publish(
            golden["subject"], mangled(golden["body"], self._dice), reply=f"{self._inbox}.r{self.requests}"
        )

    async def _on_answer(self, message: Msg) -> None:
        if message.subject.rpartition(".")[2].startswith("e"):
            self.stored += "error" not in json.loads(message.data)
        else:
            self.answered += 1
        self._missing -= 1
        if self._missing == 0:
            self._back.set()


async def run(count: int, seed: int) -> bool:
    """Whether all went well."""
    with tempfile.TemporaryDirectory(prefix="workspaced-hostile-") as name:
        folder = Path(name)
        command = [console_script(), "up", "--no-provisioner", "--dir", name]
        program = Program("up", command, log=folder / "up.log")
        await program.start()
        try:
            stack = await _connection_of(folder)
            admin = stack.roles["admin"]
            connection = await open_connection(
                stack.nats_url, user=admin.user, password=admin.password, inbox_prefix=admin.inbox_prefix
            )
            try:
                return await _flood(connection, stack, count, seed)
            finally:
                await connection.close()
        finally:
            program.signal(signal.SIGTERM)
            if program.process is not None:
                await program.process.wait()


async def _flood(connection: Client, stack: Connection, count: int, seed: int) -> bool:
    flood, began = Flood(connection, seed), time.monotonic()
    await flood.open()
    warm = 0.0
    for done in range(0, count, ROUND):
        await flood.round(min(ROUND, count - done))
        if done <= count // 10:
            warm = _resident_mb(stack.pid)
        if done % (ROUND * 100) == 0:
            print(f"{done:,} of {count:,}, {_resident_mb(stack.pid):.0f} MB", flush=True)
    await _decided(connection)
    dead = (await connection.jetstream().stream_info(streams.DEAD)).state.messages
    after = _resident_mb(stack.pid)
    ready = await asyncio.to_thread(_ready, stack.http_url)
    print(f"{count:,} messages in {time.monotonic() - began:.0f} s, seed {seed}")
    print(f"requests: {flood.requests:,} sent, {flood.answered:,} answered")
    print(f"events: {flood.stored:,} stored of {flood.events:,} sent, {dead:,} dead-lettered")
    print(f"the engine has {after:.0f} MB, after the first tenth {warm:.0f} MB; ready: {ready}")
    small = after - warm < GROWTH_MB
    return flood.answered == flood.requests and dead == flood.stored == flood.events and small and ready


async def _connection_of(folder: Path) -> Connection:
    """Once the stack answers: its file is written last."""
    async with asyncio.timeout(ROUND_LIMIT):
        while not (folder / NAME).exists():  # noqa: ASYNC110  # a file tells nobody that it is there
            await asyncio.sleep(0.05)
    return read_connection(folder)


async def _decided(connection: Client) -> None:
    async with asyncio.timeout(10 * ROUND_LIMIT):
        while True:
            info = await connection.jetstream().consumer_info(streams.EVENTS, streams.ENGINE)
            if not info.num_pending and not info.num_ack_pending:
                return
            await asyncio.sleep(0.1)


def _resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def _ready(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:  # noqa: S310  # our own http
        return bool(answer.status == 200)  # noqa: PLR2004  # HTTP's own number


def main() -> int:
    """Exit code 1 when something died, grew or was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    return 0 if asyncio.run(run(given.count, given.seed)) else 1


if __name__ == "__main__":
    sys.exit(main())
