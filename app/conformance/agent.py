"""What every agent owes, check by check (docs/protocol.md, agents)."""

from datetime import timedelta
from typing import Any, Final

from workspaced.app.conformance.agents import AgentGround, AgentRun, connections
from workspaced.app.conformance.server import LOGIN
from workspaced.app.conformance.suite import Check
from workspaced.app.conformance.wire import Failed, Said, Skipped
from workspaced.bus import jetstream, streams, subjects
from workspaced.bus.codec import decode_event
from workspaced.bus.messages import Pong
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import AgentConnected, AgentDisconnected, LifecycleChanged

FAILED_SCRIPT: Final = 3
SHORT_LOGIN: Final = timedelta(seconds=2)
_KINDS: Final[dict[str, type]] = {
    "connected": AgentConnected,
    "disconnected": AgentDisconnected,
    "lifecycle": LifecycleChanged,
}


def _require(holds: object, text: str) -> None:
    if not holds:
        raise Failed(text)


def _link(said: Said) -> tuple[Any, Any]:
    body = said.json()
    return body.get("server_id"), body.get("client_id")


async def connected_named(ground: AgentGround) -> None:
    """`connected` names the server and the connection that the agent really has."""
    run = await ground.begin()
    link = _link(await run.told("connected"))
    known = {(one["server_id"], one["cid"]) for one in await connections(ground.wire)}
    _require(link in known, f"the server knows no connection {link[1]} of server {link[0]}")


async def lifecycle_in_order(ground: AgentGround) -> None:
    """`starting`, then `ready` when the script ended well, on the connection of `connected`, `at` never going back."""
    run = await ground.begin()
    connected, starting = await run.told("connected"), await run.told("lifecycle", "starting")
    _require(
        not ground.wire.all(lambda said: run.is_report(said, "lifecycle", "ready")), "ready before the script ended"
    )
    run.go(0)
    ready = await run.told("lifecycle", "ready")
    _require(_link(starting) == _link(ready) == _link(connected), "the lifecycle names another connection")
    ats = [said.json().get("at", "") for said in (starting, ready)]
    _require(all(ats) and ats == sorted(ats), f"`at` is missing or goes back: {ats}")


async def failed_script_told(ground: AgentGround) -> None:
    """A script that fails is `start_error`, with its exit code."""
    run = await ground.begin()
    run.go(FAILED_SCRIPT)
    report = (await run.told("lifecycle", "start_error")).json()
    _require(report.get("exit_code") == FAILED_SCRIPT, f"exit_code is {report.get('exit_code')}, not {FAILED_SCRIPT}")


async def slow_script_told(ground: AgentGround) -> None:
    """A script that exceeds its time is `start_timeout`; it runs on, and its end is told too."""
    run = await ground.begin(script_timeout="200ms")
    await run.told("lifecycle", "start_timeout")
    run.go(0)
    await run.told("lifecycle", "ready")


async def ping_answered(ground: AgentGround) -> None:
    """`ping` is answered with who it is and how far, also while the script runs."""
    run = await ground.begin()
    await run.told("lifecycle", "starting")
    await _pong(run, "starting")
    run.go(0)
    await run.told("lifecycle", "ready")
    await _pong(run, "ready")


async def _pong(run: AgentRun, lifecycle: str) -> None:
    try:
        pong: Pong = decode_event(await run.ping(), Pong)
    except UndecodableMessage as error:
        raise Failed(f"the answer to ping: {error}") from None
    told = (pong.agent_id, pong.build_id, pong.lifecycle)
    wanted = (run.config.agent_id, run.config.build_id, lifecycle)
    _require(told == wanted, f"the answer to ping is {told}, not {wanted}")


async def resync_answered(ground: AgentGround) -> None:
    """On `ws.resync`, also of the workspace alone: both again, new ids, the lifecycle with its first `at`."""
    run = await ground.begin()
    run.go(0)
    before = await run.told("lifecycle", "ready")
    for workspace in (None, run.config.workspace_id):
        since = ground.wire.now
        await ground.wire.say(subjects.resync(workspace), {"at": before.json()["at"]})
        await run.told("connected", since=since)
        again = await run.told("lifecycle", "ready", since=since)
        _require(again.name != before.name, "it was told again under its old id: the stream drops it")
        _require(again.json()["at"] == before.json()["at"], "a lifecycle told again has a new `at`: it looks restarted")


async def reconnect_told(ground: AgentGround) -> None:
    """After a broken connection: `connected` with the new one, and the lifecycle on it."""
    run = await ground.begin()
    run.go(0)
    await run.told("lifecycle", "ready")
    server, client = _link(await run.told("connected"))
    since = ground.wire.now
    await ground.door.throw_out(server, client)
    connected = await run.told("connected", since=since)
    _require(_link(connected) != (server, client), "it names the connection that was broken")
    again = await run.told("lifecycle", "ready", since=since)
    _require(_link(again) == _link(connected), "the lifecycle names another connection than `connected`")


async def login_renewed(ground: AgentGround) -> None:
    """When its login is over, the server ends the connection: it comes in again, and tells all on the new one."""
    ground.door.let_in_for(SHORT_LOGIN)
    try:
        run = await ground.begin()
        former = _link(await run.told("connected"))
    finally:
        ground.door.let_in_for(LOGIN)
    run.go(0)

    def anew(said: Said) -> bool:
        return run.is_report(said, "connected") and _link(said) != former

    link = _link(await run.wire.until("`connected` with a new connection", anew, run.since))

    def ready_there(said: Said) -> bool:
        return run.is_report(said, "lifecycle", "ready") and _link(said) == link

    await run.wire.until("the lifecycle `ready` on the new connection", ready_there, run.since)


async def repeated_until_stored(ground: AgentGround) -> None:
    """With the stream away a report is repeated under one id until it is stored."""
    run = await ground.begin()
    await run.told("lifecycle", "starting")
    await _stored(ground, await run.told("connected"))
    await ground.wire.connection.jetstream().delete_stream(streams.EVENTS)
    try:
        run.go(0)
        first = await run.told("lifecycle", "ready")
        second = await run.told("lifecycle", "ready", count=2)
        _require(first.name and first.name == second.name, "the repetition has another id: it counts twice")
    finally:
        await jetstream.ensure(ground.wire.connection)
    await _stored(ground, first)


async def _stored(ground: AgentGround, said: Said) -> None:
    """Wait until the stream has it, which the agent is told in its inbox and we are not."""
    wire = ground.wire
    kept = await wire.connection.jetstream().subscribe(said.subject, stream=streams.EVENTS, ordered_consumer=True)
    try:
        await kept.next_msg(timeout=wire.patience_s)
    except TimeoutError:
        raise Failed(f"{said.subject} did not get into the stream within {wire.patience_s:.0f} s") from None
    finally:
        await kept.unsubscribe()


async def farewell_said(ground: AgentGround) -> None:
    """On SIGTERM: `shutting_down`, `off`, `disconnected`, and the program ends."""
    run = await ground.begin()
    run.go(0)
    await run.told("lifecycle", "ready")
    since = ground.wire.now
    run.program.ask_to_end()
    down = await run.told("lifecycle", "shutting_down", since=since)
    off = await run.told("lifecycle", "off", since=since)
    gone = await run.told("disconnected", since=since)
    said = ground.wire.said
    _require(said.index(down) < said.index(off) < said.index(gone), "not in this order")
    run.program.end()


async def restart_told(ground: AgentGround) -> None:
    """Killed and started anew, it says `starting` again, later than before."""
    run = await ground.begin()
    before = await run.told("lifecycle", "starting")
    run.program.kill()
    since = ground.wire.now
    run.start(again=True)
    again = await run.told("lifecycle", "starting", since=since)
    _require(again.json().get("at", "") > before.json().get("at", ""), "`at` is not later than the former process's")
    await run.told("connected", since=since)


async def reports_readable(ground: AgentGround) -> None:
    """Every report is as the contract says, has an id, and names the agent's own build."""
    reports = [(run, said) for run in ground.all for said in run.reports()]
    if not reports:
        raise Skipped("nothing was reported")
    for run, said in reports:
        kind = _KINDS.get(said.subject.rpartition(".")[2])
        _require(kind, f"nobody knows {said.subject}")
        try:
            decode_event(said.body, kind)
        except UndecodableMessage as error:
            raise Failed(f"{said.subject}: {error}") from None
        _require(said.name, f"{said.subject} has no id: sent again, it counts twice")
        _require(
            said.json().get("build_id", run.config.build_id) == run.config.build_id, "a report names another build"
        )


CHECKS: Final[tuple[Check[AgentGround], ...]] = tuple(
    Check[AgentGround].of(run)
    for run in (
        connected_named,
        lifecycle_in_order,
        failed_script_told,
        slow_script_told,
        ping_answered,
        resync_answered,
        reconnect_told,
        login_renewed,
        repeated_until_stored,
        farewell_said,
        restart_told,
        reports_readable,
    )
)
