"""What a store does not let in: taken names, second builds, rows that break an invariant."""

import msgspec
import pytest

from tests.store_rows import (
    CAUSE,
    NOW,
    OWNER,
    TEMPLATE,
    VERSION,
    a_build,
    a_chat,
    a_template,
    a_workspace,
    an_agent,
    an_id,
    put,
    put_one,
)
from workspaced.fsm.chat import Chat
from workspaced.fsm.errors import VersionConflict
from workspaced.fsm.rows import Changes, ChatWrite, Needs
from workspaced.fsm.state import State
from workspaced.store.errors import RefusedByStore
from workspaced.store.port import Store

CHAT, WORKSPACE = an_id(200), an_id(100)


async def test_names_are_taken_by_live_workspaces_ignoring_case(store: Store) -> None:
    """Deleted workspaces and those that gave up their name don't count."""
    await store.put_template(a_template(), VERSION)
    await put(
        store,
        Changes(
            workspaces=[
                a_workspace(101, name="Dev"),
                a_workspace(102, name="gone", deleted=True),
                a_workspace(103, name="released", name_released=True),
                a_workspace(104, name="dev", owner_id=an_id(50)),
            ]
        ),
    )
    asked = [(OWNER, "dev"), (OWNER, "gone"), (OWNER, "released"), (an_id(51), "dev")]

    async with store.batch(Needs(templates=(TEMPLATE,))) as batch:
        taken = await batch.taken_names(asked)

    assert taken == {(OWNER, "dev")}


async def test_a_name_that_is_taken_is_a_conflict(store: Store) -> None:
    """Two engines may choose one name at once; the later decides again."""
    await put_one(store)

    with pytest.raises(VersionConflict):
        await put(store, Changes(workspaces=[a_workspace(101, name="WS-100")]))


async def test_a_name_passes_on_within_one_write(store: Store) -> None:
    """The row that gives up the name stands first."""
    await put_one(store)

    await put(store, Changes(workspaces=[a_workspace(name_released=True), a_workspace(101, name="ws-100")]))

    assert len((await store.read(Needs(workspaces=(WORKSPACE, an_id(101))))).workspaces) == 2


async def test_a_workspace_has_one_unfinished_build(store: Store) -> None:
    """An error ends a build as well as its completion does; the one that ends stands first."""
    await put_one(store)

    with pytest.raises(VersionConflict):
        await put(store, Changes(builds=[a_build(2)]))

    await put(store, Changes(builds=[a_build(error="hung"), a_build(2)]))
    assert [row.build_number for row in (await store.read(Needs(workspaces=(WORKSPACE,)))).builds] == [2]


async def test_build_numbers_are_unique_in_a_workspace(store: Store) -> None:
    """Somebody else's build may have taken the number."""
    await put_one(store)

    with pytest.raises(VersionConflict):
        await put(store, Changes(builds=[a_build(id=an_id(7), completed_at=NOW)]))


@pytest.mark.parametrize(
    "chat",
    [
        a_chat(201, failure=a_chat(state=State.FAILED).failure),
        a_chat(201, state=State.FAILED, failure=None),
        a_chat(201, state=State.READY, build_id=a_build().id),
        a_chat(201, state=State.STARTING, deadline_at=None),
        a_chat(201, deadline_at=NOW),
        a_chat(201, agent_id=an_id(900)),
        a_chat(201, workspace=None, build_id=a_build().id),
        a_chat(201, version=0),
        a_chat(201, workspace=105),
        a_chat(201, id="not-an-id"),
        a_chat(201, owner_name="nul\0"),
        a_chat(201, owner_name="half \ud800"),
        a_chat(201, cause=msgspec.structs.replace(CAUSE, id="nul\0")),
    ],
    ids=lambda chat: f"{chat.state}-{chat.owner_name!r}",
)
async def test_a_row_that_breaks_an_invariant_is_refused(store: Store, chat: Chat) -> None:
    """Refused for good: deciding again would not help."""
    await put_one(store)

    with pytest.raises(RefusedByStore) as caught:
        await put(store, Changes(chats=[ChatWrite(chat, 0)]))

    assert caught.value.detail
    assert [row.id for row in (await store.read(Needs(workspaces=(WORKSPACE,)))).chats] == [CHAT]


async def test_ids_from_outside_never_overwrite_rows_of_another_workspace(store: Store) -> None:
    """Build and agent ids may come from provisioners."""
    await put_one(store)
    await put(store, Changes(workspaces=[a_workspace(101)], builds=[a_build(workspace=101)]))
    stolen_build = a_build(2, workspace=101, id=a_build().id, completed_at=NOW)
    stolen_agent = an_agent(workspace=101, build=1)

    for changes in (Changes(builds=[stolen_build]), Changes(agents=[stolen_agent])):
        with pytest.raises(RefusedByStore):
            await put(store, changes)

    loaded = await store.read(Needs(workspaces=(WORKSPACE,)))
    assert (loaded.builds, loaded.agents) == ([a_build()], [an_agent()])
