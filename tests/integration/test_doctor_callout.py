"""What the doctor says when nobody lets agents in."""

from contextlib import aclosing
from datetime import timedelta

import pytest

from workspaced.app import doctor_servers
from workspaced.app.doctor import Check
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.sources import Sources


async def checks(nats: NatsServer, **more: str) -> dict[str, Check]:
    """All lines, by name."""
    role = nats.roles["engine"]
    given = {"NATS_URL": nats.url, "WORKSPACED_USER": "engine", "WORKSPACED_PASSWORD": role.password} | more
    async with aclosing(doctor_servers.check_servers(Sources({}, given), "local")) as found:
        return {check.name: check async for check in found}


async def test_without_a_callout(nats: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, with what to start; NATS would refuse a stranger by itself, but not before its own time is over."""
    monkeypatch.setattr(doctor_servers, "CALLOUT_PATIENCE", timedelta(milliseconds=500))

    missed = (await checks(nats))["callout"]

    assert (missed.ok, missed.next) == (False, "start one: `workspaced callout`")


async def test_agents_with_a_standing_user(nats: NatsServer) -> None:
    """They need none."""
    assert "callout" not in await checks(nats, WORKSPACED_AGENT_PASSWORD=nats.roles["agent"].password)
