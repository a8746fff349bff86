"""What the doctor says of a local stack whose servers are away for a moment."""

import os
from pathlib import Path

from workspaced.app.connection import Connection, write_connection
from workspaced.app.credentials import Role
from workspaced.app.doctor import OF_THE_STACK
from workspaced.app.doctor_servers import check_servers
from workspaced.app.sources import Sources

NOWHERE = "127.0.0.1:1"


async def test_what_comes_back_by_itself_is_waited_for(tmp_path: Path) -> None:
    """Nobody is sent to start servers, or to migrate them, that `workspaced up` is starting again."""
    roles = {name: Role(name, "secret", f"_INBOX_{name}") for name in ("engine", "inspector")}
    here = Connection(f"nats://{NOWHERE}", f"postgresql://{NOWHERE}/none", f"http://{NOWHERE}", os.getpid(), roles)
    write_connection(tmp_path, here)

    checks = [check async for check in check_servers(Sources({"dir": str(tmp_path)}, {}), "local")]

    assert [(check.name, check.ok, check.next) for check in checks] == [
        ("nats", False, OF_THE_STACK),
        ("database", False, OF_THE_STACK),
    ]
