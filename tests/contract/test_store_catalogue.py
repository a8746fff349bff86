"""Templates and settings, on any store."""

import asyncio

import msgspec
import pytest
from msgspec import Raw

from tests.store_rows import ORGANIZATION, TEMPLATE, VERSION, a_template, a_workspace, an_id, put
from workspaced.fsm.errors import Conflict, NotFound
from workspaced.fsm.rows import Changes, Needs
from workspaced.fsm.template import Deadlines, Parameter, Preset, Template
from workspaced.store.errors import RefusedByStore
from workspaced.store.port import Store


async def versions(store: Store) -> list[str]:
    """The ids of the versions that a batch sees for the template."""
    return [row.id for row in (await store.read(Needs(templates=(TEMPLATE,)))).versions]


async def test_a_template_comes_back_as_it_was_put(store: Store) -> None:
    """Every field, and a version of the given id."""
    template = a_template(
        display_name="Docker",
        description="d",
        abstract="a",
        icon="i",
        agents_allowed=False,
        deprecated=True,
        has_external_agent=True,
        provisioner="terraform",
        require_active_version=True,
        allow_user_cancel=False,
        default_ttl_ms=5,
        deadlines=Deadlines(creating="5m"),
        presets=(Preset(an_id(60), "small", parameters={"cpus": "1"}),),
    )

    put_back = await store.put_template(template, VERSION)

    assert put_back == msgspec.structs.replace(template, active_version_id=VERSION)
    assert await store.template(TEMPLATE) == put_back
    assert await store.template(an_id(99)) is None
    assert await versions(store) == [VERSION]


async def test_other_content_makes_a_new_version_and_equal_content_none(store: Store) -> None:
    """Content is parameters, presets and source, compared as JSON values."""
    await store.put_template(a_template(), VERSION)

    renamed = await store.put_template(a_template(name="new", source=Raw(b'{"a":[2,null],"b":1}')), an_id(70))
    changed = await store.put_template(a_template(parameters=(Parameter("gpus"),)), an_id(71))

    assert renamed.active_version_id == VERSION
    assert changed.active_version_id == an_id(71)
    assert (await store.template(TEMPLATE)) == changed
    assert await versions(store) == [an_id(71)]


async def test_a_json_one_is_not_true(store: Store) -> None:
    """Python's equality would say otherwise."""
    await store.put_template(a_template(source=Raw(b"1")), VERSION)

    assert (await store.put_template(a_template(source=Raw(b"true")), an_id(70))).active_version_id == an_id(70)


async def test_a_name_is_taken_once_per_organization(store: Store) -> None:
    """Ignoring case, and not by deleted templates."""
    await store.put_template(a_template(), VERSION)

    with pytest.raises(Conflict) as caught:
        await store.put_template(a_template(id=an_id(40), name="Docker"), an_id(70))

    assert (caught.value.code, caught.value.field) == ("name_taken", "name")
    await store.put_template(a_template(id=an_id(40), organization_id=an_id(41)), an_id(71))
    await store.delete_template(TEMPLATE)
    await store.put_template(a_template(id=an_id(42)), an_id(72))
    assert await store.template(an_id(42)) is not None


async def test_a_deleted_template_lives_again_when_it_is_put(store: Store) -> None:
    """A put says what shall be."""
    await store.put_template(a_template(), VERSION)
    await store.delete_template(TEMPLATE)
    deleted = await store.template(TEMPLATE)

    assert deleted is not None
    assert deleted.deleted
    assert not (await store.put_template(deleted, an_id(70))).deleted


async def test_a_template_with_live_workspaces_is_not_deleted(store: Store) -> None:
    """Deleted workspaces don't hold it."""
    await store.put_template(a_template(), VERSION)
    await put(store, Changes(workspaces=[a_workspace()]))

    with pytest.raises(Conflict) as caught:
        await store.delete_template(TEMPLATE)

    assert caught.value.code == "template_in_use"
    await put(store, Changes(workspaces=[a_workspace(deleted=True)]))
    await store.delete_template(TEMPLATE)
    with pytest.raises(NotFound) as missing:
        await store.delete_template(TEMPLATE)
    assert missing.value.code == "template_not_found"


async def test_a_template_is_not_deleted_while_a_batch_creates_from_it(store: Store) -> None:
    """The batch shares a lock on it, and the deletion sees the workspace that the batch made."""
    await store.put_template(a_template(), VERSION)

    async with store.batch(Needs(templates=(TEMPLATE,))) as batch:
        deletion = asyncio.create_task(store.delete_template(TEMPLATE))
        for _ in range(20):
            await store.read(Needs(templates=(TEMPLATE,)))
        assert not deletion.done()
        await batch.write(Changes(workspaces=[a_workspace()]))

    with pytest.raises(Conflict):
        await deletion


async def test_a_value_that_cannot_be_stored_is_refused(store: Store) -> None:
    """A NUL, also inside the source."""
    for template in (a_template(readme="nul\0"), a_template(source=Raw(b'"\\u0000"'))):
        with pytest.raises(RefusedByStore):
            await store.put_template(template, VERSION)

    assert await store.template(TEMPLATE) is None


@pytest.fixture
async def catalogue(store: Store) -> Store:
    """Five templates in two organizations, two hidden, one deleted; `b` has two active developers and `a` one."""
    await store.put_template(a_template(id=an_id(10), name="b", display_name="Big Machine"), an_id(20))
    await store.put_template(a_template(id=an_id(11), name="a", description="100% small"), an_id(21))
    await store.put_template(a_template(id=an_id(12), name="C", deprecated=True), an_id(22))
    await store.put_template(a_template(id=an_id(13), name="d", agents_allowed=False), an_id(23))
    await store.put_template(a_template(id=an_id(14), name="e"), an_id(24))
    await store.put_template(a_template(id=an_id(15), name="z", organization_id=an_id(41)), an_id(25))
    await store.delete_template(an_id(14))
    owners = {101: (10, 50), 102: (10, 51), 103: (11, 50), 104: (11, 50), 105: (11, 52)}
    workspaces = [
        a_workspace(number, template_id=an_id(template), owner_id=an_id(owner), deleted=number == 105)
        for number, (template, owner) in owners.items()
    ]
    await put(store, Changes(workspaces=workspaces))
    return store


def named(page: tuple[list[tuple[Template, int]], int]) -> tuple[list[tuple[str, int]], int]:
    """The names, counts and total of a page."""
    return [(template.name, developers) for template, developers in page[0]], page[1]


async def test_templates_are_listed_by_active_developers_then_name(catalogue: Store) -> None:
    """Distinct owners of live workspaces."""
    page = await catalogue.templates(organization_id=ORGANIZATION, include_hidden=True)

    assert named(page) == ([("b", 2), ("a", 1), ("C", 0), ("d", 0)], 4)
    assert page[0][0][0] == await catalogue.template(an_id(10))


async def test_hidden_templates_are_left_out(catalogue: Store) -> None:
    """Deprecated ones and those not for agents; without an organization all of them are looked at."""
    assert named(await catalogue.templates()) == ([("b", 2), ("a", 1), ("z", 0)], 3)


async def test_templates_are_found_by_text(catalogue: Store) -> None:
    """In any case, and `%` is no wildcard."""
    assert named(await catalogue.templates(query="mACHINE")) == ([("b", 2)], 1)
    assert named(await catalogue.templates(query="0% s")) == ([("a", 1)], 1)
    assert named(await catalogue.templates(query="%")) == ([("a", 1)], 1)


async def test_templates_come_in_pages(catalogue: Store) -> None:
    """Beyond the end there is nothing, and the total stays."""
    assert named(await catalogue.templates(page=2, page_size=2)) == ([("z", 0)], 3)
    assert named(await catalogue.templates(page=0, page_size=1)) == ([("b", 2)], 3)
    assert named(await catalogue.templates(page=9)) == ([], 3)


async def test_settings_are_merged(store: Store) -> None:
    """And seen by the next batch."""
    assert await store.settings() == {}

    await store.put_settings({"creating_deadline": "5m", "workspace_ttl": ""})
    await store.put_settings({"creating_deadline": "6m"})

    expected = {"creating_deadline": "6m", "workspace_ttl": ""}
    assert await store.settings() == expected
    assert (await store.read(Needs())).settings == expected
