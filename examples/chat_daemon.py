"""A chat daemon: runs a model's tool calls, one JSON object a line on stdin, and answers each with a line.

    {"chat": "<uuid>", "id": "toolu_01", "tool": "create_workspace", "arguments": {"template_id": "<uuid>"}}

An answer that leaves a workspace running also says where its agent stands; that was asked of the agent itself.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.dial import ping_dialer
from workspaced.bus.dial_errors import DialError
from workspaced.fsm.commands import Owner
from workspaced.tools.call import ToolCall
from workspaced.tools.offer import run_tool

STACK = json.loads(Path(os.environ["WORKSPACED_DIR"], "connection.json").read_text())
ADA = Owner("0e8a5c3e-7d0b-4a55-9c1e-5b7a4f1d2c3b", "ada")  # whoever is logged in


async def main() -> None:
    """Serve until stdin ends."""
    async with await WorkspacedClient.connect(STACK["nats_url"], **STACK["roles"]["chatd"]) as client:
        organization = (await client.list_templates()).templates[0].organization_id
        dialer = ping_dialer(client)

        async def answer(asked: dict[str, Any]) -> None:
            chat = asked["chat"]
            call = ToolCall(client=client, chat_id=chat, owner=ADA, organization_id=organization, id=asked["id"])
            result = await run_tool(asked["tool"], call, asked["arguments"])
            told = {"id": asked["id"], "result": result.content, "is_error": result.is_error}
            try:
                with await dialer.dial(chat) as agent:  # kept: the next dial asks nobody
                    told["agent"] = agent.connection.lifecycle
            except DialError as error:
                told["agent"] = str(error)
            print(json.dumps(told), flush=True)

        async with asyncio.TaskGroup() as turns:  # chats wait for their workspaces, not for each other
            calls = 0
            while line := await asyncio.to_thread(sys.stdin.readline):
                turns.create_task(answer(json.loads(line)))
                calls += 1
        await dialer.close()
        if not calls:
            sys.exit(f"nothing was asked: each line of stdin is a call\n{__doc__}")


asyncio.run(main())
