"""A provisioner that leaves out one duty fails the conformance suite by that duty's name."""

import os
import sys
from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.e2e.verdicts import SLOW, verdicts

EXAMPLE = Path(__file__).parents[2] / "examples" / "provisioner.py"

WRONG: dict[str, tuple[str, str, str, str]] = {
    "silent at the start": (
        'await self.report("running")',
        "await asyncio.sleep(0)",
        "running-first",
        "the first report was succeeded",
    ),
    "without a worker": (
        'worker="example", ',
        "",
        "running-first",
        "`worker` is missing, so nobody can tell who has the job",
    ),
    "acknowledges too early": (
        "status, more = await self.build()\n",
        'status, more = await self.build()\n        await self.nc.publish(self.msg.reply, b"+ACK")\n',
        "acked-after-end",
        "the job was acknowledged before its terminal report",
    ),
    "tells no agents": (
        '"succeeded", {"agents": []}',
        '"succeeded", {}',
        "agents-told",
        "`agents` is missing: the engine waits for it (an empty list means none)",
    ),
    "ends no log": (
        "await self.store(f\"ws.log.{self.workspace}.{self.job['build_id']}\", seq=self.attempt, end=True)",
        "await asyncio.sleep(0)",
        "log-ended",
        "the log's end was said 0 times, not once",
    ),
    "fails without a reason": (
        '{"error": self.source["error"]}',
        "{}",
        "failure-told",
        "`error` is empty: nobody learns why",
    ),
    "loses its lease": (
        'await self.nc.request(self.msg.reply, b"+WPI", timeout=lease / 3)',
        "await asyncio.sleep(0)",
        "lease-kept",
        "an extension of the lease (+WPI) did not come within 8 s",
    ),
    "deaf to cancels": (
        "work.canceled.set()",
        "pass",
        "cancel-heeded",
        "a report `canceling` or `succeeded` or `failed` or `canceled` did not come within 8 s",
    ),
    "deaf to resync": (
        "await work.report(work.status)",
        "pass",
        "resync-answered",
        "a report `running` did not come within 8 s",
    ),
    "says a report once": (
        "            await asyncio.sleep(0.2)",
        "            return",
        "repeated-until-stored",
        "once more, which nobody had stored, did not come within 8 s",
    ),
    "runs what hangs": (
        "(lost := self.attempt - 1) >= 3",
        "(lost := self.attempt - 1) >= 300",
        "hung-job-refused",
        "it was run once more",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_provisioner_fails_by_name(tmp_path: Path, fault: str) -> None:
    """One duty that is not done is one line that fails, with the reason."""
    cli = CommandLine({"PATH": os.environ["PATH"]})
    before, after, check, reason = WRONG[fault]
    code = EXAMPLE.read_text()
    assert before in code
    wrong = tmp_path / "wrong.py"
    wrong.write_text(code.replace(before, after))

    found = verdicts(cli, "provisioner", *SLOW, "--patience", "8", "--only", check, "--", sys.executable, "-P", wrong)

    assert found[check].endswith(reason)
