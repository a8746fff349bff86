"""Every text that a language model reads, as data: what the tools are for, and what they answer in words.

Fields in braces are filled in by the tool. Source: domain.md section 3.
"""

from typing import Any, Final

CREATE: Final = (
    "Create the workspace of this chat from a template, and wait until it is ready to use. Create a workspace only "
    "when workspace-backed work (reading files, running commands, editing) is needed or the user explicitly asks for "
    "one; do not use this as a default first step. Safe to repeat: a workspace that is building or running is returned."
)
START: Final = (
    "Start this chat's workspace after it was stopped or failed to come up, and wait until it is ready to use. Safe to "
    "repeat: a workspace that is starting or running is returned. Needs a workspace: use create_workspace first."
)
STOP: Final = (
    "Stop this chat's workspace and wait until it is stopped. Nothing in it is deleted; start_workspace brings it back."
)
LIST: Final = "List the templates that create_workspace can use, ten on a page, those that most people work with first."
READ: Final = "Read one template: what it is for, which parameters it takes, and its presets."
LOGS: Final = (
    "Read the log of a build of this chat's workspace, at most 400 lines at a time, oldest first. For more, ask again "
    "with the id of the last line while has_more is true."
)

_TEMPLATE_ID: Final = {"type": "string", "description": "The id of a template, a UUID; list_templates has them."}


def _parameters(said: str) -> dict[str, Any]:
    return {"type": "object", "description": said, "additionalProperties": {"type": "string"}}


def _schema(*required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


DEFINITIONS: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "create_workspace",
        "description": CREATE,
        "input_schema": _schema(
            "template_id",
            template_id=_TEMPLATE_ID,
            name={
                "type": "string",
                "description": "Letters, digits and single hyphens, at most 32. One is made when left out.",
            },
            parameters=_parameters(
                "Values for the template's parameters, by name; read_template tells which there are."
            ),
            preset_id={"type": "string", "description": "The id of one of the template's presets."},
        ),
    },
    {
        "name": "start_workspace",
        "description": START,
        "input_schema": _schema(
            parameters=_parameters("New values for parameters, by name; the others keep their values.")
        ),
    },
    {"name": "stop_workspace", "description": STOP, "input_schema": _schema()},
    {
        "name": "list_templates",
        "description": LIST,
        "input_schema": _schema(
            query={"type": "string", "description": "A part of the name or the description."},
            page={"type": "integer", "description": "Which page, from 1."},
        ),
    },
    {"name": "read_template", "description": READ, "input_schema": _schema("template_id", template_id=_TEMPLATE_ID)},
    {
        "name": "get_workspace_build_logs",
        "description": LOGS,
        "input_schema": _schema(
            build_id={"type": "string", "description": "The id of the build; the latest one when left out."},
            after_id={"type": "integer", "description": "Only lines after the one with this id."},
        ),
    },
)

NOT_CONFIGURED: Final = {
    "create_workspace": "workspace creator is not configured",
    "start_workspace": "workspace starter is not configured",
    "stop_workspace": "workspace stopper is not configured",
    "list_templates": "template catalogue is not configured",
    "read_template": "template catalogue is not configured",
    "get_workspace_build_logs": "build logs are not configured",
}
UNKNOWN_TOOL: Final = "unknown tool: {name}"
INVALID_INPUT: Final = "invalid input: {fault}"
LOAD_CHAT: Final = "load chat: {cause}"
QUEUED: Final = (
    "the command is taken and will be carried out, but is not confirmed yet; call again to learn how it went"
)
INTERNAL: Final = {"start_workspace": "start workspace: {text}", "stop_workspace": "stop workspace: {text}"}
"""Before the text of an internal error; tools that are not named say the text itself."""
REQUEST_FAILED: Final = "request failed"

TEMPLATE_ID_REQUIRED_TO_CREATE: Final = "template_id is required; use list_templates to find one"
TEMPLATE_ID_REQUIRED: Final = "template_id is required"
INVALID_TEMPLATE_ID: Final = "invalid template_id: {reason}"
TEMPLATE_NOT_FOUND: Final = "template not found"
TEMPLATE_NOT_ALLOWED: Final = "template not available for chat workspaces; use list_templates to find allowed templates"
PARAMETERS_NOTE: Final = (
    "A parameter's default is what a build uses when the parameter is left out. A preset marked default is not applied "
    "by itself: pass its preset_id to use it."
)
NO_BUILD: Final = "chat has no workspace; use create_workspace first"
BUILD_NOT_FOUND: Final = "build not found: it is none of this chat's; leave build_id out for the latest one"
INVALID_BUILD_ID: Final = "invalid build_id: {reason}"

CREATE_FAILED: Final = "workspace build failed"
EXISTING_FAILED: Final = "existing workspace build failed"
START_FAILED: Final = "workspace start build failed"
AWAITED_FAILED: Final = "waiting for in-progress build"
STOP_FAILED: Final = "workspace stop build failed"

BUILD_FAILED: Final = "build failed"
BUILD_CANCELED: Final = "build was canceled"
STILL_WAITING: Final = "timed out waiting for workspace build: {state} since {since}"
WAS_STOPPED: Final = "the workspace was stopped"
WAS_DELETED: Final = "the workspace was deleted"

COMPLETED: Final = "workspace build completed"
CONNECTING: Final = "workspace exists and the agent is still connecting"
RUNNING: Final = "workspace is already running and recently connected"
STOPPED: Final = "workspace is stopped; use start_workspace to start it"
STOPPED_WAITING: Final = "stopped waiting: the workspace agent is not connected yet"

UPDATE_REASON: Final = "template requires active versions"
UPDATED: Final = "workspace was started and updated to the active template version"

QUOTA_TITLE: Final = "Workspace quota reached"
QUOTA_MESSAGE: Final = (
    "workspaced could not {action} this workspace because your workspace quota is full. Delete a workspace you no "
    "longer need, or ask an administrator to raise your group quota allowance."
)
