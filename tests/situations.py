"""Where a chat may stand: each situation is reached by commands, reports and deadlines alone."""

from collections.abc import Callable

from tests.builders import CHAT, a_template
from tests.stage import Stage
from workspaced.fsm.settings import settings_from


def _creating(stage: Stage) -> None:
    stage.create()


def _building(stage: Stage) -> None:
    _creating(stage)
    stage.job("running")


def _canceling(stage: Stage) -> None:
    _building(stage)
    stage.cancel()


def _binding(stage: Stage) -> None:
    _building(stage)
    stage.job("succeeded")


def _connecting(stage: Stage) -> None:
    _building(stage)
    stage.built()


def _starting(stage: Stage) -> None:
    _connecting(stage)
    stage.connected()
    stage.lifecycle("starting")


def _ready(stage: Stage) -> None:
    _starting(stage)
    stage.lifecycle("ready")


def _reconnecting(stage: Stage) -> None:
    _ready(stage)
    stage.lost()


def _stopping(stage: Stage) -> None:
    _ready(stage)
    stage.stop()


def _restarting(stage: Stage) -> None:
    _ready(stage)
    stage.restart()


def _stopped(stage: Stage) -> None:
    _stopping(stage)
    stage.job("running")
    stage.job("succeeded")


def _stop_failed(stage: Stage) -> None:
    _stopping(stage)
    stage.job("running")
    stage.job("failed", error="no answer")


def _stop_canceled(stage: Stage) -> None:
    _stopping(stage)
    stage.job("canceled")


def _deleting(stage: Stage) -> None:
    _ready(stage)
    stage.delete()


def _stopping_then_delete(stage: Stage) -> None:
    _stopping(stage)
    stage.delete()


def _deleted(stage: Stage) -> None:
    _deleting(stage)
    stage.job("running")
    stage.job("succeeded")


def _delete_failed(stage: Stage) -> None:
    _deleting(stage)
    stage.job("running")
    stage.job("failed", error="still mounted")


def _no_workspace(stage: Stage) -> None:
    stage.chat_id = "00000000-0000-0000-0000-0000000000ff"
    stage.create()
    stage.delete()
    stage.job("succeeded")
    parent, stage.chat_id = stage.chat_id, CHAT
    stage.attach(from_chat_id=parent)


def _not_taken(stage: Stage) -> None:
    _creating(stage)
    stage.expire()


def _build_timeout(stage: Stage) -> None:
    _building(stage)
    stage.expire()


def _failed_untaken(stage: Stage) -> None:
    _creating(stage)
    stage.job("failed", error="no such image")


def _build_failed(stage: Stage) -> None:
    _building(stage)
    stage.job("failed", error="no such image")


def _quota(stage: Stage) -> None:
    _building(stage)
    stage.job("failed", error="quota is full", error_code="INSUFFICIENT_QUOTA")


def _canceled_untaken(stage: Stage) -> None:
    _creating(stage)
    stage.cancel()


def _canceled(stage: Stage) -> None:
    _canceling(stage)
    stage.job("canceled")


def _no_agent(stage: Stage) -> None:
    _building(stage)
    stage.job("succeeded", agents=())


def _selection_error(stage: Stage) -> None:
    _building(stage)
    stage.built(stage.an_agent_report("a-coderd-chat"), stage.an_agent_report("b-coderd-chat"))


def _agents_unknown(stage: Stage) -> None:
    _binding(stage)
    stage.expire()


def _never_connected(stage: Stage) -> None:
    """The link is still `connecting`, for this agent has five minutes."""
    _building(stage)
    stage.built(stage.an_agent_report(connection_timeout_seconds=300))
    stage.expire()


def _link_timeout(stage: Stage) -> None:
    _connecting(stage)
    stage.expire()
    stage.wait(1)


def _agent_disconnected(stage: Stage) -> None:
    """The grace has just run out, so the link is `disconnected` for not longer than it."""
    _reconnecting(stage)
    stage.expire()


def _long_disconnected(stage: Stage) -> None:
    _agent_disconnected(stage)
    stage.wait(1)


def _startup_timeout(stage: Stage) -> None:
    _starting(stage)
    stage.expire()


def _startup_timeout_lost(stage: Stage) -> None:
    _startup_timeout(stage)
    stage.lost()


def _startup_failed(stage: Stage) -> None:
    _starting(stage)
    stage.lifecycle("start_error")


def _startup_failed_lost(stage: Stage) -> None:
    _startup_failed(stage)
    stage.lost()


def _startup_failed_long_lost(stage: Stage) -> None:
    _startup_failed_lost(stage)
    stage.wait(31)


def _ended_by_limit_then_built(stage: Stage) -> None:
    _building(stage)
    stage.limit()
    stage.built()


SITUATIONS: dict[str, Callable[[Stage], None]] = {
    "creating": _creating,
    "building": _building,
    "canceling": _canceling,
    "binding": _binding,
    "connecting": _connecting,
    "reconnecting": _reconnecting,
    "starting": _starting,
    "ready": _ready,
    "no_workspace": _no_workspace,
    "stopping": _stopping,
    "restarting": _restarting,
    "stopping_then_delete": _stopping_then_delete,
    "stopped": _stopped,
    "stop_failed": _stop_failed,
    "stop_canceled": _stop_canceled,
    "deleting": _deleting,
    "deleted": _deleted,
    "delete_failed": _delete_failed,
    "not_taken": _not_taken,
    "build_timeout": _build_timeout,
    "failed_untaken": _failed_untaken,
    "build_failed": _build_failed,
    "quota": _quota,
    "canceled_untaken": _canceled_untaken,
    "canceled": _canceled,
    "no_agent": _no_agent,
    "selection_error": _selection_error,
    "agents_unknown": _agents_unknown,
    "never_connected": _never_connected,
    "link_timeout": _link_timeout,
    "agent_disconnected": _agent_disconnected,
    "long_disconnected": _long_disconnected,
    "startup_timeout": _startup_timeout,
    "startup_timeout_lost": _startup_timeout_lost,
    "startup_failed": _startup_failed,
    "startup_failed_lost": _startup_failed_lost,
    "startup_failed_long_lost": _startup_failed_long_lost,
    "ended_by_limit_then_built": _ended_by_limit_then_built,
}


def a_chat_in(situation: str, *, stage: Stage | None = None) -> Stage:
    """A stage whose chat stands there."""
    stage = stage or Stage()
    SITUATIONS[situation](stage)
    return stage


def a_stage_with_ttl(ttl: str = "8h") -> Stage:
    """A stage whose workspaces live for `ttl` after they were ready."""
    return Stage(settings=settings_from({"workspace_ttl": ttl}))


def a_stage_without_cancel() -> Stage:
    """A stage whose template does not allow canceling."""
    return Stage(templates=[a_template(allow_user_cancel=False)])
