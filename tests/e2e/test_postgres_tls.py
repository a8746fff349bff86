"""`sslmode=verify-full`, as docs/security.md has it, with certificates made here (issue 6).

The Postgres of the wheel was built without TLS, so a proxy answers its SSLRequest and speaks TLS in its place.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import trustme

from tests.command_line import CommandLine
from tests.e2e.proxy import Proxy, proxied
from tests.e2e.stack import LIMIT, Stack
from workspaced.app.embedded_nats import HOST
from workspaced.app.embedded_postgres import SOCKET
from workspaced.app.serve import Server
from workspaced.fsm.errors import Unavailable
from workspaced.store.migrations import migrate

AUTHORITY, STRANGER = trustme.CA(), trustme.CA()
SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)
"""The first message of a client that wants TLS (Frontend/Backend Protocol)."""
FAULT = "cannot reach the database: "
REFUSED = f"{FAULT}the server's certificate is refused: "


def shown(authority: trustme.CA, not_after: datetime | None = None) -> ssl.SSLContext:
    """What a server called localhost shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", not_after=not_after).configure_cert(context)
    return context


@pytest.fixture
def files(folder: Path) -> Path:
    """A folder with `ca.pem`, which has signed the server's certificate, and others."""
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    STRANGER.cert_pem.write_to_path(folder / "stranger.pem")
    (folder / "empty.pem").touch()
    return folder


async def agree_to_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As Postgres answers an SSLRequest; whoever sends another message is turned away."""
    if await reader.read(len(SSL_REQUEST)) != SSL_REQUEST:
        raise ConnectionError
    writer.write(b"S")


@asynccontextmanager
async def front(stack: Stack, context: ssl.SSLContext | None) -> AsyncIterator[Proxy]:
    """A server that speaks TLS; without a context one that does not."""
    socket = f"{parse_qs(urlsplit(stack.dsn).query)['host'][0]}/{SOCKET}"
    async with AsyncExitStack() as proxies:
        proxy = await proxies.enter_async_context(proxied(socket, tls=context))
        if context is not None:
            proxy = await proxies.enter_async_context(proxied((HOST, proxy.port), greet=agree_to_tls))
        yield proxy


def verified(stack: Stack, proxy: Proxy, ca: Path, host: str = "localhost") -> str:
    """DATABASE_URL as docs/security.md has it."""
    where = f"{host}:{proxy.port}{urlsplit(stack.dsn).path}"
    return f"postgresql://postgres:secret@{where}?sslmode=verify-full&sslrootcert={ca}"


async def test_all_is_well(stack: Stack, files: Path) -> None:
    """The schema is made, and an engine serves a chat until it is ready."""
    await stack.sql("drop schema workspaced cascade")
    async with front(stack, shown(AUTHORITY)) as proxy:
        dsn = verified(stack, proxy, files / "ca.pem")
        await migrate(dsn)
        engine = await stack.engine(dsn=dsn)
        put = await stack.client.put_template({"name": "plain", "organization_id": str(uuid4())})
        chat = str(uuid4())
        whose = put.template
        reply = await stack.create(chat, organization_id=whose.organization_id, template_id=whose.id)
        await stack.provisioner.bring_up(await stack.provisioner.job(reply.build_id))
        push = await stack.pushes.until(chat, "ready")
        await stack.stop(engine)

    assert push["snapshot"]["state"] == "ready"


@pytest.mark.parametrize(
    ("context", "ca", "host", "expected"),
    [
        pytest.param(
            shown(AUTHORITY),
            "ca.pem",
            "127.0.0.1",
            f"{REFUSED}IP address mismatch, certificate is not valid for '127.0.0.1'; "
            "DATABASE_URL must name the host that it was made for",
            id="another host",
        ),
        pytest.param(
            shown(AUTHORITY),
            "stranger.pem",
            "localhost",
            f"{REFUSED}unable to get local issuer certificate; sslrootcert must be the authority that signed it",
            id="an authority nobody knows",
        ),
        pytest.param(
            shown(AUTHORITY, not_after=datetime(2025, 1, 1, tzinfo=UTC)),
            "ca.pem",
            "localhost",
            f"{REFUSED}certificate has expired; give the server a new one",
            id="expired",
        ),
        pytest.param(
            None,
            "ca.pem",
            "localhost",
            f"{FAULT}the server speaks no TLS, which sslmode asks for; it has to have `ssl = on`",
            id="no TLS",
        ),
        pytest.param(
            None,
            "missing.pem",
            "localhost",
            f"{FAULT}sslrootcert in DATABASE_URL is no file that can be read: <folder>/missing.pem",
            id="no such file",
        ),
        pytest.param(
            None,
            "empty.pem",
            "localhost",
            f"{FAULT}TLS fails: NO_CERTIFICATE_OR_CRL_FOUND; "
            "look at the server's log, and at the files in DATABASE_URL",
            id="an empty file",
        ),
    ],
)
async def test_who_is_not_believed(
    stack: Stack, files: Path, context: ssl.SSLContext | None, ca: str, host: str, expected: str
) -> None:
    """Neither `migrate` nor an engine starts, and one line says why and what to do."""
    async with front(stack, context) as proxy:
        dsn = verified(stack, proxy, files / ca, host)
        lines = []
        for start in (migrate(dsn), Server(stack.config(dsn=dsn)).start()):
            with pytest.raises(Unavailable) as fault:
                await start
            lines.append(str(fault.value).replace(str(files), "<folder>"))

    assert lines == [expected, expected]


async def test_the_command_line(stack: Stack, files: Path) -> None:
    """One line, the exit code of what is not there, and no password."""
    who = stack.server.roles["admin"]
    async with front(stack, shown(AUTHORITY)) as proxy:
        environ = {
            "DATABASE_URL": verified(stack, proxy, files / "stranger.pem"),
            "NATS_URL": stack.server.url,
            "WORKSPACED_USER": who.user,
            "WORKSPACED_PASSWORD": who.password,
        }
        done = await asyncio.to_thread(CommandLine(environ).run, "migrate")

    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith(f"error: {REFUSED}")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


async def test_a_certificate_that_is_changed_while_an_engine_runs(stack: Stack, files: Path) -> None:
    """New connections are refused, which `/readyz` names; with a sound one all goes on."""
    context = shown(AUTHORITY)
    async with front(stack, context) as proxy:
        engine = await stack.engine(dsn=verified(stack, proxy, files / "ca.pem"))
        chat = str(uuid4())
        job = await stack.provisioner.job((await stack.create(chat)).build_id)
        STRANGER.issue_cert("localhost").configure_cert(context)
        proxy.cut()
        await stack.provisioner.bring_up(job)
        await until_page(stack, engine, "the store is away: its TLS certificate is refused")
        AUTHORITY.issue_cert("localhost").configure_cert(context)
        push = await stack.pushes.until(chat, "ready")
        await stack.stop(engine)

    assert push["snapshot"]["state"] == "ready"


async def until_page(stack: Stack, engine: Server, wanted: str) -> None:
    """Wait until `/readyz` says so."""
    async with asyncio.timeout(LIMIT):
        while (await stack.page(engine, "/readyz"))[1] != f"{wanted}\n":
            pass
