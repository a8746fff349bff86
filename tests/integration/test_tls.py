"""TLS both ways, nkeys and origins: nats.conf as docs/security.md has it changed, with certificates made here."""

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import nkeys  # type: ignore[import-untyped]  # has no types
import pytest
import trustme

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


def user_nkey() -> tuple[str, str]:
    """A fresh user key: its seed and its public half."""
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed.decode(), nkeys.from_seed(seed).public_key.decode()


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
    """The shipped nats.conf with TLS, one nkey and an origin."""
    with tempfile.TemporaryDirectory(prefix="workspaced-") as name:
        folder, (seed, public) = Path(name), user_nkey()
        write_certificates(folder)
        text = (files("workspaced.app") / "nats.conf").read_text()
        for before, after in (
            ("user: engine, password: $NATS_ENGINE_PASSWORD", f"nkey: {public}"),
            ("admin, engine, chatd", f"admin, {public}, chatd"),
            ("  no_tls: true", '  no_tls: true\n  allowed_origins: [ "https://chat.example" ]'),
        ):
            assert text.count(before) == 1
            text = text.replace(before, after)
        paths = f'cert_file: "{folder}/server.pem", key_file: "{folder}/server.key", ca_file: "{folder}/ca.pem"'
        (folder / "nats.conf").write_text(f"{text}\ntls {{ {paths}, verify: true }}\n")
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


@pytest.mark.parametrize(("origin", "status"), [("https://chat.example", b"101"), ("https://evil.example", b"403")])
async def test_a_browser_of_another_origin_is_turned_away(place: Place, origin: str, status: bytes) -> None:
    """`allowed_origins` is for pages; programs say no origin."""
    port = int(place.server.websocket_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = ["GET / HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade", f"Origin: {origin}"]
    key = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    writer.write("\r\n".join([*head, *key, "", ""]).encode())
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()

    assert answer.split()[1] == status


@pytest.mark.parametrize("name", ["missing.pem", "client.key"])
def test_files_that_are_of_no_use(place: Place, name: str) -> None:
    """One line, before anything is tried."""
    with pytest.raises(ValueError, match="the TLS files cannot be used"):
        Tls(str(place.folder / name)).context()
