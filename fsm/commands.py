"""What a chat daemon asks for: the bodies of `ws.api.<verb>` and `ws.cmd.<chat>.<verb>` (wire.md section 2)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from workspaced.fsm.values import END, Id, Parameters, RequestId

OwnerName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]+(-[A-Za-z0-9]+)*" + END,
        min_length=1,
        max_length=32,
        description="the name before the slash",
    ),
]


class Owner(Struct, frozen=True):
    """Who a chat and its workspace belong to."""

    id: Id
    name: OwnerName


class Create(Struct, frozen=True, kw_only=True):
    """Give the chat a workspace, or tell which one it has (domain.md 2.2)."""

    chat_id: Id
    request_id: RequestId
    actor_id: Id | None = None
    owner: Owner
    organization_id: Id
    template_id: str
    name: str | None = None
    parameters: Parameters | None = None
    preset_id: str | None = None
    parent_chat_id: Id | None = None


class Attach(Struct, frozen=True, kw_only=True):
    """Bind the chat to a workspace that exists, or to another chat's (domain.md 2.5)."""

    chat_id: Id
    request_id: RequestId
    actor_id: Id | None = None
    owner: Owner
    organization_id: Id
    workspace_id: Id | None = None
    from_chat_id: Id | None = None


class Start(Struct, frozen=True, kw_only=True):
    """Start the chat's workspace (domain.md 2.3)."""

    chat_id: Id
    request_id: RequestId
    actor_id: Id | None = None
    parameters: Parameters | None = None


class Restart(Struct, frozen=True, kw_only=True):
    """Stop the chat's workspace, then start it (domain.md 2.4)."""

    chat_id: Id
    request_id: RequestId
    actor_id: Id | None = None
    parameters: Parameters | None = None


class Stop(Struct, frozen=True, kw_only=True):
    """Stop the chat's workspace and keep it (domain.md 2.4)."""

    chat_id: Id
    request_id: RequestId
    actor_id: Id | None = None


class Delete(Struct, frozen=True, kw_only=True):
    """Delete the chat's workspace (domain.md 2.4)."""

    chat_id: Id
    request_id: RequestId
    actor_id: Id | None = None


class Cancel(Struct, frozen=True, kw_only=True):
    """Give up what is on its way (domain.md 2.4)."""

    chat_id: Id
    request_id: RequestId
    actor_id: Id | None = None


class Unreachable(Struct, frozen=True, kw_only=True):
    """Report that the bound agent could not be reached (domain.md 2.5)."""

    chat_id: Id
    request_id: RequestId
    actor_id: Id | None = None
    workspace_id: Id
    build_id: Id
    agent_id: Id
    reason: Annotated[str, Meta(max_length=4096)] = ""


class Touch(Struct, frozen=True, kw_only=True):
    """Tell that the workspace is in use, which sets its TTL anew (wire.md section 2)."""

    chat_id: Id
    request_id: RequestId
    actor_id: Id | None = None


Command = Create | Attach | Start | Restart | Stop | Delete | Cancel | Unreachable | Touch

Verb = Literal["create", "attach", "start", "restart", "stop", "delete", "cancel", "unreachable", "touch"]

COMMANDS: dict[str, type[Command]] = {
    "create": Create,
    "attach": Attach,
    "start": Start,
    "restart": Restart,
    "stop": Stop,
    "delete": Delete,
    "cancel": Cancel,
    "unreachable": Unreachable,
    "touch": Touch,
}
VERBS: dict[type[Command], str] = {kind: verb for verb, kind in COMMANDS.items()}

Outcome = Literal["accepted", "attached", "exists", "stopped", "conflict", "queued"]
