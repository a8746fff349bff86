"""A server of the cluster goes, and the one we are connected to says who is left."""

import asyncio
import json

from workspaced.bus.connection import open_connection

HERE, OTHER = "127.0.0.1:1", "127.0.0.1:2"


class OneOfTwo:
    """As much of a NATS server as a connection needs."""

    def __init__(self) -> None:
        self._client: asyncio.StreamWriter

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Tell who is there, and answer pings."""
        self._client = writer
        self.tell(HERE, OTHER)
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    def tell(self, *there: str) -> None:
        """An INFO line with the servers of the cluster."""
        info = {"server_id": "N", "version": "2.12.0", "max_payload": 1000, "connect_urls": there}
        self._client.write(f"INFO {json.dumps(info)}\r\n".encode())


async def test_a_server_that_went_is_told() -> None:
    """And one that came is not."""
    server, gone = OneOfTwo(), asyncio.Event()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    connection = await open_connection(f"nats://{host}:{port}", on_server_gone=gone.set)

    server.tell(HERE, OTHER, "127.0.0.1:3")
    await connection.flush()
    before = gone.is_set()
    server.tell(HERE, OTHER)
    await connection.flush()
    after = gone.is_set()
    await connection.close()
    listening.close()

    assert (before, after) == (False, True)
