"""What there is to say when a wait is over: build errors, quota errors, readiness (domain.md 3.2 and 3.4)."""

from datetime import UTC
from typing import Any, Literal

from workspaced.bus.binding import external_text
from workspaced.fsm.chat import Failure
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State
from workspaced.tools import texts
from workspaced.tools.result import ToolResult, some

Action = Literal["create", "start"]
BUILDING = (State.CREATING, State.BUILDING)


def build_error(prefix: str, cause: str, build_id: str | None) -> ToolResult:
    """A build that did not do what was wanted."""
    return ToolResult({"error": f"{prefix}: {cause}"} | some(build_id=build_id))


def not_up(prefix: str, action: Action, snapshot: Snapshot, build_id: str | None) -> ToolResult | None:
    """The build error with which a wait for ready ended; None when there is a running workspace to tell of."""
    failure = snapshot.failure
    if snapshot.state in BUILDING:
        return build_error(prefix, still_waiting(snapshot), build_id)
    if snapshot.state is State.IDLE:
        return build_error(prefix, _gone(snapshot), build_id)
    if failure is None or failure.phase not in BUILDING:
        return None
    if failure.code == "insufficient_quota":
        return _quota_error(prefix, action, failure, build_id)
    return build_error(prefix, failure.message, build_id)


def stop_cause(snapshot: Snapshot) -> str:
    """Why a stop or delete build did not succeed, or that nobody waited so long."""
    workspace = snapshot.workspace
    if workspace is None or workspace.job_status not in {"failed", "canceled"}:
        return still_waiting(snapshot)
    if workspace.job_status == "canceled":
        return texts.BUILD_CANCELED
    return workspace.job_error or texts.BUILD_FAILED


def still_waiting(snapshot: Snapshot) -> str:
    """The caller stopped waiting."""
    since = snapshot.entered_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return texts.STILL_WAITING.format(state=snapshot.state, since=since)


def readiness(snapshot: Snapshot) -> dict[str, Any]:
    """What a running workspace still lacks; nothing when it is ready."""
    failure = snapshot.failure
    if failure is not None:
        return _failed(snapshot, failure)
    if snapshot.state in {State.BINDING, State.CONNECTING}:
        return {"agent_status": "not_ready", "agent_error": _external(snapshot) or texts.STOPPED_WAITING}
    if snapshot.state is State.STARTING:
        return {"startup_scripts": "startup_scripts_unknown"}
    return {}


def _failed(snapshot: Snapshot, failure: Failure) -> dict[str, Any]:
    match failure.phase, failure.code:
        case State.BINDING, "selection_error":
            return {"agent_status": "selection_error", "agent_error": failure.message}
        case State.BINDING, _:
            return {"agent_status": "no_agent"}
        case State.CONNECTING, _:
            return {"agent_status": "not_ready", "agent_error": _external(snapshot) or failure.message}
        case _, "startup_timeout":
            return {"startup_scripts": "startup_scripts_timeout"}
        case _:
            return {"startup_scripts": "startup_scripts_failed"} | some(lifecycle_state=snapshot.lifecycle)


def _external(snapshot: Snapshot) -> str | None:
    return external_text(snapshot.agent) if snapshot.agent and snapshot.agent.external else None


def _gone(snapshot: Snapshot) -> str:
    workspace = snapshot.workspace
    gone = workspace is None or workspace.deleted or workspace.transition == "delete"
    return texts.WAS_DELETED if gone else texts.WAS_STOPPED


def _quota_error(prefix: str, action: Action, failure: Failure, build_id: str | None) -> ToolResult:
    quota = failure.quota
    told = {
        "error": f"{prefix}: {failure.message}",
        "error_code": "INSUFFICIENT_QUOTA",
        "title": texts.QUOTA_TITLE,
        "message": texts.QUOTA_MESSAGE.format(action=action),
    } | some(build_id=build_id)
    if quota is not None:
        told["quota"] = {"credits_consumed": quota.credits_consumed, "budget": quota.budget}
    return ToolResult(told)


def build_to_report(snapshot: Snapshot, at_reply: Snapshot | None, awaited: str | None) -> str | None:
    """The awaited build, or the newer start build that took over; None while there is neither."""
    workspace = snapshot.workspace
    newest = snapshot.build_id if workspace is not None and workspace.transition == "start" else None
    if awaited is None:
        return newest if at_reply is not None and newest != at_reply.build_id else None
    return newest or awaited
