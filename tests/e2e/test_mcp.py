"""The tools by the Model Context Protocol: the SDK's own client, over both transports and eras, on a real stack."""

import ast
import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, Literal
from uuid import uuid4

import httpx2
import mcp_types
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from tests.command_line import SAFETY_NET, CommandLine, Running, program
from workspaced.tools.texts import DEFINITIONS

Transport = Literal["stdio", "http"]
Meta = dict[str, Any]
TOKEN = "t0ken-of-the-test"  # noqa: S105  # that is all it is


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line, with a stack that is up."""
    cli = CommandLine({"WORKSPACED_DIR": str(tmp_path_factory.mktemp("mcp") / "D")})
    with cli.up():
        yield cli


@pytest.fixture
def template(cli: CommandLine) -> str:
    """The id of the stack's own template."""
    return str(cli.json("templates", "list")["templates"][0]["id"])


@asynccontextmanager
async def session(cli: CommandLine, transport: Transport, *options: str, mode: str = "auto") -> AsyncIterator[Client]:
    """A client of a server of its own."""
    if transport == "stdio":
        server = StdioServerParameters(command=program(), args=["mcp", *options], env=dict(cli.environ))
        async with Client(server, mode=mode, read_timeout_seconds=SAFETY_NET) as client:
            yield client
        return
    with cli.running("mcp", "--http", "0", *options) as running:
        async with Client(await url_of(running), mode=mode, read_timeout_seconds=SAFETY_NET) as client:
            yield client
        assert await asyncio.to_thread(running.end) == 0


async def url_of(running: Running) -> str:
    """Where it says it serves."""
    return (await asyncio.to_thread(running.stdout.readline)).strip()


async def call(client: Client, name: str, meta: Meta | None = None, /, **arguments: object) -> dict[str, Any]:
    """The object that a tool returns, in both of its forms."""
    result = await client.call_tool(name, arguments, meta=meta)  # type: ignore[arg-type]  # an open mapping
    (item,) = result.content
    assert isinstance(item, mcp_types.TextContent)
    assert not result.is_error
    assert json.loads(item.text) == result.structured_content
    found: dict[str, Any] = result.structured_content
    return found


async def text_error(client: Client, name: str, meta: Meta | None = None, /, **arguments: object) -> str:
    """The text with which a tool fails."""
    result = await client.call_tool(name, arguments, meta=meta)  # type: ignore[arg-type]  # an open mapping
    (item,) = result.content
    assert isinstance(item, mcp_types.TextContent)
    assert (result.is_error, result.structured_content) == (True, None)
    return item.text


def a_chat(**more: str) -> Meta:
    """What a call says of itself."""
    ids = {f"workspaced/{name}_id": str(uuid4()) for name in ("chat", "owner", "organization")}
    return ids | {"workspaced/owner_name": "ada"} | {f"workspaced/{name}": text for name, text in more.items()}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_one_chat_from_nothing_to_stopped(
    cli: CommandLine, template: str, transport: Transport, mode: str
) -> None:
    """The tools as they are defined, and their results as they are documented."""
    chat = str(uuid4())
    async with session(cli, transport, "--chat", chat, mode=mode) as client:
        tools = (await client.list_tools()).tools
        listed = await call(client, "list_templates")
        created = await call(client, "create_workspace", template_id=template, name="amber")
        again = await call(client, "create_workspace", template_id=template)
        logs = await call(client, "get_workspace_build_logs")
        stopped = await call(client, "stop_workspace")
        started = await call(client, "start_workspace")
        unknown = await text_error(client, "read_template", template_id=str(uuid4()))
        await call(client, "stop_workspace")

    assert [
        {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema} for tool in tools
    ] == list(DEFINITIONS)
    assert [found["id"] for found in listed["templates"]] == [template]
    owner = created["workspace_name"].partition("/")[0]
    assert created == {"created": True, "workspace_name": f"{owner}/amber", "build_id": created["build_id"]}
    assert (again["created"], again["status"]) == (False, "already_exists")
    assert (logs["build_id"], logs["ended"]) == (created["build_id"], True)
    assert (stopped["stopped"], started["started"]) == (True, True)
    assert unknown == "template not found"
    cli.json("delete", chat)


async def test_a_repeated_call_is_answered_alike(cli: CommandLine, template: str) -> None:
    """The model's tool call id tells that it is the same call, also to another server process."""
    chat, meta = str(uuid4()), {"workspaced/request_id": "toolu_01"}
    results = []
    for _ in range(2):
        async with session(cli, "stdio", "--chat", chat) as client:
            results.append(await call(client, "create_workspace", meta, template_id=template))

    assert results[0]["created"]
    assert results[0] == results[1]
    cli.json("delete", chat)


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_many_chats_over_one_server(cli: CommandLine, transport: Transport) -> None:
    """Each call says whose it is; what one lacks, or says against the server's options, is refused as a bad request."""
    organization = str(cli.json("templates", "list")["templates"][0]["organization_id"])
    async with session(cli, transport) as client:
        ours = await call(client, "list_templates", a_chat(organization_id=organization))
        theirs = await call(client, "list_templates", a_chat())
        nobody = await text_error(client, "stop_workspace", a_chat())
        with pytest.raises(MCPError, match=r"^chat_id is not known: ") as nameless:
            await client.call_tool("list_templates")
        with pytest.raises(MCPError, match=r"^chat_id must be a UUID, not '\.\./x'"):
            await client.call_tool("list_templates", meta=a_chat(chat_id="../x"))  # type: ignore[arg-type]  # open
    async with session(cli, transport, "--chat", str(uuid4())) as client:
        with pytest.raises(MCPError, match=r"^this server was started for another chat_id"):
            await client.call_tool("list_templates", meta=a_chat())  # type: ignore[arg-type]  # open

    assert ([found["name"] for found in ours["templates"]], theirs["templates"]) == (["shell"], [])
    assert nobody == "chat has no workspace; use create_workspace first"
    assert nameless.value.code == mcp_types.INVALID_PARAMS


async def test_chats_at_once(cli: CommandLine, template: str) -> None:
    """A tool that waits keeps no other call waiting, and two calls of one chat make one workspace."""
    chats = [{"workspaced/chat_id": str(uuid4())} for _ in range(3)]
    async with session(cli, "stdio") as client:
        made = await asyncio.gather(
            *(call(client, "create_workspace", chat, template_id=template) for chat in chats for _ in range(2))
        )

    assert len({result["workspace_name"].rpartition("/")[2] for result in made}) == len(chats)
    for chat in chats:
        cli.json("delete", chat["workspaced/chat_id"])


@pytest.mark.parametrize("options", [["--child"], []])
async def test_a_child_chat_is_offered_nothing(cli: CommandLine, options: list[str]) -> None:
    """By option or by call: no tool is listed, and none runs."""
    meta = a_chat() | ({} if options else {"workspaced/child": True})
    async with session(cli, "stdio", *options) as client:
        tools = (await client.list_tools(meta=meta)).tools  # type: ignore[arg-type]  # open
        refused = await text_error(client, "stop_workspace", meta)

    assert (tools, refused) == ([], "unknown tool: stop_workspace")


async def test_a_token_is_demanded(cli: CommandLine) -> None:
    """Without it nothing is said over HTTP; with it everything works."""
    with cli.but(WORKSPACED_MCP_TOKEN=TOKEN).running("mcp", "--http", "127.0.0.1:0") as running:
        url = await url_of(running)
        async with httpx2.AsyncClient() as plain:
            refused = [(await plain.post(url, json={}, headers=headers)).status_code for headers in [{}, bearer("x")]]
        async with (
            httpx2.AsyncClient(headers=bearer(TOKEN), timeout=SAFETY_NET) as ours,
            Client(streamable_http_client(url, http_client=ours)) as client,
        ):
            found = await call(client, "list_templates", a_chat())
        assert await asyncio.to_thread(running.end) == 0

    assert (refused, found["count"]) == ([401, 401], 0)


async def test_foreign_pages_are_refused(cli: CommandLine) -> None:
    """A web page in a browser on this machine cannot use the tools (DNS rebinding)."""
    with cli.running("mcp", "--http", "0") as running:
        url = await url_of(running)
        async with httpx2.AsyncClient() as plain:
            answers = [
                (await plain.post(url, json={}, headers=headers)).status_code
                for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"})
            ]
        assert await asyncio.to_thread(running.end) == 0

    assert answers == [421, 403]


async def test_the_environment_names_the_chat(cli: CommandLine) -> None:
    """As options do; an owner of one's own too."""
    own = {f"WORKSPACED_MCP_{name}": str(uuid4()) for name in ("CHAT", "OWNER_ID", "ORGANIZATION")}
    async with session(cli.but(WORKSPACED_MCP_OWNER_NAME="ada", **own), "stdio") as client:
        found = await call(client, "list_templates")

    assert found["templates"] == []  # of another organization than the stack's


def test_the_page_of_the_docs(cli: CommandLine) -> None:
    """Its Python runs as it stands there."""
    page = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    path = f"{Path(program()).parent}:{cli.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=cli.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=SAFETY_NET,
    )
    tools, made = done.stdout.splitlines()

    assert (done.returncode, done.stderr) == (0, "")
    assert ast.literal_eval(tools) == [tool["name"] for tool in DEFINITIONS]
    assert ast.literal_eval(made)["created"]


@pytest.mark.parametrize(("option", "text"), [("--chat", "nope"), ("--organization", "1"), ("--owner-name", "a--b")])
def test_bad_options(cli: CommandLine, option: str, text: str) -> None:
    """They are refused at the start, not with the first call."""
    done = cli.run("mcp", option, text)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert f"must be {'up to 32' if option == '--owner-name' else 'a UUID'}" in done.stderr


def test_elsewhere_only_with_a_token(cli: CommandLine) -> None:
    """An address that others reach is not served openly."""
    done = cli.run("mcp", "--http", "0.0.0.0:0")

    assert (done.returncode, "set WORKSPACED_MCP_TOKEN" in done.stderr) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_http(cli: CommandLine, number: signal.Signals) -> None:
    """In peace."""
    with cli.running("mcp", "--http", "0") as running:
        running.stdout.readline()

        assert running.end(number) == 0


HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "plain", "version": "1"}}
REQUESTS: list[dict[str, Any]] = [
    {"id": 1, "method": "initialize", "params": HELLO},
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/call", "params": {"name": "stop_workspace", "arguments": {}}},
]


def over_stdio(cli: CommandLine) -> "subprocess.Popen[bytes]":
    """The server of one chat."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [program(), "mcp", "--chat", str(uuid4())], env=cli.environ, stdin=pipe, stdout=pipe, stderr=pipe
    )


def say(to: IO[bytes], *requests: dict[str, Any]) -> None:
    """As a client does."""
    for request in requests:
        to.write(json.dumps({"jsonrpc": "2.0"} | request).encode() + b"\n")
    to.flush()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, None])
def test_plain_lines_over_stdio(cli: CommandLine, number: signal.Signals | None) -> None:
    """A client without any SDK; a signal ends the server although it reads stdin, and so does the end of stdin."""
    with over_stdio(cli) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        say(process.stdin, *REQUESTS)
        welcome, answer = (json.loads(process.stdout.readline()) for _ in range(2))
        if number is None:
            process.stdin.close()
        else:
            process.send_signal(number)
        code, said = process.wait(SAFETY_NET), process.stderr.read()

    assert welcome["result"]["serverInfo"]["name"] == "workspaced"
    assert answer["result"] == {
        "content": [{"type": "text", "text": "chat has no workspace; use create_workspace first"}],
        "isError": True,
    }
    assert (code, said) == (0, b"")


def test_a_client_that_listens_no_more(cli: CommandLine) -> None:
    """It died, perhaps; the server ends without a word."""
    with over_stdio(cli) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        hello, told, call = REQUESTS
        say(process.stdin, hello, told)
        process.stdout.readline()
        process.stdout.close()
        say(process.stdin, call)
        code, said = process.wait(SAFETY_NET), process.stderr.read()

    assert (code, said) == (0, b"")


def bearer(token: str) -> dict[str, str]:
    """The header."""
    return {"authorization": f"Bearer {token}"}


def test_without_a_stack() -> None:
    """One line says what to do."""
    done = CommandLine({"WORKSPACED_DIR": str(Path("/nonexistent"))}).run("mcp", "--chat", str(uuid4()))

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (6, "", 1)
