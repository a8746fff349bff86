"""An engine that believes whatever it is told: the rival of the one that checks who says what.

Taken out: that ids in subjects are ids (which is what keeps one subject from standing for others), that an agent's
report is of the latest build, that build, number and job of a provisioner's report belong together, and that a command
is of the chat's own organization.
"""

from collections.abc import Mapping
from datetime import datetime

from workspaced.bus import subjects
from workspaced.fsm import apply, merge, merge_agent
from workspaced.fsm.events import AgentConnected, AgentDisconnected, AgentEvent
from workspaced.fsm.facts import Facts
from workspaced.fsm.merge import Merged
from workspaced.fsm.values import Connection


def believe() -> None:
    """From now on, in this process."""
    subjects._checked = lambda _field, token, _subject: token
    subjects._id = subjects._tag = lambda text, _field="": text
    subjects._word = lambda text, _known, _field: text
    merge._names = lambda _build, _report: True
    apply.merge_agent = _merge_agent
    apply.strangers_refusal = lambda _world, _command, _tenant: None


def _merge_agent(
    facts: Facts,
    agent_id: str,
    event: AgentEvent,
    at: datetime,
    received: datetime,
    departed: Mapping[Connection, datetime],
) -> Merged:
    """`merge_agent` without a look at the build."""
    agent = facts.agent(agent_id)
    connection = (event.server_id, event.client_id)
    if isinstance(event, AgentConnected):
        after = merge_agent._connected(agent, connection, at, received, departed.get(connection))
    elif isinstance(event, AgentDisconnected):
        after = merge_agent._closed(agent, connection, at)
    else:
        after = merge_agent._lifecycle(agent, connection, event.state, at)
    return Merged(facts, stale=after) if isinstance(after, str) else Merged(merge_agent.with_agent(facts, after))
