"""A link of a chaos run that is cut swallows what is sent, without a word, and brings it when it is whole again."""

from typing import Final

import pytest

from tests.apart import printed_apart

TALK: Final = """
import asyncio, sys
from types import SimpleNamespace

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
    print((await reader.readexactly(2)).decode())
    async with place.cut("nats"):
        writer.write(b"again")
        try:
            async with asyncio.timeout(1):
                print((await reader.read(9)).decode())
        except TimeoutError:
            print("silence")
    print((await reader.readexactly(5)).decode())
    await dialing.wait()
    await place.close()


asyncio.run(talk())
"""


@pytest.mark.timeout(60)
def test_a_link_that_is_cut() -> None:
    """What was sent into it is neither refused nor lost."""
    assert printed_apart(TALK) == ["up", "silence", "again"]
