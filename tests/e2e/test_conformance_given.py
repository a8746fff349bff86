"""`workspaced conformance provisioner --nats-url`: on a server that its author runs."""

import asyncio
import os
import sys
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from tests.command_line import CommandLine
from tests.e2e.node import EXAMPLES
from tests.e2e.verdicts import PATIENT, SLOW, read, verdicts
from tests.servers import Connections
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus import jetstream, streams, subjects

EXAMPLE = (sys.executable, "-P", str(EXAMPLES / "provisioner.py"))
TAG = "conformance"
HASTY = ("--patience", "3", "--only", "running-first")


@pytest.fixture
def cli(nats: NatsServer) -> CommandLine:
    """The command line of somebody who may do all, and whose provisioner may do less."""
    admin, theirs = nats.roles["admin"], nats.roles["provisioner"]
    return CommandLine(
        {
            "PATH": os.environ["PATH"],
            "WORKSPACED_USER": admin.user,
            "WORKSPACED_PASSWORD": admin.password,
            "PROVISIONER_USER": theirs.user,
            "PROVISIONER_PASSWORD": theirs.password,
        }
    )


@pytest.fixture
async def admin(connect: Connections) -> Client:
    """May look."""
    return await connect("admin")


async def found(cli: CommandLine, nats: NatsServer, *arguments: str) -> dict[str, Any]:
    """What came of each check."""
    return await asyncio.to_thread(
        verdicts, cli, "provisioner", "--nats-url", nats.url, "--tag", TAG, *SLOW, *arguments
    )


def only(*names: str) -> list[str]:
    """These checks."""
    return [word for name in names for word in ("--only", name)]


async def events(admin: Client) -> set[str] | None:
    """Subjects of which EVENTS has something, besides the advisories of who comes and goes; None without a stream."""
    with suppress(NotFoundError):
        info = await admin.jetstream().stream_info(streams.EVENTS, subjects_filter=">")
        return {subject for subject in info.state.subjects or {} if not subject.startswith("ws.sys.")}
    return None


async def test_a_server_is_left_as_it_was(cli: CommandLine, nats: NatsServer, admin: Client) -> None:
    """The program passes there, and no stream stays; so it can be done once more."""
    checks = ("running-first", "repeated-until-stored", "leaves-nothing")
    for _ in range(2):
        told = await found(cli, nats, *PATIENT, *only(*checks), "--", *EXAMPLE)

        assert told == dict.fromkeys(checks, "pass")
        assert await events(admin) is None


async def test_the_program_has_its_own_login(cli: CommandLine, nats: NatsServer, admin: Client) -> None:
    """Not that of the checks, who may do all; without one it has theirs. Streams that were there are empty again."""
    await jetstream.ensure(admin, (TAG,))
    whoever = ("--", "sh", "-c", 'echo "$NATS_URL $WORKSPACED_USER $WORKSPACED_INBOX_PREFIX"; exit 7')
    own = await found(cli, nats, *HASTY, *whoever)
    await admin.jetstream().publish(subjects.log(str(uuid4()), str(uuid4())), b"{}")
    shared = await found(cli.but(PROVISIONER_USER=""), nats, *HASTY, *whoever)

    said = f"the program ended with code 7: {nats.url}"
    assert own == {"running-first": f"{said} provisioner _INBOX_provisioner"}
    assert shared == {"running-first": f"{said} admin _INBOX_admin"}
    assert (await admin.jetstream().stream_info(streams.LOGS)).state.messages == 0


async def test_a_program_that_its_author_runs(cli: CommandLine, nats: NatsServer, admin: Client) -> None:
    """It is started when the queue is there, and checked but for what needs killing."""
    who = nats.roles["provisioner"]
    login = {
        "NATS_URL": nats.url,
        "PROVISIONER_TAG": TAG,
        "CONFORMANCE_FOLDER": str(nats.folder),
        "WORKSPACED_USER": who.user,
        "WORKSPACED_PASSWORD": who.password,
        "WORKSPACED_INBOX_PREFIX": who.inbox_prefix,
    }
    names = ("running-first", "cancel-heeded", "killed-runs-again", "hung-job-refused", "reports-readable")
    with cli.running("conformance", "provisioner", "--nats", nats.url, *PATIENT, *SLOW, *only(*names)) as checks:
        told = await asyncio.to_thread(checks.stderr.readline)
        program = await asyncio.create_subprocess_exec(*EXAMPLE, env=os.environ | login)
        try:
            said, _ = await asyncio.to_thread(checks.process.communicate)
        finally:
            program.kill()
            await program.wait()

    assert told == "the queue of tag conformance is there: start your program now\n"
    skipped = dict.fromkeys(("killed-runs-again", "hung-job-refused"), "skip")
    assert read(said) == dict.fromkeys(names, "pass") | skipped
    assert await events(admin) is None


async def test_a_server_in_use_is_left_alone(cli: CommandLine, nats: NatsServer, admin: Client) -> None:
    """Nothing is written, let alone removed, where somebody's events wait."""
    await jetstream.ensure(admin, (TAG,))
    await admin.jetstream().publish("ws.event.whose", b"{}")

    done = await asyncio.to_thread(cli.run, "conformance", "provisioner", "--nats", nats.url, "--", *EXAMPLE)

    text = "stream EVENTS of this NATS has 1 messages; the checks need one that nobody else uses"
    assert (done.returncode, done.stdout, done.stderr) == (5, "", f"error: {text} (in_use)\n")
    assert await events(admin) == {"ws.event.whose"}


def test_a_program_is_needed(cli: CommandLine) -> None:
    """On a server of the checks' own nobody else could start it."""
    done = cli.run("conformance", "provisioner")

    assert done.returncode == 2
    assert "name the program, or the NATS server where you run it (--nats-url)" in done.stderr
