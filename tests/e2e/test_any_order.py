"""The same events in any order, doubled and delayed."""

import random
from uuid import uuid4

import pytest

from tests.e2e.provisioner import Agent, Body, Provisioner, an_agent
from tests.e2e.stack import Stack

FIRST, LATER = 1_000, 2_000
"""Client ids of connections: of an agent's first one, counted from there, and of the one that follows it."""

Step = tuple[str, Body]
"""Kind of a report, and what it says."""


def at(second: int) -> str:
    """A moment of the script: what happened in which order, whatever arrives in which order."""
    return f"2026-01-01T00:00:{second:02}Z"


def succeeded(agent_id: str) -> list[Step]:
    """A build that works, and an agent that comes up."""
    return [
        ("job.running", {"at": at(1)}),
        ("job.succeeded", {"at": at(2), "agents": [an_agent(agent_id)]}),
        ("connected", {"at": at(3)}),
        ("lifecycle", {"at": at(4), "state": "starting"}),
        ("lifecycle", {"at": at(5), "state": "ready"}),
    ]


def reconnected(agent_id: str) -> list[Step]:
    """The agent's first connection is lost and another one follows on the same server."""
    second = {"client_id": LATER}
    return [
        *succeeded(agent_id),
        ("disconnected", {"at": at(6)}),
        ("connected", {"at": at(7)} | second),
        ("lifecycle", {"at": at(5), "state": "ready"} | second),
    ]


def lost(agent_id: str) -> list[Step]:
    """The agent was ready and its connection is gone."""
    return [*succeeded(agent_id), ("disconnected", {"at": at(6)})]


def restarted(agent_id: str) -> list[Step]:
    """Scripts fail, the agent is restarted within its connection, and they succeed."""
    return [
        ("job.running", {"at": at(1)}),
        ("job.succeeded", {"at": at(2), "agents": [an_agent(agent_id)]}),
        ("connected", {"at": at(3)}),
        ("lifecycle", {"at": at(4), "state": "starting"}),
        ("lifecycle", {"at": at(5), "state": "start_error"}),
        ("lifecycle", {"at": at(6), "state": "starting"}),
        ("lifecycle", {"at": at(7), "state": "ready"}),
    ]


def broken(agent_id: str) -> list[Step]:
    """Scripts that fail."""
    return restarted(agent_id)[:5]


def failed(_agent_id: str) -> list[Step]:
    """A build that fails."""
    return [("job.running", {"at": at(1)}), ("job.failed", {"at": at(2), "error": "no such image"})]


def canceled(_agent_id: str) -> list[Step]:
    """A build that its provisioner gives up."""
    return [("job.running", {"at": at(1)}), ("job.canceling", {"at": at(2)}), ("job.canceled", {"at": at(3)})]


SCRIPTS = {script.__name__: script for script in (succeeded, reconnected, lost, restarted, broken, failed, canceled)}
ENDS = {
    "succeeded": ("ready", "ready", "connected", None),
    "reconnected": ("ready", "ready", "connected", None),
    "lost": ("connecting", "ready", "disconnected", None),
    "restarted": ("ready", "ready", "connected", None),
    "broken": ("failed", "start_error", "connected", "startup_failed"),
    "failed": ("failed", None, None, "build_failed"),
    "canceled": ("failed", None, None, "build_canceled"),
}
"""By script: state, lifecycle, the agent's link, what failed."""


class Mail:
    """Delivers reports in an order of its own, some twice, some late."""

    def __init__(self, provisioner: Provisioner, chance: random.Random) -> None:
        self._provisioner, self._chance = provisioner, chance

    def mix(self, steps: list[Step]) -> tuple[list[Step], list[Step]]:
        """What goes out at once, and what goes out after all of that was worked off."""
        named = [(kind, {"id": str(uuid4())} | body) for kind, body in steps]
        doubled = self._chance.choices(named, k=len(named) // 2)
        again = [(kind, body | {"id": str(uuid4())}) for kind, body in self._chance.choices(named, k=2)]
        mixed = named + doubled + again
        self._chance.shuffle(mixed)
        cut = self._chance.randrange(len(mixed))
        return mixed[cut:], mixed[:cut]

    async def deliver(self, agent: Agent, steps: list[Step]) -> None:
        """Publish in this order."""
        for kind, body in steps:
            if kind.startswith("job."):
                await self._provisioner.tell(agent.job, kind.removeprefix("job."), **body)
            else:
                await agent.tell(kind, **body)


@pytest.mark.parametrize("seed", range(6))
async def test_events_in_any_order(stack: Stack, seed: int) -> None:
    """The same events shuffled, doubled and delayed lead every chat to the same end."""
    await stack.engine()
    mail = Mail(stack.provisioner, random.Random(seed))  # noqa: S311  # dice, no secrets
    chats: dict[str, str] = {}
    agents: dict[str, Agent] = {}
    late: dict[str, list[Step]] = {}
    for _ in range(4):
        for name, script in SCRIPTS.items():
            chat = str(uuid4())
            job = await stack.provisioner.job((await stack.create(chat)).build_id)
            agent = await stack.provisioner.agent(job)
            agent.link = {"server_id": "A" * 56, "client_id": FIRST + len(chats)}
            chats[chat], agents[chat] = name, agent
            at_once, late[chat] = mail.mix(script(agent.id))
            await mail.deliver(agent, at_once)
    await stack.decided()

    for chat, steps in late.items():
        await mail.deliver(agents[chat], steps)
    await stack.decided()

    ends = {}
    for chat in chats:
        snapshot = await stack.client.get(chat)
        ends[chat] = (
            snapshot.state.value,
            snapshot.lifecycle,
            snapshot.agent.link if snapshot.agent else None,
            snapshot.failure.code if snapshot.failure else None,
        )
    assert ends == {chat: ENDS[name] for chat, name in chats.items()}
    rows = await stack.sql("select max(version) - count(*) as missing from workspaced.transitions group by chat_id")
    assert {row["missing"] for row in rows} == {0}
    assert await stack.stored("DEAD") == []
