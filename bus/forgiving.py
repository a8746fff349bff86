"""A NATS client that goes on reading whatever others send; of some messages of theirs the library would not.

nats-py 2.16 stops reading for good, though it stays connected, at headers that are none and at a subject that is no
UTF-8; at a form feed in a subject, which is a blank to it and not to the server, it connects anew. Whoever may publish
one message may send these, and from a stream they come again after every reconnection.
"""

import re

import nats.protocol.parser
from nats.aio.client import Client
from nats.aio.msg import Msg

# The parser's own expressions, but with what the server takes for a blank; the library offers no other way.
nats.protocol.parser.MSG_RE = re.compile(rb"\AMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)\r\n")
nats.protocol.parser.HMSG_RE = re.compile(
    rb"\AHMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n"
)


class ForgivingClient(Client):
    """Of headers it takes what can be read; what is no text in a subject becomes U+FFFD."""

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        try:
            return await super()._process_headers(headers)
        except Exception:  # noqa: BLE001  # of an index, of a text: whatever the library runs into
            return self._parse_header_lines(headers.partition(b"\r\n")[2]) or None

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """The library's own, twice as fast: a report has six."""
        found: dict[str, str] = {}
        for line in raw.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if not colon:
                continue
            try:
                key = name.strip().decode("ascii")
            except UnicodeDecodeError:
                continue
            if key and key.split() != [key]:  # a blank in it
                continue
            found[key] = value.strip().decode("utf-8", "replace")
        return found

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        try:
            message: Msg = super()._build_message(sid, subject, reply, data, headers)
        except UnicodeDecodeError:
            message = super()._build_message(sid, _as_text(subject), _as_text(reply), data, headers)
        return message


def _as_text(raw: bytes) -> bytes:
    return raw.decode("utf-8", "replace").encode()
