"""Messages that no library would send, written to the socket as they are."""

from typing import Final

from nats.aio.client import Client

BLOCKS: Final = (
    b"",
    b"N",
    b"NATS/1.0",
    b"NATS/1.0\r\n",
    b"\xff\xfe",
    b"NATS/1.0 \xff\xff\xff\r\n\r\n",
    b"NATS/1.0 404 \xff\r\n\r\n",
    b"NATS/1.0\r\nno colon\r\n: no name\r\n\r\n",
    b"NATS/1.0\r\nce-id: \xff\rb\nc\x1b[31m\r\n\r\n",
    b"NATS/1.0 503\r\nStatus: 404\r\nNats-Sequence: x\r\n\r\n",
)
"""Headers that are none, or lie; the server takes and keeps them all."""
ODD: Final = (b"\x0b", b"\x0c", b"\x1c", b"\xff\xfe", b"\xc2\x85", b"\xe2\x80\xa8", b"\x1b[31m")
"""Parts of a subject that are blanks or no text to some, and neither to the server."""


async def publish(
    client: Client, subject: bytes, body: bytes, *, block: bytes | None = None, reply: bytes = b""
) -> None:
    """Send one message as `client`, with `block` for its headers, and have the server read it."""
    await send(client, subject, body, block=block, reply=reply)
    await client.flush()


async def send(client: Client, subject: bytes, body: bytes, *, block: bytes | None = None, reply: bytes = b"") -> None:
    """The same, whenever the client writes to its socket."""
    words = [subject, *([reply] if reply else [])]
    if block is None:
        line = b" ".join([b"PUB", *words, b"%d" % len(body)])
    else:
        line = b" ".join([b"HPUB", *words, b"%d %d" % (len(block), len(block) + len(body))])
    await client._send_command(line + b"\r\n" + (block or b"") + body + b"\r\n")  # noqa: SLF001  # no public way sends these
    await client._flush_pending()  # noqa: SLF001  # as the library's own publish does
