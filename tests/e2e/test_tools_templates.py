"""list_templates, read_template and get_workspace_build_logs on real servers (domain.md 3.7 and 12)."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.bus_messages import an_id
from tests.e2e.stack import ORGANIZATION, TEMPLATE
from tests.e2e.tool_user import ToolUser
from workspaced.fsm.state import State
from workspaced.tools.offer import definitions, run_tool
from workspaced.tools.result import ToolResult

NOTE = (
    "A parameter's default is what a build uses when the parameter is left out. A preset marked default is not applied "
    "by itself: pass its preset_id to use it."
)


async def put(user: ToolUser, name: str, **fields: object) -> str:
    """A template of the chat's organization; its id."""
    known: dict[str, Any] = {"name": name, "organization_id": ORGANIZATION}
    return (await user.stack.client.put_template(known | fields)).template.id


async def names(user: ToolUser, **arguments: Any) -> list[str]:  # noqa: ANN401  # any JSON
    """The names on a page."""
    content = (await user.run("list_templates", **arguments)).content
    assert isinstance(content, dict)
    return [template["name"] for template in content["templates"]]


# --- list_templates ---------------------------------------------------------------------------------------------------


async def test_list(user: ToolUser) -> None:
    """Fields that are empty are left out; those with developers come first."""
    await user.stack.engine()
    rich = await put(user, "rich", display_name="Rich", description="All of it", abstract="Much")
    await user.stack.create(user.chat_id, template_id=rich)
    await user.stack.create(str(uuid4()), template_id=rich)

    assert await user.run("list_templates") == ToolResult(
        {
            "templates": [
                {
                    "id": rich,
                    "name": "rich",
                    "organization_id": ORGANIZATION,
                    "display_name": "Rich",
                    "description": "All of it",
                    "abstract": "Much",
                    "active_developers": 1,
                },
                {"id": TEMPLATE, "name": "plain", "organization_id": ORGANIZATION},
            ],
            "count": 2,
            "page": 1,
            "total_pages": 1,
            "total_count": 2,
        }
    )


async def test_list_hides(user: ToolUser) -> None:
    """Deprecated, not for agents, deleted, another organization's: none of them counts."""
    await user.stack.engine()
    await put(user, "old", deprecated=True)
    await put(user, "secret", agents_allowed=False)
    await put(user, "foreign", organization_id=str(uuid4()))
    await user.stack.client.delete_template(await put(user, "gone"))
    await put(user, "external", has_external_agent=True)
    content = (await user.run("list_templates")).content
    assert isinstance(content, dict)

    assert [template["name"] for template in content["templates"]] == ["external", "plain"]
    assert content["total_count"] == 2


async def test_list_pages(user: ToolUser) -> None:
    """Ten on a page; hidden ones leave no gaps; a page below 1 is the first."""
    await user.stack.engine()
    for number in range(12):
        await put(user, f"go-{number:02}")
        await put(user, f"go-{number:02}-hidden", deprecated=True)
    first, second = await user.run("list_templates", query="GO"), await user.run("list_templates", query="go", page=2)
    assert isinstance(first.content, dict)
    assert isinstance(second.content, dict)

    assert [template["name"] for template in first.content["templates"]] == [f"go-{number:02}" for number in range(10)]
    assert {name: second.content[name] for name in ("count", "page", "total_pages", "total_count")} == {
        "count": 2,
        "page": 2,
        "total_pages": 2,
        "total_count": 12,
    }
    assert await names(user, query="go", page=-3) == await names(user, query="go")
    assert await names(user, query="go", page=99) == []


async def test_list_query(user: ToolUser) -> None:
    """A part of any of four texts."""
    await user.stack.engine()
    for field in ("display_name", "description", "abstract"):
        await put(user, f"by-{field.replace('_', '-')}", **{field: "With PYTHON in it"})

    assert await names(user, query="python") == ["by-abstract", "by-description", "by-display-name"]


async def test_list_nothing(user: ToolUser) -> None:
    """There is always a page."""
    await user.stack.engine()

    assert (await user.run("list_templates", query="no such")).content == {
        "templates": [],
        "count": 0,
        "page": 1,
        "total_pages": 1,
        "total_count": 0,
    }


# --- read_template ----------------------------------------------------------------------------------------------------


async def test_read_plain(user: ToolUser) -> None:
    """The least there is."""
    await user.stack.engine()
    template = await user.stack.client.get_template(TEMPLATE)

    assert await user.run("read_template", template_id=TEMPLATE.upper()) == ToolResult(
        {
            "template": {"id": TEMPLATE, "name": "plain", "active_version_id": template.active_version_id},
            "parameters": [],
            "parameters_note": NOTE,
        }
    )


async def test_read_rich(user: ToolUser) -> None:
    """Everything there can be; long texts are cut."""
    await user.stack.engine()
    preset_id = str(uuid4())
    template_id = await put(
        user,
        "rich",
        display_name="Rich",
        description="All of it",
        readme="r" * 9000,
        parameters=[
            {
                "name": "cpu",
                "type": "number",
                "required": True,
                "mutable": False,
                "ephemeral": True,
                "default": "0",
                "display_name": "CPUs",
                "description": "d" * 400,
                "form_type": "slider",
                "validation_min": 0,
                "validation_max": 4,
            },
            {
                "name": "region",
                "options": [{"name": "Here", "value": "eu", "description": "near", "icon": "/eu.svg"}],
                "validation_regex": "^e",
            },
        ],
        presets=[
            {
                "id": preset_id,
                "name": "small",
                "is_default": True,
                "description": "Enough",
                "icon": "/s.svg",
                "desired_instances": 2,
                "parameters": {"cpu": "1"},
            },
            {"id": TEMPLATE, "name": "bare"},
        ],
    )
    template = await user.stack.client.get_template(template_id)

    assert await user.run("read_template", template_id=template_id) == ToolResult(
        {
            "template": {
                "id": template_id,
                "name": "rich",
                "active_version_id": template.active_version_id,
                "display_name": "Rich",
                "description": "All of it",
                "readme": "r" * 8000,
            },
            "parameters": [
                {
                    "name": "cpu",
                    "type": "number",
                    "required": True,
                    "mutable": False,
                    "ephemeral": True,
                    "default": "0",
                    "display_name": "CPUs",
                    "description": "d" * 300,
                    "form_type": "slider",
                    "validation_min": 0,
                    "validation_max": 4,
                },
                {
                    "name": "region",
                    "type": "string",
                    "required": False,
                    "mutable": True,
                    "options": [{"name": "Here", "value": "eu", "description": "near", "icon": "/eu.svg"}],
                    "validation_regex": "^e",
                },
            ],
            "parameters_note": NOTE,
            "presets": [
                {
                    "id": preset_id,
                    "name": "small",
                    "default": True,
                    "description": "Enough",
                    "icon": "/s.svg",
                    "desired_prebuild_instances": 2,
                    "parameters": [{"name": "cpu", "value": "1"}],
                },
                {"id": TEMPLATE, "name": "bare", "default": False, "parameters": []},
            ],
        }
    )


@pytest.mark.parametrize(
    ("template_id", "text"),
    [
        (None, "template_id is required"),
        (" ", "template_id is required"),
        ("go", "invalid template_id: badly formed hexadecimal UUID string"),
        (an_id(99), "template not found"),
    ],
)
async def test_read_refused(user: ToolUser, template_id: str | None, text: str) -> None:
    """Without prefix."""
    await user.stack.engine()

    assert await user.run("read_template", template_id=template_id) == ToolResult(text, is_error=True)


FORBIDDEN = "template not available for chat workspaces; use list_templates to find allowed templates"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"organization_id": an_id(99)}, "template not found"),
        ({"organization_id": an_id(99), "deprecated": True}, "template not found"),
        ({"deprecated": True}, FORBIDDEN),
        ({"agents_allowed": False}, FORBIDDEN),
    ],
)
async def test_read_hidden(user: ToolUser, fields: dict[str, object], text: str) -> None:
    """Of another organization's not even that it exists."""
    await user.stack.engine()
    template_id = await put(user, "hidden", **fields)

    assert await user.run("read_template", template_id=template_id) == ToolResult(text, is_error=True)


async def test_read_deleted(user: ToolUser) -> None:
    """As if it had never been."""
    await user.stack.engine()
    template_id = await put(user, "gone")
    await user.stack.client.delete_template(template_id)

    assert await user.run("read_template", template_id=template_id) == ToolResult("template not found", is_error=True)


# --- get_workspace_build_logs -----------------------------------------------------------------------------------------


async def log(user: ToolUser, job: dict[str, Any], *lines: str) -> None:
    """Write lines and the end."""
    stream_api = user.provisioner.connection.jetstream()
    subject = f"ws.log.{job['workspace']['id']}.{job['build_id']}"
    said: list[dict[str, Any]] = [
        {"at": "2026-01-02T03:04:05Z", "stage": "apply", "level": "info", "output": line, "seq": number}
        for number, line in enumerate(lines, 1)
    ]
    for body in [*said, {"end": True, "seq": len(lines) + 1}]:
        await stream_api.publish(subject, json.dumps(body).encode())


async def test_logs(user: ToolUser) -> None:
    """Of the latest build, or of any that the chat went through."""
    await user.stack.engine()
    job, _ = await user.reach(State.READY)
    await log(user, job, "one", "two")
    expected = ToolResult(
        {
            "build_id": job["build_id"],
            "logs": [
                {
                    "id": number,
                    "created_at": "2026-01-02T03:04:05Z",
                    "stage": "apply",
                    "level": "info",
                    "output": output,
                }
                for number, output in enumerate(("one", "two"), 1)
            ],
            "has_more": False,
            "ended": True,
        }
    )

    assert await user.run("get_workspace_build_logs") == expected

    await user.stop()

    assert await user.run("get_workspace_build_logs", build_id=job["build_id"]) == expected


async def test_logs_pages(user: ToolUser) -> None:
    """400 lines at a time."""
    await user.stack.engine()
    job, _ = await user.reach(State.BUILDING)
    await log(user, job, *(f"line {number}" for number in range(405)))
    first = (await user.run("get_workspace_build_logs")).content
    assert isinstance(first, dict)
    last = first["logs"][-1]["id"]
    second = (await user.run("get_workspace_build_logs", after_id=last)).content
    assert isinstance(second, dict)

    assert (len(first["logs"]), first["has_more"], first["ended"]) == (400, True, False)
    assert (len(second["logs"]), second["has_more"], second["ended"]) == (5, False, True)


async def test_logs_of_others(user: ToolUser) -> None:
    """A build of another chat's workspace is none of this one's business."""
    await user.stack.engine()
    await user.reach(State.BUILDING)
    other = await user.stack.create(str(uuid4()))

    assert await user.run("get_workspace_build_logs", build_id=other.build_id) == ToolResult(
        "build not found: it is none of this chat's; leave build_id out for the latest one", is_error=True
    )


async def test_logs_without_a_workspace(user: ToolUser) -> None:
    """There is nothing to read."""
    await user.stack.engine()

    assert await user.run("get_workspace_build_logs") == ToolResult(
        "chat has no workspace; use create_workspace first", is_error=True
    )


# --- what is offered --------------------------------------------------------------------------------------------------


def test_definitions() -> None:
    """In the shape model APIs take; none for child chats."""
    offered = definitions()

    assert [tool["name"] for tool in offered] == [
        "create_workspace",
        "start_workspace",
        "stop_workspace",
        "list_templates",
        "read_template",
        "get_workspace_build_logs",
    ]
    assert {tuple(tool) for tool in offered} == {("name", "description", "input_schema")}
    assert all(tool["input_schema"]["type"] == "object" for tool in offered)
    assert json.loads(json.dumps(offered)) == offered
    assert definitions(child=True) == []


async def test_a_child_chat_runs_none(user: ToolUser) -> None:
    """They are its parent's."""
    assert await run_tool("stop_workspace", user.call(child=True), {}) == ToolResult(
        "unknown tool: stop_workspace", is_error=True
    )


async def test_unknown_and_ill_typed(user: ToolUser) -> None:
    """Told in words, without a traceback."""
    unknown = await run_tool("rm", user.call(), {})
    wrong = await run_tool("list_templates", user.call(), {"page": "two"})

    assert unknown == ToolResult("unknown tool: rm", is_error=True)
    assert wrong == ToolResult("invalid input: Expected `int | null`, got `str` - at `$.page`", is_error=True)
