"""TLS both ways, nkeys and origins: nats.conf as docs/security.md has it changed, with certificates made here."""

import asyncio
import json
import re
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.permission_table import snippet
from tests.servers import user_nkey
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus.connection import open_connection
from workspaced.fsm.errors import Unavailable
from workspaced.provisioners.agent.config import NatsLogin, Tls

LIMIT = timedelta(seconds=3)
"""How long a client tries that is turned away each time."""


class Place(NamedTuple):
    """A server that speaks TLS, and what gets one in."""

    server: NatsServer
    folder: Path
    seed: str
    """Of the engine's nkey."""

    def login(self, tls: Tls | None, seed: str | None = None) -> NatsLogin:
        """The engine's."""
        url = self.server.url.replace("127.0.0.1", "localhost")
        return NatsLogin(url, inbox_prefix="_INBOX_engine", nkey_seed=seed or self.seed, tls=tls)

    def tls(self, *, ca: str = "ca", client: bool = True) -> Tls:
        """Files of the client."""
        shown = (str(self.folder / "client.pem"), str(self.folder / "client.key")) if client else (None, None)
        return Tls(str(self.folder / f"{ca}.pem"), *shown)


def write_certificates(folder: Path) -> None:
    """Two authorities, and of the first one a server and a client."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    for name, identity in (("server", "localhost"), ("client", "engine@workspaced.test")):
        issued = authority.issue_cert(identity)
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """The shipped nats.conf with what docs/security.md has for TLS and browsers, and one nkey."""
    with tempfile.TemporaryDirectory(prefix="workspaced-") as name:
        folder, (seed, public) = Path(name), user_nkey()
        write_certificates(folder)
        text = (files("workspaced.app") / "nats.conf").read_text()
        text, count = re.subn(r"^websocket \{.*?^\}\n", snippet("websocket"), text, flags=re.DOTALL | re.MULTILINE)
        assert count == 1
        for before, after in (
            ("user: engine, password: $NATS_ENGINE_PASSWORD", f"nkey: {public}"),
            ("admin, engine, chatd", f"admin, {public}, chatd"),
        ):
            assert text.count(before) == 1
            text = text.replace(before, after)
        (folder / "nats.conf").write_text((text + snippet("tls")).replace("/etc/nats/", f"{folder}/"))
        server = NatsServer(folder / "D", conf=folder / "nats.conf")
        asyncio.run(server.start())
        yield Place(server, folder, seed)
        asyncio.run(server.stop())


async def test_an_engine_by_nkey_over_mutual_tls(place: Place) -> None:
    """It connects, and has the engine's permissions."""
    login = place.login(place.tls())
    connection = await open_connection(login.url, **login.options())
    reply = await connection.request("$SYS.REQ.USER.INFO", b"", timeout=30)
    await connection.close()

    assert "ws.timer.>" in json.loads(reply.data)["data"]["permissions"]["publish"]["allow"]


@pytest.mark.parametrize("tls", ["no certificate", "another authority", "none"])
async def test_who_is_turned_away(place: Place, tls: str) -> None:
    """Without a certificate of ours; by a client that does not trust the server; without TLS."""
    files_of = {
        "no certificate": place.tls(client=False),
        "another authority": place.tls(ca="other"),
        "none": None,
    }
    login = place.login(files_of[tls])
    with pytest.raises(Unavailable) as refused:
        await open_connection(login.url, **login.options(), limit=LIMIT)

    assert place.seed not in str(refused.value)


async def test_another_nkey_is_turned_away(place: Place) -> None:
    """The certificate alone is nobody."""
    login = place.login(place.tls(), user_nkey()[0])
    with pytest.raises(Unavailable):
        await open_connection(login.url, **login.options(), limit=LIMIT)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (["Origin: https://chat.example"], b"101"),
        (["Origin: https://evil.example"], b"403"),
        (["Origin: http://chat.example"], b"403"),
        ([], b"101"),
    ],
    ids=["ours", "another", "without TLS", "a program"],
)
async def test_a_browser_of_another_origin_is_turned_away(place: Place, origin: list[str], status: bytes) -> None:
    """`allowed_origins` is for pages; programs say no origin."""
    port = int(place.server.websocket_url.rpartition(":")[2])
    trusting = ssl.create_default_context(cafile=place.folder / "ca.pem")
    reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting)
    head = ["GET / HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade", *origin]
    key = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    writer.write("\r\n".join([*head, *key, "", ""]).encode())
    answer = await reader.readline()
    writer.close()
    with suppress(ssl.SSLError):  # the server has more to say
        await writer.wait_closed()

    assert answer.split()[1] == status


@pytest.mark.parametrize("name", ["missing.pem", "client.key"])
def test_files_that_are_of_no_use(place: Place, name: str) -> None:
    """One line, before anything is tried."""
    with pytest.raises(ValueError, match="the TLS files cannot be used"):
        Tls(str(place.folder / name)).context()
