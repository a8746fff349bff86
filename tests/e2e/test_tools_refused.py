"""create_workspace: names that are taken, repeated calls, and what is refused (domain.md 3.1, 3.3, 2.6)."""

from typing import Any
from uuid import uuid4

import pytest

from tests.bus_messages import an_id
from tests.e2e.stack import ORGANIZATION, TEMPLATE
from tests.e2e.tool_user import ToolUser
from workspaced.fsm.names import generate_name
from workspaced.tools.ids import RepeatableIds
from workspaced.tools.offer import run_tool
from workspaced.tools.result import ToolResult

CREATED = {"created": True, "workspace_name": "ada/dev"}


async def test_name_taken(user: ToolUser) -> None:
    """Once more, under a name made from the wanted one."""
    await user.stack.engine()
    other = await user.stack.create(str(uuid4()), name="dev")
    await user.provisioner.job(other.build_id)
    running = user.begin("create_workspace", "R", name="dev")
    job = await user.provisioner.job()
    await user.provisioner.bring_up(job)
    result = await running
    assert isinstance(result.content, dict)

    assert result.content["created"] is True
    assert result.content["workspace_name"].startswith("ada/dev-")
    assert await user.requests() == ["R.2"]


async def test_a_repeated_call_replays(user: ToolUser) -> None:
    """Another daemon that makes the same call again, at any time, gets the same answer and makes nothing."""
    await user.stack.engine()
    running = user.begin("create_workspace", "R")
    job = await user.provisioner.job()
    twin = user.begin("create_workspace", "R")
    await user.provisioner.bring_up(job)
    late = await user.run("create_workspace", "R")
    expected = ToolResult(CREATED | {"build_id": job["build_id"]})

    assert [await running, await twin, late] == [expected] * 3
    assert await user.requests() == ["R"]


async def test_many_at_once(user: ToolUser) -> None:
    """However many daemons create at once, there is one workspace."""
    await user.stack.engine()
    calls = [user.begin("create_workspace") for _ in range(10)]
    job = await user.provisioner.job()
    await user.provisioner.bring_up(job)
    results = [await call for call in calls]
    created = [result for result in results if isinstance(result.content, dict) and result.content["created"]]

    assert created == [ToolResult(CREATED | {"build_id": job["build_id"]})]
    assert len(await user.stack.sql("select from workspaced.workspaces")) == 1


@pytest.mark.parametrize(
    ("template_id", "text"),
    [
        ("", "template_id is required; use list_templates to find one"),
        ("  ", "template_id is required; use list_templates to find one"),
        (None, "template_id is required; use list_templates to find one"),
        ("go", "invalid template_id: badly formed hexadecimal UUID string"),
    ],
)
async def test_checks_before_anything_is_sent(user: ToolUser, template_id: str | None, text: str) -> None:
    """There is no engine, and it is not missed."""
    assert await user.run("create_workspace", template_id=template_id) == ToolResult(text, is_error=True)


FORBIDDEN = "template not available for chat workspaces; use list_templates to find allowed templates"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (None, "look up template: template not found"),
        ({"agents_allowed": False}, FORBIDDEN),
        ({"deprecated": True}, FORBIDDEN),
        (
            {"organization_id": an_id(99)},
            (
                "template belongs to another organization than this chat; "
                "use list_templates to find one in this chat's organization"
            ),
        ),
        (
            {"has_external_agent": True},
            (
                "create_workspace cannot create workspaces from templates with externally managed agents; use "
                "list_templates to choose another, or let the user create and start the workspace and then attach it "
                "to this chat"
            ),
        ),
    ],
)
async def test_checks_3_to_6(user: ToolUser, template: dict[str, Any] | None, text: str) -> None:
    """The engine's words unchanged; nothing is made."""
    await user.stack.engine()
    template_id = str(uuid4())
    if template is not None:
        known = {"id": template_id, "organization_id": ORGANIZATION, "name": "other"}
        await user.stack.client.put_template(known | template)

    assert await user.run("create_workspace", template_id=template_id) == ToolResult(text, is_error=True)
    assert await user.stack.sql("select from workspaced.chats") == []


async def test_check_7_preset(user: ToolUser) -> None:
    """Not a UUID, or not the template's."""
    await user.stack.engine()

    assert await user.run("create_workspace", preset_id="big") == ToolResult(
        "invalid preset_id: badly formed hexadecimal UUID string", is_error=True
    )
    assert await user.run("create_workspace", preset_id=str(uuid4())) == ToolResult(
        "invalid preset_id: the template has no such preset", is_error=True
    )


async def test_check_8_parameters(user: ToolUser) -> None:
    """All faults at once, as structure."""
    await user.stack.engine()
    rules = [{"name": "cpu", "type": "number"}, {"name": "region", "required": True}]
    known = {"id": TEMPLATE, "organization_id": ORGANIZATION, "name": "plain", "parameters": rules}
    await user.stack.client.put_template(known)
    result = await user.run("create_workspace", parameters={"cpu": "many", "gpu": "1"})

    assert not result.is_error
    assert isinstance(result.content, dict)
    assert set(result.content) == {"error", "validations"}
    assert result.content["error"] == "unable to validate parameters"
    assert sorted((fault["field"], fault["detail"]) for fault in result.content["validations"]) == [
        ("cpu", "must be a number"),
        ("gpu", "unknown parameter"),
        ("region", "required parameter is missing"),
    ]


async def test_a_parameter_that_is_no_text(user: ToolUser) -> None:
    """The engine names it."""
    await user.stack.engine()
    result = await user.run("create_workspace", parameters={"cpu": 4})

    assert result.is_error
    assert str(result.content).startswith("parameters.cpu: ")


async def test_check_9_and_again(user: ToolUser) -> None:
    """A name that the engine refuses twice is a structured error; here the made one is taken as well."""
    await user.stack.engine()
    await user.stack.create(str(uuid4()), name="dev")
    taken = generate_name("dev", RepeatableIds("R"))
    await user.stack.create(str(uuid4()), name=taken)

    assert await user.run("create_workspace", "R", name="dev") == ToolResult(
        {
            "error": "a workspace with this name already exists",
            "validations": [{"field": "name", "detail": f"{taken} is taken"}],
        }
    )


async def test_no_engine(user: ToolUser) -> None:
    """Nobody answered."""
    assert await user.run("create_workspace") == ToolResult(
        "load chat: no workspaced engine is running; start one and try again", is_error=True
    )


async def test_no_client(user: ToolUser) -> None:
    """Told apart from an engine that does not answer."""
    texts = {
        "create_workspace": "workspace creator is not configured",
        "start_workspace": "workspace starter is not configured",
        "stop_workspace": "workspace stopper is not configured",
    }
    for tool, text in texts.items():
        assert await run_tool(tool, user.call(client=None), {}) == ToolResult(text, is_error=True)
