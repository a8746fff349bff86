"""A provisioner that leaves out one duty fails the conformance suite by that duty's name."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.command_line import CommandLine
from tests.e2e.node import EXAMPLES
from tests.e2e.verdicts import PATIENT, SLOW, Trials, Wrong, chosen, trials
from workspaced.app.conformance.provisioner import CHECKS

NEEDS = {"leaves-nothing": "running-first", "reports-readable": "running-first"}
"""Checks that look back on what others did."""
DELETE = 'elif self.job["transition"] == "delete":\n'
BEAT = "            with suppress(Error):\n                await self.nc.request("
REPORT, ACK = "        await self.report(status, **more)\n", "        await self.msg.ack()\n"
WRONG = {
    "silent at the start": Wrong(
        "running-first",
        "the first report was succeeded",
        {'await self.report("running")\n        source': "source"},
    ),
    "without a worker": Wrong(
        "running-first",
        "`worker` is missing, so nobody can tell who has the job",
        {' | {"worker": "example"}': ""},
    ),
    "acknowledges too early": Wrong(
        "acked-after-end",
        "the job was acknowledged before its terminal report",
        {REPORT + ACK: ACK + REPORT},
    ),
    "tells no agents": Wrong(
        "agents-told",
        "`agents` is missing: the engine waits for it (an empty list means none)",
        {'"succeeded", agents=[]': '"succeeded"'},
    ),
    "ends no log": Wrong(
        "log-ended",
        "the log's end was said 0 times, not once",
        {"await self.tell(f\"ws.log.{self.workspace}.{self.job['build_id']}\", seq=self.attempt, end=True)": "pass"},
    ),
    "cannot delete": Wrong(
        "stop-and-delete",
        "the delete ended failed: it is locked",
        {DELETE: f'{DELETE}            return await self.end("failed", error="it is locked")\n'},
    ),
    "stops only what is there": Wrong(
        "nothing-to-stop",
        "the stop ended failed: there is none",
        {
            '        if "error" in source:\n': '        if self.job["transition"] != "start" and not folder.exists():\n'
            '            return await self.end("failed", error="there is none")\n'
            '        if "error" in source:\n'
        },
    ),
    "fails without a reason": Wrong(
        "failure-told",
        "`error` is empty: nobody learns why",
        {', error=source["error"]': ""},
    ),
    "ends twice": Wrong(
        "many-at-once",
        "ended 2 times: succeeded, succeeded",
        {REPORT: REPORT * 2},
    ),
    "loses its lease": Wrong(
        "lease-kept",
        "the lease of 3 s ran out, and the job was given away again",
        {"until = now + lease": "until, lease = now + 3600, 3600"},
    ),
    "goes on in spite of a cancel": Wrong(
        "cancel-heeded",
        "`canceling` was not reported, only running, succeeded",
        {'await self.report("canceling")\n            return await self.end("canceled")': "pass"},
    ),
    "heeds everybody's cancels": Wrong(
        "other-cancels-ignored",
        "a report though another job was canceled: ",
        {"f\"ws.cancel.{self.job['job_id']}\"": '"ws.cancel.*"'},
    ),
    "tells again under the old id": Wrong(
        "resync-answered",
        "`running` was told again under its old id: the stream drops it",
        {"str(uuid4())": 'f"{subject}:{self.attempt}"'},
    ),
    "tells what is over": Wrong(
        "nothing-after-end",
        "a report on a job that is over: ",
        {ACK: f"{ACK}        await self.heard.get()\n{REPORT}"},
    ),
    "says a report once": Wrong(
        "repeated-until-stored",
        "once more, which nobody had stored, did not come within",
        {"            await asyncio.sleep(0.2)\n": "            return None\n"},
    ),
    "counts its attempts wrong": Wrong(
        "killed-runs-again",
        "`attempt` is 3 at delivery 2",
        {"= msg.metadata.num_delivered": "= 2 * msg.metadata.num_delivered - 1"},
    ),
    "goes on without its lease": Wrong(
        "lost-lease-heeded",
        "a report of the attempt whose lease was lost: ",
        {
            "timeout=lease / 3))[0] and (now := time.monotonic()) < until:": "timeout=0.1))[0] and (now := 0.0) < 1:",
            BEAT: f'            await self.report("running")\n{BEAT}',
        },
    ),
    "runs what hangs": Wrong(
        "hung-job-refused",
        "it was run once more",
        {"(lost := self.attempt - 1) >= 3": "(lost := self.attempt - 1) >= 300"},
    ),
    "leaves a workspace": Wrong(
        "leaves-nothing",
        "the delete ended failed: it is locked",
        {DELETE: f'{DELETE}            return await self.end("failed", error="it is locked")\n'},
    ),
    "says what nobody can read": Wrong("reports-readable", "ws.log.", {"seq=self.attempt": 'seq="first"'}),
}


@pytest.fixture(scope="module")
def wrong(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """The check that each fault must not pass."""
    code, folder = (EXAMPLES / "provisioner.py").read_text(), tmp_path_factory.mktemp("wrong")
    with trials(CommandLine({"PATH": os.environ["PATH"]})) as runs:
        for fault in chosen(request, "fault"):
            script = WRONG[fault].written(code, folder / f"{fault}.py")
            only = [word for name in WRONG[fault].checks(NEEDS) for word in ("--only", name)]
            runs.begin(fault, "provisioner", *SLOW, *PATIENT, *only, "--", sys.executable, "-P", script)
        yield runs


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_provisioner_fails_by_name(wrong: Trials, fault: str) -> None:
    """One duty that is not done is one line that fails, with the reason."""
    check = WRONG[fault].check

    found = wrong.of(fault)

    assert WRONG[fault].reason in found[check]
    assert set(found.values()) - {found[check]} <= {"pass"}


def test_every_check_can_fail() -> None:
    """There is a fault for each."""
    assert {fault.check for fault in WRONG.values()} == {check.name for check in CHECKS}
