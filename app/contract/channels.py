"""Every channel of the wire: where, from whom, to whom, with which body.

The subjects stand here as authors of other programs read them; a test holds them against `bus/subject_parser.py`,
so that none is missing and none is invented.
"""

from typing import Final, Literal

from msgspec import Struct, structs

from workspaced.bus import messages, streams, subjects
from workspaced.fsm.commands import COMMANDS, VERBS, Command
from workspaced.fsm.effects import Job, Timed
from workspaced.fsm.events import AgentConnected, AgentDisconnected, BuildCreated, JobReport, LifecycleChanged
from workspaced.fsm.snapshot import Snapshot

Party = Literal["engine", "chatd", "admin", "inspector", "provisioner", "agent", "callout", "server"]
Kind = Literal["request", "event", "order", "announcement", "internal"]

ENGINE: Final[Party] = "engine"
DAEMONS: Final[tuple[Party, ...]] = ("chatd", "admin")
LOOKERS: Final[tuple[Party, ...]] = ("chatd", "inspector", "admin")
ADMIN: Final[tuple[Party, ...]] = ("admin",)
WATCHERS: Final[tuple[Party, ...]] = ("inspector", "admin")
TENANT_LOOKS: Final = ("get", "list", "history", "logs", "templates.get", "templates.list")
"""What who is limited to an organization may ask besides commands."""


class Channel(Struct, frozen=True, kw_only=True):
    """One kind of subject. `body` None: any bytes, or the NATS server's own format."""

    name: str
    address: str
    """With `{field}` where an id or a word stands."""
    kind: Kind
    senders: tuple[Party, ...]
    receivers: tuple[Party, ...]
    body: object
    """A struct, or a union of structs."""
    summary: str
    reply: object = None
    stream: str | None = None
    ce_type: str | None = None
    """Of the CloudEvents headers, which the engine always sends and others may; `<…>` where a word stands."""
    headers: tuple[str, ...] = ()
    """Names in `words.HEADERS` that such messages carry besides the message id."""
    same_as: str | None = None
    """The channel whose messages and answers these are too."""


def stream_of(address: str) -> str | None:
    """The stream that keeps messages of this address."""
    first, second = address.split(".")[:2]
    kept = {text.split(".")[1]: name for name, texts in streams.SUBJECTS.items() for text in texts}
    return kept.get(second) if first == "ws" else None


def _request(verb: str, body: object, reply: object, senders: tuple[Party, ...], summary: str) -> Channel:
    return Channel(
        name=f"api.{verb}",
        address=subjects.api(verb),
        kind="request",
        senders=senders,
        receivers=(ENGINE,),
        body=body,
        reply=reply,
        summary=summary,
    )


def _kept(address: str, **fields: object) -> Channel:
    name = ".".join(token for token in address.split(".")[1:] if not token.startswith("{"))
    return Channel(**{"name": name, "address": address, "stream": stream_of(address)} | fields)  # type: ignore[arg-type]  # fields of Channel


def _summary(kind: type[Command]) -> str:
    return (kind.__doc__ or VERBS[kind]).partition(" (")[0].rstrip(".") + "."


_COMMANDS: Final = tuple(
    _request(verb, kind, messages.Reply, DAEMONS, _summary(kind)) for verb, kind in COMMANDS.items()
)

_LOOKS: Final = (
    _request("get", messages.GetChat, Snapshot, LOOKERS, "One chat as it stands."),
    _request(
        "list",
        messages.ListRequest,
        messages.ChatList | messages.WorkspaceList,
        LOOKERS,
        "Chats, or workspaces, by page.",
    ),
    _request("history", messages.HistoryRequest, messages.History, LOOKERS, "How a chat got where it stands."),
    _request("logs", messages.LogsRequest, messages.Logs, LOOKERS, "A build's log, by page."),
    _request("dead", messages.DeadRequest, messages.DeadList, WATCHERS, "Messages that nobody could use."),
    _request("templates.put", messages.PutTemplate, messages.TemplateReply, ADMIN, "Make a template, or replace it."),
    _request("templates.get", messages.TemplateRequest, messages.TemplateReply, LOOKERS, "One template."),
    _request("templates.list", messages.TemplatesRequest, messages.Templates, LOOKERS, "Templates, ten a page."),
    _request("templates.delete", messages.TemplateRequest, messages.Deleted, ADMIN, "Delete a template nobody uses."),
    _request("settings.get", messages.Empty, messages.SettingsReply, LOOKERS, "The settings in force."),
    _request("settings.put", messages.PutSettings, messages.SettingsReply, ADMIN, "Change settings, all or nothing."),
)

_OF_TENANTS: Final = tuple(
    structs.replace(
        channel,
        name=f"org.{channel.name}",
        address=channel.address.replace(subjects.API_PREFIX, "ws.org.{organization_id}.api"),
        senders=tuple(party for party in channel.senders if party != "admin"),
        same_as=channel.name,
    )
    for channel in (*_COMMANDS, *_LOOKS)
    if channel.name.removeprefix("api.") in {*COMMANDS, *TENANT_LOOKS}
)

_PROVISIONING: Final = (
    _kept(
        "ws.job.{provisioner}.{job_id}",
        kind="order",
        senders=(ENGINE,),
        receivers=("provisioner",),
        body=Job,
        summary="A build to carry out; taken from the work queue by a pull of the tag's consumer.",
        ce_type="workspaced.job.<transition>",
        headers=("traceparent",),
    ),
    _kept(
        "ws.cancel.{job_id}",
        kind="order",
        senders=(ENGINE,),
        receivers=("provisioner",),
        body=messages.CancelJob,
        summary="Stop working on a job.",
    ),
    _kept(
        "ws.resync",
        kind="order",
        senders=(ENGINE,),
        receivers=("provisioner", "agent"),
        body=messages.Resync,
        summary="Everybody tells again what they know.",
    ),
    _kept(
        "ws.resync.{workspace_id}",
        name="resync.workspace",
        kind="order",
        senders=(ENGINE,),
        receivers=("provisioner", "agent"),
        body=messages.Resync,
        summary="Those of one workspace tell again what they know.",
    ),
    _kept(
        "ws.event.{workspace_id}.job.{status}",
        kind="event",
        senders=("provisioner",),
        receivers=(ENGINE,),
        body=JobReport,
        summary="How a job stands.",
        ce_type="workspaced.event.job.<status>",
        headers=("traceparent",),
    ),
    _kept(
        "ws.event.{workspace_id}.job.{status}.{provisioner}",
        name="event.job.tagged",
        kind="event",
        senders=("provisioner",),
        receivers=(ENGINE,),
        body=JobReport,
        summary="The same from a provisioner whose NATS user is limited to its tag.",
        ce_type="workspaced.event.job.<status>",
        headers=("traceparent",),
    ),
    _kept(
        "ws.event.{workspace_id}.build.created",
        kind="event",
        senders=("provisioner",),
        receivers=(ENGINE,),
        body=BuildCreated,
        summary="A build was begun that the engine did not ask for.",
        ce_type="workspaced.event.build.created",
    ),
    _kept(
        "ws.log.{workspace_id}.{build_id}",
        kind="event",
        senders=("provisioner",),
        receivers=(ENGINE, "chatd"),
        body=messages.LogLine | messages.LogEnd,
        summary="A line of a build's log, or its end.",
    ),
    _kept(
        "ws.org.{organization_id}.log.{workspace_id}.{build_id}",
        kind="event",
        senders=("provisioner",),
        receivers=("chatd",),
        body=messages.LogLine | messages.LogEnd,
        summary="The same for who is limited to that organization, from provisioners that have `tenants` on.",
        same_as="log",
    ),
)

_AGENTS: Final = (
    *(
        _kept(
            f"ws.event.{{workspace_id}}.agent.{{agent_id}}.{kind}",
            kind="event",
            senders=("agent",),
            receivers=(ENGINE,),
            body=body,
            summary=summary,
            ce_type=f"workspaced.event.agent.{kind}",
        )
        for kind, body, summary in (
            ("connected", AgentConnected, "An agent names the connection it is on."),
            ("disconnected", AgentDisconnected, "An agent is about to close its connection."),
            ("lifecycle", LifecycleChanged, "How far an agent is with its scripts."),
        )
    ),
    _kept(
        "ws.agent.{agent_id}.ping",
        kind="request",
        senders=("chatd",),
        receivers=("agent",),
        body=messages.Empty,
        reply=messages.Pong,
        summary="The dial: is the agent there, and how far is it?",
    ),
)

_ANNOUNCED: Final = (
    _kept(
        "ws.chat.{chat_id}.{state}",
        kind="announcement",
        senders=(ENGINE,),
        receivers=("chatd", "inspector"),
        body=messages.Push,
        summary="One committed transition.",
        ce_type="workspaced.chat.<state>",
        headers=("traceparent",),
    ),
    _kept(
        "ws.org.{organization_id}.chat.{chat_id}.{state}",
        kind="announcement",
        senders=(ENGINE,),
        receivers=("chatd", "inspector"),
        body=messages.Push,
        summary="The same for who is limited to that organization, where engines have `tenants` on.",
        ce_type="workspaced.chat.<state>",
        headers=("traceparent",),
    ),
    _kept(
        "ws.dead.{subject}",
        kind="announcement",
        senders=(ENGINE,),
        receivers=ADMIN,
        body=None,
        summary="A message that nobody could use, unchanged, with the reason in its headers.",
        headers=("Ws-Dead-Reason", "Ws-Dead-Detail", "Ws-Dead-Stream", "Ws-Dead-Sequence"),
    ),
)

_INTERNAL: Final = (
    *(
        _kept(
            f"ws.cmd.{{chat_id}}.{verb}",
            kind="internal",
            senders=(ENGINE,),
            receivers=(ENGINE,),
            body=body,
            summary=f"A `{verb}` that was taken and is not decided yet.",
            headers=("Ws-Reply", "Ws-Organization", "traceparent"),
        )
        for verb, body in COMMANDS.items()
    ),
    _kept(
        "ws.timer.{kind}.{id}",
        kind="internal",
        senders=(ENGINE,),
        receivers=("server",),
        body=Timed,
        summary="A deadline in its slot: a scheduled message (ADR-51).",
        headers=("Nats-Schedule", "Nats-Schedule-Target"),
    ),
    _kept(
        "ws.due.{kind}.{id}",
        kind="internal",
        senders=("server",),
        receivers=(ENGINE,),
        body=Timed,
        summary="A deadline that has come.",
    ),
    _kept(
        "ws.revoke.{workspace_id}",
        kind="internal",
        senders=(ENGINE,),
        receivers=("callout",),
        body=messages.Revoked,
        summary="Agents of the workspace's earlier builds are turned out.",
    ),
    _kept(
        "ws.agents",
        kind="internal",
        senders=(ENGINE,),
        receivers=("server",),
        body=None,
        summary="Which agents are connected? The server answers with its own format (CONNZ).",
    ),
    _kept(
        "ws.kick.{server_id}",
        kind="internal",
        senders=("callout",),
        receivers=("server",),
        body=None,
        summary="Drop a connection.",
    ),
    _kept(
        "ws.sys.{advisory}",
        kind="internal",
        senders=("server",),
        receivers=(ENGINE,),
        body=None,
        summary="The NATS server's own advisory of a client that came (`connect`) or went (`disconnect`).",
    ),
)

_REQUESTS: Final = (*_COMMANDS, *_LOOKS, *_OF_TENANTS)

CHANNELS: Final[tuple[Channel, ...]] = (*_REQUESTS, *_PROVISIONING, *_AGENTS, *_ANNOUNCED, *_INTERNAL)


def of(party: Party) -> tuple[Channel, ...]:
    """The channels that a party sends to or receives from."""
    return tuple(channel for channel in CHANNELS if party in (*channel.senders, *channel.receivers))
