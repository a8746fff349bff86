"""One chat as fields."""

from pathlib import Path

from workspaced.app.clock import utc_now
from workspaced.app.config import WORKSPACES
from workspaced.app.render import ago
from workspaced.app.story import note, status_line
from workspaced.fsm.snapshot import Snapshot


def fields_of(snapshot: Snapshot, folder: Path) -> list[tuple[str, object]]:
    """Names and values, the important ones first; `folder` is the local stack's."""
    workspace, agent, now = snapshot.workspace, snapshot.agent, utc_now()
    fields: list[tuple[str, object]] = [
        ("chat", snapshot.chat_id),
        ("state", snapshot.state),
        ("", note(snapshot)),
        ("stands", status_line(snapshot, now)),
        ("version", snapshot.version),
        ("cause", f"{snapshot.cause.event}, {ago(snapshot.cause.at, now)} ago" if snapshot.cause else ""),
    ]
    if workspace is not None:
        own = folder / WORKSPACES / workspace.id
        fields += [
            ("workspace", f"{workspace.owner_name}/{workspace.name}"),
            ("", workspace.id),
            ("folder", own if own.exists() else ""),
            ("template", workspace.template_id),
            ("build", snapshot.build_id),
        ]
        if workspace.transition:
            fields.append(("", f"{workspace.transition} build {workspace.build_number} {workspace.job_status}"))
    if agent is not None:
        fields += [
            ("agent", f"{agent.name}, {agent.link} for {ago(agent.link_since, now)}, lifecycle {snapshot.lifecycle}"),
            ("", snapshot.agent_id),
            ("output", _output(folder, snapshot)),
        ]
    if snapshot.failure is not None:
        again = "may succeed" if snapshot.failure.retryable else "will fail again unless something changes"
        fields.append(("retry", f"the same command {again}"))
    return fields


def _output(folder: Path, snapshot: Snapshot) -> Path | None:
    """Where the startup script of a workspace on this machine writes."""
    if snapshot.workspace is None:
        return None
    log = folder / WORKSPACES / snapshot.workspace.id / ".workspaced" / f"{snapshot.agent_id}.startup.log"
    return log if log.exists() else None
