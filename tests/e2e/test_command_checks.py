"""The checks of create on the real servers (domain.md 2.6): the whole error on the wire; nothing is made."""

import asyncio
from uuid import uuid4

import pytest

from tests.e2e.answer import ask as answer_to
from tests.e2e.answer import only_what_was_asked, unchanged
from tests.e2e.refusals import Body, Refusal, made, refusal
from tests.e2e.scene import unhurried_engine
from tests.e2e.stack import ORGANIZATION, TEMPLATE, Stack
from tests.e2e.where import a_chat_in
from workspaced.bus.messages import Reply
from workspaced.fsm.errors import Conflict, NotFound


def of_template(code: str, error: str) -> Body:
    """An error about `template_id`."""
    return {"code": code, "error": error, "field": "template_id"}


UNKNOWN = of_template("template_not_found", "look up template: template not found")
NOT_ALLOWED = of_template(
    "template_not_allowed",
    "template not available for chat workspaces; use list_templates to find allowed templates",
)
ELSEWHERE = of_template(
    "wrong_organization",
    "template belongs to another organization than this chat; "
    "use list_templates to find one in this chat's organization",
)
EXTERNAL = of_template(
    "external_agent",
    "create_workspace cannot create workspaces from templates with externally managed agents; use list_templates to "
    "choose another, or let the user create and start the workspace and then attach it to this chat",
)
BLANK = of_template("invalid_template_id", "template_id is required; use list_templates to find one")
NO_ID = of_template("invalid_template_id", "invalid template_id: badly formed hexadecimal UUID string")
NO_PRESET: Body = {"code": "invalid_preset_id", "field": "preset_id"}
CHECKS: dict[str, tuple[Body | None, Body, Refusal]] = {
    "1 empty": (None, {"template_id": ""}, (400, BLANK)),
    "1 blank": (None, {"template_id": " \t\u2003"}, (400, BLANK)),
    "2 no id": (None, {"template_id": "plain"}, (400, NO_ID)),
    "2 a path": (None, {"template_id": f"../{TEMPLATE}"}, (400, NO_ID)),
    "2 too short": (None, {"template_id": TEMPLATE[:-1]}, (400, NO_ID)),
    "2 foreign digits": (None, {"template_id": "\uff11" * 32}, (400, NO_ID)),
    "2 a number": (None, {"template_id": "0x" + "1" * 30}, (400, NO_ID)),
    "2 long": (None, {"template_id": "f" * 200_000}, (400, NO_ID)),
    "3 unknown": (None, {"template_id": str(uuid4())}, (404, UNKNOWN)),
    "4 not for agents": ({"agents_allowed": False}, {}, (403, NOT_ALLOWED)),
    "4 deprecated": ({"deprecated": True}, {}, (403, NOT_ALLOWED)),
    "4 before 5": ({"deprecated": True, "organization_id": str(uuid4())}, {}, (403, NOT_ALLOWED)),
    "5 another organization's": ({"organization_id": str(uuid4())}, {}, (403, ELSEWHERE)),
    "5 before 6": ({"organization_id": str(uuid4()), "has_external_agent": True}, {}, (403, ELSEWHERE)),
    "6 external": ({"has_external_agent": True}, {}, (400, EXTERNAL)),
    "6 before 7": ({"has_external_agent": True}, {"preset_id": "big"}, (400, EXTERNAL)),
    "7 no id": (
        None,
        {"preset_id": "big"},
        (400, NO_PRESET | {"error": "invalid preset_id: badly formed hexadecimal UUID string"}),
    ),
    "7 not the template's": (
        None,
        {"preset_id": str(uuid4())},
        (400, NO_PRESET | {"error": "invalid preset_id: the template has no such preset"}),
    ),
    "8 parameters": (
        {"parameters": [{"name": "cpu", "type": "number"}, {"name": "region", "required": True}]},
        {"parameters": {"cpu": "many", "gpu": "1"}, "name": "dev"},
        (
            400,
            {
                "code": "invalid_parameters",
                "error": "unable to validate parameters",
                "validations": [
                    {"field": "cpu", "detail": "must be a number"},
                    {"field": "gpu", "detail": "unknown parameter"},
                    {"field": "region", "detail": "required parameter is missing"},
                ],
            },
        ),
    ),
    "9 a name": (
        None,
        {"name": "DEV"},
        (
            409,
            {
                "code": "name_taken",
                "error": "a workspace with this name already exists",
                "field": "name",
                "validations": [{"field": "name", "detail": "DEV is taken"}],
            },
        ),
    ),
}


async def test_each_check(stack: Stack, subtests: pytest.Subtests) -> None:
    """Status, word, field and text, and not a word of what the template is called or whose it is."""
    await stack.engine()
    await stack.create(str(uuid4()), name="dev")
    before = await made(stack)

    for name, (template, fields, expected) in CHECKS.items():
        body = stack.a_create(str(uuid4())) | fields
        if template is not None:
            body["template_id"] = str(uuid4())
            known = {"id": body["template_id"], "organization_id": ORGANIZATION, "name": f"t-{uuid4().hex[:8]}"}
            await stack.client.put_template(known | template)
        with subtests.test(name):
            assert await refusal(stack, "create", body) == expected
    assert await made(stack) == before
    await only_what_was_asked(stack)


async def test_where_a_workspace_is(stack: Stack, subtests: pytest.Subtests) -> None:
    """Checks 1 and 2 come first in every state; the others are for new workspaces alone."""
    await unhurried_engine(stack)
    scene = await a_chat_in(stack, "ready")
    body = stack.a_create(scene.chat_id, owner={"id": scene.owner.id, "name": "ada"})

    for text, expected in (("", BLANK), ("plain", NO_ID)):
        with subtests.test(f"template_id {text!r}"):
            assert await refusal(stack, "create", body | {"template_id": text}) == (400, expected)
    others: list[Body] = [{"template_id": str(uuid4())}, {"preset_id": "big"}, {"parameters": {"gpu": "1"}}]
    for other in others:
        with subtests.test(next(iter(other))):
            answer = await answer_to(scene, "create", **other)
            assert answer == unchanged(answer, "exists")


@pytest.mark.parametrize("spelling", ["{}", " {} ", "{{{}}}", "urn:uuid:{}"])
async def test_a_template_id_may_be_spelled_otherwise(stack: Stack, spelling: str) -> None:
    """Any spelling of the UUID names the template."""
    await stack.engine()
    reply = await stack.create(str(uuid4()), template_id=spelling.format(TEMPLATE.upper()))

    assert reply.outcome == "accepted"


async def test_a_template_deleted_meanwhile(stack: Stack) -> None:
    """It was listed, it is gone: 404, and nothing is made."""
    await stack.engine()
    (listed,) = (await stack.client.list_templates(organization_id=ORGANIZATION)).templates
    await stack.client.delete_template(listed.id)

    assert await refusal(stack, "create", stack.a_create(str(uuid4()))) == (404, UNKNOWN)
    assert await made(stack) == [0, 0, 0, 0]


async def test_a_template_deleted_at_once(stack: Stack) -> None:
    """Of a create and the template's deletion one comes first: there is no workspace of a deleted template."""
    await stack.engine()
    templates = [str(uuid4()) for _ in range(10)]
    for number, template in enumerate(templates):
        await stack.client.put_template({"id": template, "organization_id": ORGANIZATION, "name": f"t{number}"})

    async def race(template: str) -> set[str]:
        ends = await asyncio.gather(
            stack.create(str(uuid4()), template_id=template),
            stack.client.delete_template(template),
            return_exceptions=True,
        )
        return {
            end.outcome if isinstance(end, Reply) else end.code if isinstance(end, NotFound | Conflict) else repr(end)
            for end in ends
        }

    ends = await asyncio.gather(*map(race, templates))

    allowed = [{"accepted", "template_in_use"}, {"template_not_found", "None"}]
    assert [end for end in ends if end not in allowed] == []
    await only_what_was_asked(stack)


# --- what is somebody else's ------------------------------------------------------------------------------------------

NOT_OWNER = (403, {"code": "not_owner", "error": "only the chat's owner may do this"})
VERBS = ("create", "attach", "start", "stop", "restart", "delete", "cancel", "touch", "unreachable")


async def test_somebody_elses_chat(stack: Stack, subtests: pytest.Subtests) -> None:
    """Another actor, owner or organization is refused whatever the verb; the chat stays as it is."""
    await unhurried_engine(stack)
    scene = await a_chat_in(stack, "ready")
    before, rows = await scene.look(), await made(stack)
    assert before is not None
    owner = {"id": scene.owner.id, "name": "ada"}
    ids: Body = {"build_id": before.build_id, "agent_id": before.agent_id}
    workspace: Body = {"workspace_id": before.workspace.id if before.workspace else None}
    wishes: dict[str, Body] = {"create": {"template_id": TEMPLATE}, "attach": workspace, "unreachable": workspace | ids}
    another: dict[str, Body] = {
        "actor": {"actor_id": str(uuid4())},
        "owner": {"owner": {"id": str(uuid4()), "name": "eve"}},
        "organization": {"organization_id": str(uuid4())},
    }

    for verb in VERBS:
        owned: Body = {"owner": owner, "organization_id": ORGANIZATION} if verb in {"create", "attach"} else {}
        for who, stranger in another.items():
            if who != "actor" and not owned:
                continue
            wish = {"chat_id": scene.chat_id, "request_id": str(uuid4())} | owned | wishes.get(verb, {}) | stranger
            with subtests.test(f"{verb}, another {who}"):
                assert await refusal(stack, verb, wish) == NOT_OWNER
    assert await scene.look() == before
    assert await made(stack) == rows
    await only_what_was_asked(stack)
