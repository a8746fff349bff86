"""The snippets of README and docs run as they stand, against a stack whose provisioner builds all."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.stack import LIMIT
from tests.e2e.test_dial_servers import answer
from tests.e2e.tool_user import ToolUser

ROOT = Path(__file__).parents[2]
SNIPPETS = {
    page: re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    for page in ("README.md", "docs/tools.md", "docs/client.md")
}


@pytest.fixture
async def folder_of_the_stack(user: ToolUser, folder: Path) -> AsyncIterator[Path]:
    """A folder as `workspaced up` leaves it; every job is done and its agent gets ready and answers."""
    roles = {
        name: {"user": who.user, "password": who.password, "inbox_prefix": who.inbox_prefix}
        for name, who in user.stack.server.roles.items()
    }
    (folder / "connection.json").write_text(json.dumps({"nats_url": user.stack.server.url, "roles": roles}))
    await user.stack.engine()

    async def build() -> None:
        while True:
            with suppress(TimeoutError):
                agent = await user.provisioner.bring_up(await user.provisioner.job())
                await answer(agent)

    building = asyncio.create_task(build())
    yield folder
    building.cancel()


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("README.md", r"\{'created': True, .*'ann/\S+'.*\nready\n"),
        ("docs/tools.md", r"False \{'created': True, .*'ann/dev'"),
        ("docs/client.md", r"ready \S+ 1\n0\n"),
    ],
)
async def test_snippets(folder_of_the_stack: Path, page: str, said: str) -> None:
    """Each prints what the page says."""
    assert len(SNIPPETS[page]) == 1
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-c",
        SNIPPETS[page][0],
        env=os.environ | {"WORKSPACED_DIR": str(folder_of_the_stack)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT):
        out, errors = await program.communicate()

    assert errors.decode() == ""
    assert re.search(said, out.decode())
