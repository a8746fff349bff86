"""Every subject of the wire, built; `subject_parser.parse` is the inverse (design.md section 3).

Builders check each id before it becomes a token and raise `BadRequest` with the id's field.
"""

import re
from collections.abc import Container
from typing import Final

from workspaced.bus import tokens
from workspaced.fsm.commands import COMMANDS
from workspaced.fsm.errors import BadRequest

ALL_DUE: Final = "ws.due.>"
ALL_JOBS: Final = "ws.job.>"
ALL_RESYNC: Final = "ws.resync.*"
ALL_CANCELS: Final = "ws.cancel.*"
ALL_REVOKED: Final = "ws.revoke.*"
AGENTS_CONNECTED: Final = "ws.agents"
"""The NATS servers tell the connections of agents."""
CONNECT_ADVISORY: Final = "ws.sys.connect"
"""The NATS server tells each new connection of the account."""
ALL_ADVISORIES: Final = "ws.sys.*"
LOOKS_AT_QUEUE: Final = ("ws.timer.queue.*", "ws.due.queue.*")
"""Looks at the queue of start builds: in their slots, and on their way from there."""
API_PREFIX: Final = "ws.api"
TENANT_API_PREFIX: Final = "ws.org.*.api"

_ODD_TOKEN = re.compile(r"[\s*>\x00]|^$")


def api(verb: str, tenant: str | None = None) -> str:
    """`ws.api.<verb>`, where a request goes; `ws.org.<tenant>.api.<verb>` of who is limited to that organization."""
    return f"{_prefix('api', tenant)}.{_word(verb, tokens.API_VERBS, 'verb')}"


def tenant_of(subject: str) -> str:
    """The organization that stands in `ws.org.<organization_id>.api.<verb>`. Raises BadRequest when that is no id."""
    return _id(subject.split(".")[2], "tenant")


def command(chat_id: str, verb: str) -> str:
    """`ws.cmd.<chat_id>.<verb>`, where a command is kept until it is decided."""
    return f"ws.cmd.{_id(chat_id, 'chat_id')}.{_word(verb, COMMANDS, 'verb')}"


def build_created(workspace_id: str) -> str:
    """`ws.event.<workspace_id>.build.created`: somebody else began a build."""
    return f"ws.event.{_id(workspace_id, 'workspace_id')}.build.created"


def job_event(workspace_id: str, status: str, provisioner: str | None = None) -> str:
    """`ws.event.<workspace_id>.job.<status>`: a provisioner's report; with its tag behind it where NATS checks that."""
    subject = f"ws.event.{_id(workspace_id, 'workspace_id')}.job.{_word(status, tokens.JOB_STATUSES, 'status')}"
    return subject if provisioner is None else f"{subject}.{_tag(provisioner)}"


def job_events(workspace_id: str) -> str:
    """`ws.event.<workspace_id>.job.>`: all reports on the workspace's jobs."""
    return f"ws.event.{_id(workspace_id, 'workspace_id')}.job.>"


def agent_event(workspace_id: str, agent_id: str, kind: str) -> str:
    """`ws.event.<workspace_id>.agent.<agent_id>.<kind>`, kind `connected`, `disconnected` or `lifecycle`."""
    workspace, agent = _id(workspace_id, "workspace_id"), _id(agent_id, "agent_id")
    return f"ws.event.{workspace}.agent.{agent}.{_word(kind, tokens.AGENT_KINDS, 'kind')}"


def timer(kind: str, slot: str) -> str:
    """`ws.timer.<kind>.<slot>`: a schedule's slot; publishing there again replaces it."""
    return f"ws.timer.{_word(kind, tokens.TIMER_KINDS, 'kind')}.{_id(slot, 'slot')}"


def due(kind: str, slot: str) -> str:
    """`ws.due.<kind>.<slot>`: where the server puts what was scheduled."""
    return f"ws.due.{_word(kind, tokens.TIMER_KINDS, 'kind')}.{_id(slot, 'slot')}"


def job(provisioner: str, job_id: str) -> str:
    """`ws.job.<provisioner>.<job_id>`: a job waits here for a provisioner of that tag."""
    return f"ws.job.{_tag(provisioner)}.{_id(job_id, 'job_id')}"


def jobs_of(provisioner: str) -> str:
    """`ws.job.<provisioner>.>`: all jobs of a tag."""
    return f"ws.job.{_tag(provisioner)}.>"


def cancel(job_id: str) -> str:
    """`ws.cancel.<job_id>`: stop working on it."""
    return f"ws.cancel.{_id(job_id, 'job_id')}"


def resync(workspace_id: str | None = None) -> str:
    """`ws.resync`, or `ws.resync.<workspace_id>` for one workspace: tell again what you know."""
    return "ws.resync" if workspace_id is None else f"ws.resync.{_id(workspace_id, 'workspace_id')}"


def revoke(workspace_id: str) -> str:
    """`ws.revoke.<workspace_id>`: agents of its earlier builds must go."""
    return f"ws.revoke.{_id(workspace_id, 'workspace_id')}"


def log(workspace_id: str, build_id: str, tenant: str | None = None) -> str:
    """`ws.log.<workspace_id>.<build_id>`: a build's lines; `ws.org.<tenant>.log.…` too."""
    return f"{_prefix('log', tenant)}.{_id(workspace_id, 'workspace_id')}.{_id(build_id, 'build_id')}"


def logs_of(build_id: str, tenant: str | None = None) -> str:
    """`ws.log.*.<build_id>`: a build's lines, for a reader that knows the build only."""
    return f"{_prefix('log', tenant)}.*.{_id(build_id, 'build_id')}"


def chat(chat_id: str, state: str, tenant: str | None = None) -> str:
    """`ws.chat.<chat_id>.<state>`: the announcement of a transition to that state; `ws.org.<tenant>.chat.…` too."""
    return f"{_prefix('chat', tenant)}.{_id(chat_id, 'chat_id')}.{_word(state, tokens.STATES, 'state')}"


def chat_all(chat_id: str, tenant: str | None = None) -> str:
    """`ws.chat.<chat_id>.>`: all announcements of a chat."""
    return f"{_prefix('chat', tenant)}.{_id(chat_id, 'chat_id')}.>"


def all_chats(tenant: str | None = None) -> str:
    """`ws.chat.>`: all announcements, or all of one organization."""
    return f"{_prefix('chat', tenant)}.>"


def ping(agent_id: str) -> str:
    """`ws.agent.<agent_id>.ping`: an agent answers here."""
    return f"ws.agent.{_id(agent_id, 'agent_id')}.ping"


def agent(agent_id: str) -> str:
    """`ws.agent.<agent_id>.>`: all that an agent is asked."""
    return f"ws.agent.{_id(agent_id, 'agent_id')}.>"


def kick(server_id: str) -> str:
    """`ws.kick.<server_id>`: the NATS server drops the connection that the body names."""
    if _ODD_TOKEN.search(server_id) or "." in server_id:
        raise BadRequest("server_id must be one token", field="server_id")
    return f"ws.kick.{server_id}"


def dead(subject: str) -> str:
    """`ws.dead.<original subject>`: a message that nobody could use. A token that none may publish to becomes `_`."""
    return "ws.dead." + ".".join("_" if _ODD_TOKEN.search(token) else token for token in subject.split("."))


def _prefix(kind: str, tenant: str | None) -> str:
    return f"ws.{kind}" if tenant is None else f"ws.org.{_id(tenant, 'tenant')}.{kind}"


def _id(text: str, field: str) -> str:
    if not tokens.is_uuid(text):
        raise BadRequest(f"{field} must be a UUID in canonical lower case", field=field)
    return text


def _tag(text: str) -> str:
    if not tokens.is_tag(text):
        raise BadRequest("a provisioner's tag is 1 to 64 of a-z, 0-9 and -", field="provisioner")
    return text


def _word(text: str, known: Container[str], field: str) -> str:
    if text not in known:
        raise BadRequest(f"unknown {field} {text[:100]!r}", field=field)
    return text
