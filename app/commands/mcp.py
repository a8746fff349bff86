"""`workspaced mcp`: the tools for a language model, by the Model Context Protocol."""

import os
import signal
import socket
from typing import TYPE_CHECKING, Any, NoReturn

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources
from workspaced.app.variables import MCP

if TYPE_CHECKING:
    from mcp.server import Server

    from workspaced.tools.mcp_identity import Binding, Name


@click.command()
@options.where
@options.settings(MCP)
@click.option("--child", is_flag=True, help="The chat is a sub-agent's; it is offered no tools.")
@click.option("--http", "address", metavar="[HOST:]PORT", help="Serve HTTP there, not stdin and stdout; 0: any port.")
def mcp(*, child: bool, address: str | None, **flags: str | None) -> None:
    """Serve the workspace tools by the Model Context Protocol, over stdin and stdout or HTTP.

    For the one chat that the options name, or for many: then every call names its chat in `_meta`. On HTTP,
    WORKSPACED_MCP_TOKEN is what clients show as a bearer token; any address but a loopback one needs it.
    """
    from workspaced.app.commands.session import open_client
    from workspaced.app.logs import log_to_stderr
    from workspaced.app.run_loop import run_service
    from workspaced.fsm.errors import BadRequest
    from workspaced.tools.call import ToolSettings

    try:
        from workspaced.tools.mcp_server import mcp_server
    except ImportError as error:
        raise BadRequest(
            f"{error.name} is not installed; pip install 'workspaced[mcp]'", code="not_installed"
        ) from None
    sources = Sources(flags, os.environ)
    log_to_stderr(sources.text("log_level") if sources.is_given("log_level") else "warning")
    chosen: dict[str, Any] = dict(sources.values(["tool_wait", "request_attempts"]))
    binding, settings = _binding(sources, child=child), ToolSettings(**chosen)
    listening = _listen(address, sources.text("mcp_token")) if address is not None else None

    async def work() -> None:
        async with open_client(sources) as client:
            server = mcp_server(client, binding, settings)
            if listening is None:
                await _serve_stdio(server)
            else:
                await _serve_http(server, listening, sources.text("mcp_token"))

    run_service(work())


async def _serve_stdio(server: "Server") -> None:
    import asyncio

    from workspaced.tools.mcp_transport import serve_stdio

    def end() -> NoReturn:
        # The SDK's thread sits in a read of stdin, which nothing but its end interrupts; what was answered is out.
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    await serve_stdio(server, end)


async def _serve_http(server: "Server", listening: socket.socket, token: str) -> None:
    from workspaced.app.render import say
    from workspaced.provisioners.agent.program import stop_on_signals
    from workspaced.tools.mcp_transport import PATH, serve_http

    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host

    def told() -> None:
        say(f"http://{shown}:{port}{PATH}")

    await serve_http(server, listening, host, stop_on_signals(), told, token or None)


def _binding(sources: Sources, *, child: bool) -> "Binding":
    """What was given binds; the stack's own identity serves those that do not say who they are."""
    from workspaced.app.identity import load_identity
    from workspaced.tools.mcp_identity import Binding, check

    variables: dict[Name, str] = {
        "chat_id": "mcp_chat",
        "owner_id": "mcp_owner_id",
        "owner_name": "mcp_owner_name",
        "organization_id": "mcp_organization",
    }
    given = {name: text for name, variable in variables.items() if (text := sources.text(variable))}
    if sources.tenant:
        given.setdefault("organization_id", sources.tenant)
    check(given)
    fallback: dict[Name, str] = {}
    if sources.runs_locally:
        own = load_identity(sources.folder)
        fallback = {"owner_id": own.owner.id, "owner_name": own.owner.name, "organization_id": own.organization_id}
    return Binding(given, fallback, child)


def _listen(address: str, token: str) -> socket.socket:
    """Listen at `[HOST:]PORT`. Raises UsageError, and Unavailable when the port is taken."""
    from workspaced.fsm.errors import Unavailable
    from workspaced.tools.mcp_transport import LOOPBACK

    host, _, port = address.rpartition(":")
    host = host.strip("[]") or LOOPBACK[0]
    if not port.isascii() or not port.isdigit():
        raise click.UsageError(f"--http takes [HOST:]PORT, not {address!r}")
    if host not in LOOPBACK and not token:
        raise click.UsageError("whoever reaches this address could act for any chat: set WORKSPACED_MCP_TOKEN")
    try:
        return socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise Unavailable(f"cannot listen at {address}: {error}") from None
