"""The checks of create with their exact texts (domain.md 2.6), and who may ask at all."""

from typing import Any

import pytest

from tests.builders import (
    ANOTHER_CHAT,
    ANOTHER_ORGANIZATION,
    CHAT,
    STRANGER,
    TEMPLATE,
    VERSION,
    CountedIds,
    a_template,
    a_version,
    an_id,
)
from tests.situations import a_chat_in
from tests.stage import Stage
from workspaced.fsm.commands import Owner
from workspaced.fsm.errors import ErrorBody, Validation
from workspaced.fsm.rows import InputRow
from workspaced.fsm.template import Parameter, Preset

NOT_ALLOWED = "template not available for chat workspaces; use list_templates to find allowed templates"
PRESET = Preset(an_id(50), "small", parameters={"cpus": "1"})

CHECKS: list[tuple[dict[str, Any], dict[str, Any], int, str, str, str]] = [
    (
        {},
        {"template_id": "  "},
        400,
        "invalid_template_id",
        "template_id",
        "template_id is required; use list_templates to find one",
    ),
    (
        {},
        {"template_id": "docker"},
        400,
        "invalid_template_id",
        "template_id",
        "invalid template_id: badly formed hexadecimal UUID string",
    ),
    (
        {},
        {"template_id": an_id(4711)},
        404,
        "template_not_found",
        "template_id",
        "look up template: template not found",
    ),
    ({"deleted": True}, {}, 404, "template_not_found", "template_id", "look up template: template not found"),
    ({"agents_allowed": False}, {}, 403, "template_not_allowed", "template_id", NOT_ALLOWED),
    ({"deprecated": True}, {}, 403, "template_not_allowed", "template_id", NOT_ALLOWED),
    (
        {"organization_id": ANOTHER_ORGANIZATION},
        {},
        403,
        "wrong_organization",
        "template_id",
        (
            "template belongs to another organization than this chat; use list_templates to find one in this chat's "
            "organization"
        ),
    ),
    (
        {"has_external_agent": True},
        {},
        400,
        "external_agent",
        "template_id",
        (
            "create_workspace cannot create workspaces from templates with externally managed agents; use "
            "list_templates to choose another, or let the user create and start the workspace and then attach it "
            "to this chat"
        ),
    ),
    (
        {},
        {"preset_id": "small"},
        400,
        "invalid_preset_id",
        "preset_id",
        "invalid preset_id: badly formed hexadecimal UUID string",
    ),
    (
        {},
        {"preset_id": an_id(51)},
        400,
        "invalid_preset_id",
        "preset_id",
        "invalid preset_id: the template has no such preset",
    ),
]


def refused(row: InputRow) -> ErrorBody:
    """The error that a command was refused with."""
    assert row.error is not None
    assert row.outcome is None
    return row.error


@pytest.mark.parametrize(("template", "command", "status", "code", "field", "text"), CHECKS)
def test_each_check(
    template: dict[str, Any], command: dict[str, Any], status: int, code: str, field: str, text: str
) -> None:
    """Status, word, field and text; a refused create makes no row but its record."""
    stage = Stage(templates=[a_template(presets=(PRESET,), **template)])

    step = stage.create(**command)

    error = refused(step.answer)
    assert (step.answer.error_status, error.code, error.field, error.error) == (status, code, field, text)
    assert step.answers[0].snapshot is None
    assert (stage.chats, stage.workspaces, step.said) == ({}, {}, [])


def test_the_order_of_checks() -> None:
    """A template that fails every check is refused for the first."""
    stage = Stage(
        templates=[
            a_template(agents_allowed=False, organization_id=ANOTHER_ORGANIZATION, has_external_agent=True),
        ]
    )
    words = []
    for cured in ({}, {"agents_allowed": True}, {"organization_id": a_template().organization_id}, {}):
        stage.templates = [type(stage.templates[0])(**_fields(stage.templates[0]) | cured)]
        words.append(refused(stage.create(preset_id="x", name="new").answer).code)

    assert words == ["template_not_allowed", "wrong_organization", "external_agent", "external_agent"]


def _fields(template: Any) -> dict[str, Any]:  # noqa: ANN401 - a struct
    return {name: getattr(template, name) for name in template.__struct_fields__}


def test_parameters_are_checked_together() -> None:
    """Check 8 collects all faults, one validation each."""
    stage = Stage(versions=[a_version(VERSION, Parameter("cpus", "number"), Parameter("region", required=True))])

    answer = stage.create(parameters={"cpus": "two", "color": "red"}).answer

    error = refused(answer)
    assert (answer.error_status, error.code, error.error) == (
        400,
        "invalid_parameters",
        "unable to validate parameters",
    )
    assert error.validations == (
        Validation("color", "unknown parameter"),
        Validation("cpus", "must be a number"),
        Validation("region", "required parameter is missing"),
    )


def test_presets_lie_between_defaults_and_given_values() -> None:
    """Given values win over the preset's, those over the defaults."""
    rules = (Parameter("cpus", default="4"), Parameter("ram", default="8"), Parameter("disk", default="9"))
    preset = Preset(an_id(50), "small", parameters={"cpus": "1", "ram": "1"})
    stage = Stage(templates=[a_template(presets=(preset,))], versions=[a_version(VERSION, *rules, presets=(preset,))])

    stage.create(preset_id=f" {an_id(50)} ", parameters={"cpus": "2"})

    assert stage.build.parameters == {"cpus": "2", "ram": "1", "disk": "9"}
    assert stage.build.preset_id == an_id(50)


def test_a_name_that_is_taken() -> None:
    """Check 9 compares without case and has one validation on `name`; nothing is left behind."""
    stage = Stage()
    stage.create(name="Dev")
    stage.chat_id = ANOTHER_CHAT

    answer = stage.create(name="dev").answer

    error = refused(answer)
    assert (answer.error_status, error.code, error.field) == (409, "name_taken", "name")
    assert error.error == "a workspace with this name already exists"
    assert [one.field for one in error.validations] == ["name"]
    assert ANOTHER_CHAT not in stage.chats


@pytest.mark.parametrize("given", [None, "  ", "two words"])
def test_a_generated_name_that_is_taken_gets_another_suffix(given: str | None) -> None:
    """Up to three times."""
    stage = Stage(ids=CountedIds([7, 0, 0, 0, 7, 7, 7, 9]))
    stage.create(name=given)
    first = stage.workspace.name
    stage.chat_id = ANOTHER_CHAT

    stage.create(name=given)

    assert first.endswith("-0007")
    assert stage.workspace.name == first.replace("0007", "0009")


def test_a_generated_name_may_fail_four_times() -> None:
    """Then it is check 9 as well."""
    stage = Stage(ids=CountedIds([7] * 8))
    stage.create()
    stage.chat_id = ANOTHER_CHAT

    assert refused(stage.create().answer).code == "name_taken"


def test_a_valid_name_is_used_unchanged() -> None:
    """It is trimmed, and upper case stays."""
    stage = Stage()

    stage.create(name=" My-Box ")

    assert stage.workspace.name == "My-Box"


def test_two_creates_of_one_batch_do_not_get_the_same_name() -> None:
    """The second finds what the first has taken, although the store does not know it yet."""
    stage = Stage(ids=CountedIds([7, 1, 2, 3, 7, 8, 9, 10]))
    commands = []
    for chat in (CHAT, ANOTHER_CHAT):
        stage.chat_id = chat
        commands.append(stage.asking("create"))

    stage.take(*commands)

    assert {row.name for row in stage.workspaces.values()} == {"docker-0007", "docker-0008"}


def test_the_name_of_what_is_replaced_is_free_at_once() -> None:
    """A workspace whose clean-up delete is requested gives up its name; its row is written first."""
    stage = Stage()
    stage.create(name="dev")
    stage.job("failed")
    old = stage.workspace.id

    step = stage.create(name="dev")

    assert stage.workspace.name == "dev"
    assert [row.id == old for row in step.changes.workspaces] == [True, False]


def test_the_name_of_what_is_stopped_is_not() -> None:
    """A replaced workspace that had been ready lives on, and a refused create leaves it alone."""
    stage = Stage()
    stage.create(name="dev")
    stage.job("running")
    stage.built()
    stage.connected()
    stage.lifecycle("ready")
    stage.lost()
    stage.expire()
    stage.wait(1)

    step = stage.create(name="dev")

    assert refused(step.answer).code == "name_taken"
    assert (step.jobs, step.moves) == ([], [])


def test_the_name_of_what_was_deleted_is_free() -> None:
    """Also within the batch in which the delete succeeded."""
    stage = Stage()
    stage.create(name="dev")
    stage.delete()
    stage.chat_id = ANOTHER_CHAT
    ended, wanted = (
        stage.reporting("succeeded", stage.builds[stage.chats[CHAT].build_id or ""]),
        stage.asking("create", name="dev"),
    )

    stage.take(ended, wanted)

    assert stage.workspace.name == "dev"


@pytest.mark.parametrize("verb", ["create", "attach", "start", "stop", "restart", "delete", "cancel", "touch"])
def test_only_the_owner_may_ask(verb: str) -> None:
    """Anyone else is refused before anything is looked at."""
    stage = a_chat_in("ready")

    answer = getattr(stage, verb)(actor_id=STRANGER).answer

    assert (answer.error_status, refused(answer).code) == (403, "not_owner")
    assert refused(answer).error == "only the chat's owner may do this"


@pytest.mark.parametrize("verb", ["create", "attach"])
@pytest.mark.parametrize("other", [{"owner": Owner(STRANGER, "eve")}, {"organization_id": ANOTHER_ORGANIZATION}])
def test_a_chat_keeps_its_owner(verb: str, other: dict[str, Any]) -> None:
    """Create and attach with another owner or organization than the row's are refused."""
    stage = a_chat_in("stopped")

    answer = getattr(stage, verb)(**other).answer

    assert (answer.error_status, refused(answer).code) == (403, "not_owner")


def test_a_template_id_may_be_written_otherwise() -> None:
    """Any spelling of the UUID names the template."""
    stage = Stage()

    assert stage.create(template_id=f" {{{TEMPLATE.upper()}}} ").outcome == "accepted"
