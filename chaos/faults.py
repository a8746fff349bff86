"""Injecting the faults of a schedule."""

import asyncio
import json
import random
import signal
from collections import Counter

from nats.aio.client import Client
from nats.aio.msg import Msg
from network import Apart
from plan import CUT, Fault
from processes import Program

from workspaced.app.embedded import Servers
from workspaced.bus.connection import open_connection
from workspaced.bus.headers import MESSAGE_ID


class Injector:
    """Does to servers, processes and messages what the schedule says."""

    def __init__(self, servers: Servers, admin: Client, programs: dict[str, list[Program]], seed: int) -> None:
        self._servers, self._admin, self._programs = servers, admin, programs
        self._chance = random.Random(seed)  # noqa: S311 - not a secret
        self._meddling: Counter[str] = Counter()
        self._server_lock = asyncio.Lock()
        self._kicker: Client
        """The auth callout's user: it alone may have connections dropped."""
        self.injected: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        """What cannot be done here."""
        self.meddled: Counter[str] = Counter()

    async def start(self) -> None:
        """Listen to events, so that they can be doubled and delayed."""
        role = self._servers.nats.credentials.role("callout")
        login = {"user": role.user, "password": role.password, "inbox_prefix": role.inbox_prefix}
        self._kicker = await open_connection(self._servers.nats.url, **login, name="chaos")
        await self._admin.subscribe("ws.event.>", cb=self._on_event)

    async def stop(self) -> None:
        """Disconnect."""
        await self._kicker.close()

    async def run(self, faults: list[Fault]) -> None:
        """All faults at their times; returns when the last one is over."""
        began = asyncio.get_running_loop().time()
        running = []
        for fault in faults:
            await asyncio.sleep(max(0.0, began + fault.at - asyncio.get_running_loop().time()))
            running.append(asyncio.create_task(self._inject(fault)))
        await asyncio.gather(*running)

    async def _inject(self, fault: Fault) -> None:
        who, _, what = fault.kind.partition(" ")
        if CUT in fault.kind and not isinstance(self._programs[who][0].place, Apart):
            self.left_out[fault.kind] += 1
            return
        self.injected[fault.kind] += 1
        match who:
            case "messages":
                self._meddling[what] += 1
                await asyncio.sleep(fault.lasts)
                self._meddling[what] -= 1
            case "connection":
                await self._kick(fault)
            case "nats" | "postgres":
                await self._server(who, what, fault)
            case _:
                await self._program(self._programs[who], what, fault)

    async def _program(self, programs: list[Program], what: str, fault: Fault) -> None:
        program = programs[fault.target % len(programs)]
        if isinstance(program.place, Apart) and CUT in fault.kind:
            async with program.place.cut(fault.kind.partition(CUT)[2]):
                await asyncio.sleep(fault.lasts)
        elif what.startswith("killed"):
            await program.kill()
            await asyncio.sleep(fault.lasts)
            if not program.lives:
                await program.start()
        else:
            program.signal(signal.SIGSTOP)
            await asyncio.sleep(fault.lasts)
            program.signal(signal.SIGCONT)

    async def _server(self, who: str, what: str, fault: Fault) -> None:
        server = self._servers.nats if who == "nats" else self._servers.postgres
        async with self._server_lock:
            if what == "killed":
                await server.kill()
            else:
                await server.stop()
            await asyncio.sleep(fault.lasts / 2)
            await server.start()

    async def _kick(self, fault: Fault) -> None:
        """Have the server drop one of its connections."""
        try:
            answer = await self._admin.request("$SYS.REQ.ACCOUNT.PING.CONNZ", b'{"auth": true}', timeout=2)
            body = json.loads(answer.data)
            connections = body["data"]["connections"]
            chosen = connections[fault.target % len(connections)]
            kick = json.dumps({"cid": chosen["cid"]}).encode()
            await self._kicker.request(f"ws.kick.{body['server']['id']}", kick, timeout=2)
        except Exception:  # noqa: BLE001 - NATS is away just now; then there is nobody to kick
            self.injected["connection kicked"] -= 1

    async def _on_event(self, message: Msg) -> None:
        """Publish an event once more, at once or later, as a sender that repeats itself would."""
        if message.headers and "Chaos" in message.headers:
            return
        for what, odds in (("doubled", 0.5), ("delayed", 0.3)):
            if self._meddling[what] and self._chance.random() < odds:
                self.meddled[what] += 1
                wait = 0.0 if what == "doubled" else self._chance.uniform(0.1, 5.0)
                asyncio.get_running_loop().call_later(wait, self._say_again, message)

    def _say_again(self, message: Msg) -> None:
        headers = {"Chaos": "1", MESSAGE_ID: f"chaos:{self._chance.getrandbits(64)}"}
        task = asyncio.ensure_future(self._admin.publish(message.subject, message.data, headers=headers))
        task.add_done_callback(lambda done: done.exception())
