"""An agent that leaves out one duty fails the conformance suite by that duty's name."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.command_line import CommandLine
from tests.e2e.node import EXAMPLES
from tests.e2e.verdicts import PATIENT, Trials, Wrong, chosen, trials
from workspaced.app.conformance.agent import CHECKS

NEEDS = {"reports-readable": "connected-named"}
"""Checks that look back on what others did."""
ID = "str(uuid.uuid4())"
DOWN, OFF = '            await agent.lifecycle("shutting_down")\n', '            await agent.lifecycle("off")\n'
GONE = '            await agent.tell("disconnected")\n'
LINK = '{name: self.nc._server_info[name] for name in ("server_id", "client_id")}'
TOLD = 'await self.tell("lifecycle", **self.state)\n        await self.tell("connected")'
WRONG = {
    "names another connection": Wrong(
        "connected-named",
        "the server knows no connection 0 of server",
        {"json.dumps(body | link)": 'json.dumps(body | link | {"client_id": 0})'},
    ),
    "ready too early": Wrong(
        "lifecycle-in-order",
        "ready before the script ended",
        {TOLD: TOLD.replace("\n", '\n        await self.lifecycle("ready")\n')},
    ),
    "ready on another connection": Wrong(
        "lifecycle-in-order",
        "the lifecycle names another connection",
        {"body | link": 'body | link | ({"client_id": 0} if kind == "lifecycle" else {})'},
    ),
    "ready before it started": Wrong(
        "lifecycle-in-order",
        "`at` is missing or goes back",
        {'max(now(), self.state["at"])': '"2020-01-01T00:00:00.000000+00:00"'},
    ),
    "keeps the exit code to itself": Wrong("failed-script-told", "exit_code is None, not 3", {", exit_code=code": ""}),
    "says nothing of a slow script": Wrong(
        "slow-script-told",
        "the lifecycle `start_timeout` did not come within",
        {'await self.lifecycle("start_timeout")': "pass"},
    ),
    "says `starting` for ever": Wrong(
        "ping-answered", "the answer to ping is ", {'"lifecycle": self.state["state"]': '"lifecycle": "starting"'}
    ),
    "does not say who it is": Wrong("ping-answered", "the answer to ping: ", {'{"agent_id": AGENT, ': "{"}),
    "deaf to pings": Wrong("ping-answered", "ping is not answered: ", {".ping": ".pong"}),
    "tells again under the old id": Wrong(
        "resync-answered",
        "it was told again under its old id: the stream drops it",
        {ID: "f\"{BUILD}:{kind}:{more.get('state', now())}\""},
    ),
    "tells again as if it were new": Wrong(
        "resync-answered",
        "a lifecycle told again has a new `at`: it looks restarted",
        {TOLD: TOLD.replace('self.tell("lifecycle", **self.state)', 'self.lifecycle(self.state["state"])')},
    ),
    "names the broken connection": Wrong(
        "reconnect-told",
        "it names the connection that was broken",
        {LINK: f'self.__dict__.setdefault("first", {LINK})'},
    ),
    "stays away when its login is over": Wrong(
        "login-renewed", "`connected` with a new connection did not come within", {', "closed_cb": self.connect': ""}
    ),
    "repeats under a new id": Wrong(
        "repeated-until-stored",
        "the repetition has another id: it counts twice",
        {"headers=headers": f'headers={{"Nats-Msg-Id": {ID}}}'},
    ),
    "off before it goes down": Wrong("farewell-said", "not in this order", {DOWN: OFF, OFF: DOWN}),
    "gone before it is off": Wrong("farewell-said", "not in this order", {DOWN: DOWN + GONE, GONE: ""}),
    "as old as ever": Wrong(
        "restart-told",
        "`at` is not later than the former process's",
        {'"starting", "at": now()': '"starting", "at": "2026-01-01T00:00:00.000000+00:00"'},
    ),
    "without ids": Wrong("reports-readable", "has no id: sent again, it counts twice", {", headers=headers": ""}),
    "says what nobody can read": Wrong(
        "reports-readable", "bad_body: at: ", {'{"at": now(), "build': '{"at": "now", "build'}
    ),
    "speaks for another build": Wrong(
        "reports-readable", "a report names another build", {'"build_id": BUILD} | more': '"build_id": AGENT} | more'}
    ),
}


@pytest.fixture(scope="module")
def wrong(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """The check that each fault must not pass."""
    code, folder = (EXAMPLES / "agent.py").read_text(), tmp_path_factory.mktemp("wrong")
    with trials(CommandLine({"PATH": os.environ["PATH"]})) as runs:
        for fault in chosen(request, "fault"):
            script = WRONG[fault].written(code, folder / f"{fault}.py")
            only = [word for name in WRONG[fault].checks(NEEDS) for word in ("--only", name)]
            runs.begin(fault, "agent", *PATIENT, *only, "--", sys.executable, "-P", script)
        yield runs


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_agent_fails_by_name(wrong: Trials, fault: str) -> None:
    """One duty that is not done is one line that fails, with the reason."""
    check = WRONG[fault].check

    found = wrong.of(fault)

    assert WRONG[fault].reason in found[check]
    assert set(found.values()) - {found[check]} <= {"pass"}


def test_every_check_can_fail() -> None:
    """There is a fault for each."""
    assert {fault.check for fault in WRONG.values()} == {check.name for check in CHECKS}
