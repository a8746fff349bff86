"""A connection that several agents name as theirs: the server says whose it was (issue 6)."""

import pytest
from msgspec.structs import replace

from tests.builders import AGENT, NOW, WORKSPACE, CountedIds, a_build, a_job_report, a_workspace, an_agent, an_id
from workspaced.fsm.agent_secret import AgentSecrets
from workspaced.fsm.apply import apply
from workspaced.fsm.builds import Wish, begin_build
from workspaced.fsm.effects import PublishJob, RevokeAgents
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import ConnectionLost
from workspaced.fsm.facts import Facts
from workspaced.fsm.inputs import Input, WorkspaceEvent
from workspaced.fsm.rows import Loaded
from workspaced.fsm.settings import Settings
from workspaced.fsm.world import World

OTHER, HOSTILE = an_id(101), an_id(901)


def a_world(*, reverse: bool) -> World:
    """Two workspaces whose agents name the same connection."""
    build = a_build(status="succeeded")
    agents = [an_agent(connected=True), an_agent(HOSTILE, connected=True, workspace_id=OTHER, build_id=an_id(1501))]
    loaded = Loaded(
        workspaces=[a_workspace(), a_workspace(id=OTHER)],
        builds=[build, replace(build, id=an_id(1501), workspace_id=OTHER)],
        agents=agents[::-1] if reverse else agents,
    )
    return World(loaded, NOW, CountedIds(), Settings())


@pytest.mark.parametrize("reverse", [False, True])
def test_a_lost_connection_is_its_owners(reverse: bool) -> None:  # a parameter of pytest's
    """Whoever else named it has lost nothing, and hides nothing."""
    world = a_world(reverse=reverse)
    apply(world, Input("k", "i", NOW, NOW, "ws.sys.disconnect", ConnectionLost("S", 1, agent_id=AGENT)))

    gone = {key: facts.agents[0].gone for key, facts in world.facts.items()}
    assert gone == {WORKSPACE: True, OTHER: False}


def test_a_connection_of_nobody_known_is_noted() -> None:
    """An agent whose `connected` is still to come was on it; another one named it."""
    world = a_world(reverse=False)
    apply(world, Input("k", "i", NOW, NOW, "ws.sys.disconnect", ConnectionLost("S", 1, agent_id=an_id(902))))

    assert [facts.agents[0].gone for facts in world.facts.values()] == [False, False]
    assert world.links.departed == {("S", 1): NOW}


def test_a_start_build_has_a_secret_and_the_next_build_revokes_it() -> None:
    """The row has the hash, the recorded job nothing, and a stop has no secret of its own."""
    secrets = AgentSecrets("key")
    world = World(Loaded(), NOW, CountedIds(), Settings(), secrets=secrets)
    first, begun = begin_build(world, Facts(a_workspace()), "start", Wish())
    second, stopping = begin_build(world, first, "stop", Wish())

    assert first.build is not None
    assert second.build is not None
    assert (first.build.agent_secret_hash, second.build.agent_secret_hash) == (secrets.hash_of(first.build.id), None)
    jobs = [effect for effect in begun + stopping if isinstance(effect, PublishJob)]
    assert [(each.with_secret, each.job.agent_secret) for each in jobs] == [(True, None), (False, None)]
    assert [effect for effect in stopping if isinstance(effect, RevokeAgents)] == [
        RevokeAgents(WORKSPACE, second.build.id)
    ]
    assert repr(secrets) == "AgentSecrets(...)"


@pytest.mark.parametrize("tag", [None, "local"])
def test_a_report_of_the_builds_own_provisioner_counts(tag: str | None) -> None:
    """Named by NATS, or by nobody where one user speaks for all tags."""
    world = World(Loaded(workspaces=[a_workspace()], builds=[a_build()]), NOW, CountedIds(), Settings())
    apply(world, a_report(tag))

    build = world.facts[WORKSPACE].build
    assert build is not None
    assert build.reported == "failed"


def test_a_report_of_another_tags_provisioner_does_not() -> None:
    """Whatever ids it has come by."""
    world = World(Loaded(workspaces=[a_workspace()], builds=[a_build()]), NOW, CountedIds(), Settings())
    with pytest.raises(UndecodableMessage) as refused:
        apply(world, a_report("gpu"))

    assert refused.value.reason == "mismatch"


def a_report(tag: str | None) -> Input:
    """Of the build's failure."""
    told = WorkspaceEvent(WORKSPACE, a_job_report(a_build(), "failed"), provisioner=tag)
    return Input("k", "i", NOW, NOW, "ws.event", told)
