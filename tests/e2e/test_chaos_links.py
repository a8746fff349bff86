"""A link of a chaos run that is cut swallows what is sent, without a word, and brings it when it is whole again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

CHAOS: Final = Path(__file__).parents[2] / "chaos"
TALK: Final = """
import asyncio, json, sys
from types import SimpleNamespace
from network import Apart, move_apart

DIAL = "import socket; s = socket.create_connection(({!r}, {})); s.sendall(b'up'); s.sendall(s.recv(9))"


async def talk():
    listening = asyncio.Queue()
    server = await asyncio.start_server(lambda *streams: listening.put_nowait(streams), "0.0.0.0", 0)
    port = server.sockets[0].getsockname()[1]
    place = Apart(SimpleNamespace(nats=SimpleNamespace(url=f"nats://127.0.0.1:{port}")), 0)
    await place.open()
    program = DIAL.format("10.1.0.1", port)
    dialing = await asyncio.create_subprocess_exec(*place.entry, sys.executable, "-c", program)
    reader, writer = await listening.get()
    said = [(await reader.readexactly(2)).decode()]
    async with place.cut("nats"):
        writer.write(b"again")
        try:
            async with asyncio.timeout(1):
                said.append((await reader.read(9)).decode())
        except TimeoutError:
            said.append("silence")
    said.append((await reader.readexactly(5)).decode())
    dialing.kill()
    await dialing.wait()
    await place.close()
    print(json.dumps(said))


refused = move_apart()
if refused:
    print(json.dumps(refused))
else:
    asyncio.run(talk())
"""


@pytest.mark.timeout(60)
def test_a_link_that_is_cut() -> None:
    """What was sent into it is neither refused nor lost."""
    path = os.pathsep.join(filter(None, (str(CHAOS), os.environ.get("PYTHONPATH"))))
    run = subprocess.run(  # a process of its own, for it moves into another network namespace
        [sys.executable, "-P", "-c", TALK],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    if isinstance(said, str):
        pytest.skip(f"no network namespaces here: {said}")

    assert said == ["up", "silence", "again"]
