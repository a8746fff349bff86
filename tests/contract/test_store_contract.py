"""What a batch does, on any store: lock, load, write, all or nothing."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import msgspec
import pytest
from msgspec import Raw

from tests.store_rows import (
    NOW,
    TEMPLATE,
    VERSION,
    a_build,
    a_chat,
    a_stale_report,
    a_template,
    a_transition,
    a_workspace,
    an_agent,
    an_id,
    an_input,
    moved,
    new,
    put,
    put_one,
)
from workspaced.fsm.effects import AskAgents, ChatDeadline, SetTimer, StopJob
from workspaced.fsm.errors import ErrorBody, Validation, VersionConflict
from workspaced.fsm.facts import Quota
from workspaced.fsm.rows import Changes, ChatWrite, Departure, Loaded, Needs
from workspaced.fsm.state import State
from workspaced.store.port import Store

CHAT, WORKSPACE = an_id(200), an_id(100)


def without_times(loaded: Loaded) -> Loaded:
    """The rows without the time at which the store itself made the version."""
    loaded.versions = [msgspec.structs.replace(row, created_at=None) for row in loaded.versions]
    return loaded


async def test_an_empty_store_loads_nothing(store: Store) -> None:
    """Needs that name unknown rows are no error."""
    needs = Needs(
        keys=("EVENTS/1/1",),
        workspaces=(WORKSPACE,),
        chats=(CHAT,),
        connections=(("SERVER", 1),),
        templates=(TEMPLATE,),
        requests=((CHAT, "call-1"),),
    )

    assert await store.read(needs) == Loaded()


async def test_every_field_comes_back_as_it_went_in(store: Store) -> None:
    """Rows with every field set survive the way there and back, under locks and without."""
    await store.put_template(a_template(), VERSION)
    later = NOW + timedelta(microseconds=1)
    workspace = a_workspace(
        ttl_ms=5, ttl_at=later, was_ready=True, next="start", next_parameters={"a": "b"}, next_initiator="bob"
    )
    build = a_build(
        transition="stop",
        prior_version_id=an_id(5),
        prior_build_id=an_id(6),
        preset_id=an_id(7),
        initiator="bob",
        request_id="r",
        worker="w",
        attempt=2,
        error='"\\u0000" is no NUL',
        error_code="INSUFFICIENT_QUOTA",
        retryable=False,
        quota=Quota(3, 2),
        reported="failed",
        started_at=later,
        canceled_at=later,
        completed_at=later,
        limited=True,
        agents_told=True,
        ready_at=later,
    )
    agent = an_agent(
        parent_id=an_id(8),
        display_order=-1,
        external=True,
        connection_timeout_seconds=0,
        troubleshooting_url="https://example.org",
        first_connected_at=NOW,
        last_connected_at=later,
        disconnected_at=later,
        server_id="SERVER",
        client_id=2**63 - 1,
        gone=True,
        lifecycle="ready",
        lifecycle_at=later,
        lifecycle_server_id="SERVER",
        lifecycle_client_id=7,
        started_at=later,
        ready_at=later,
    )
    chat = a_chat(
        state=State.FAILED,
        parent_chat_id=an_id(9),
        build_id=build.id,
        agent_id=agent.id,
        deadline_version=1,
        deadline_ms=1,
        starting_left_ms=2,
        agent_started_at=later,
    )
    transition = a_transition(
        chat,
        build_id=build.id,
        agent_id=agent.id,
        took_ms=12,
        effects=(SetTimer(later, ChatDeadline(chat.id, 1)), StopJob(build.job_id, build.id, WORKSPACE, "late")),
    )
    answer = an_input(
        build_id=build.id,
        error_status=409,
        error=ErrorBody("name_taken", "taken", "name", validations=(Validation("name", "x"),)),
        effects=(AskAgents(WORKSPACE),),
    )
    departure = Departure("SERVER", 2**63 - 1, later)
    await put(
        store,
        Changes([workspace], [build], [agent], new(chat), [transition], [answer], [a_stale_report()], [departure]),
    )
    needs = Needs(keys=("EVENTS/1/1",), chats=(CHAT,), connections=(("SERVER", 2**63 - 1),))

    async with store.batch(needs) as batch:
        locked = without_times(batch.loaded)
    read = without_times(await store.read(needs))

    template = a_template(active_version_id=VERSION, readme="")
    assert locked == read
    assert read.workspaces == [workspace]
    assert read.builds == [build]
    assert read.agents == [agent]
    assert read.chats == [chat]
    assert read.templates == [template]
    assert [(row.id, row.source) for row in read.versions] == [(VERSION, template.source)]
    assert read.inputs == [answer]
    assert read.transitions == [transition]
    assert read.departures == [departure]


async def test_a_chat_brings_its_workspace_and_all_chats_bound_to_it(store: Store) -> None:
    """One named chat is enough to load everybody whom a change of its workspace concerns."""
    await put_one(store)
    other = a_chat(201)
    await put(store, Changes(workspaces=[a_workspace(101)], chats=new(other, a_chat(202, workspace=101))))

    loaded = await store.read(Needs(chats=(CHAT,)))

    assert [row.id for row in loaded.workspaces] == [WORKSPACE]
    assert [row.id for row in loaded.chats] == [CHAT, other.id]


async def test_a_connection_brings_the_workspace_of_the_agent_that_named_it(store: Store) -> None:
    """Advisories know a connection only."""
    await put_one(store)
    await put(store, Changes(agents=[an_agent(server_id="SERVER", client_id=7)]))

    loaded = await store.read(Needs(connections=(("SERVER", 6), ("SERVER", 7))))

    assert [row.id for row in loaded.workspaces] == [WORKSPACE]
    assert [row.id for row in loaded.agents] == [an_id(900)]


async def test_only_the_latest_build_and_its_agents_are_loaded(store: Store) -> None:
    """Facts are those of the latest build; versions are those it uses and the active one."""
    await put_one(store)
    await store.put_template(a_template(source=Raw(b"2")), an_id(5))
    done, second = a_build(completed_at=NOW), a_build(2)
    await put(store, Changes(builds=[done, second], agents=[an_agent(901, build=2)]))

    loaded = await store.read(Needs(workspaces=(WORKSPACE,)))

    assert loaded.builds == [second]
    assert [row.id for row in loaded.agents] == [an_id(901)]
    assert [row.id for row in loaded.versions] == [VERSION, an_id(5)]
    assert [row.source for row in loaded.templates] == [Raw(b"2")]


async def test_an_exception_rolls_everything_back(store: Store) -> None:
    """Nothing of a batch that fails is kept."""
    await put_one(store)

    async def fail() -> None:
        async with store.batch(Needs(chats=(CHAT,))) as batch:
            await batch.write(Changes(workspaces=[a_workspace(was_ready=True)]))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert not (await store.read(Needs(chats=(CHAT,)))).workspaces[0].was_ready


async def test_a_chat_that_moved_meanwhile_is_a_conflict_and_nothing_is_written(store: Store) -> None:
    """The version guards the chat, and with it the whole batch."""
    await put_one(store)
    chat = (await store.read(Needs(chats=(CHAT,)))).chats[0]
    late = ChatWrite(msgspec.structs.replace(chat, version=9), 8)

    with pytest.raises(VersionConflict):
        await put(store, Changes(workspaces=[a_workspace(was_ready=True)], chats=[late]))

    loaded = await store.read(Needs(chats=(CHAT,)))
    assert loaded.chats == [chat]
    assert not loaded.workspaces[0].was_ready


async def test_a_chat_that_exists_is_not_made_again(store: Store) -> None:
    """Expected version 0 means that no row is there."""
    await put_one(store)

    with pytest.raises(VersionConflict):
        await put(store, Changes(chats=new(a_chat())))


async def test_a_conflict_that_the_caller_swallows_still_rolls_back(store: Store) -> None:
    """A clean exit must not commit half a batch."""
    await put_one(store)

    async def swallow() -> None:
        async with store.batch(Needs(chats=(CHAT,))) as batch:
            with suppress(VersionConflict):
                await batch.write(Changes(workspaces=[a_workspace(was_ready=True)], chats=new(a_chat())))

    with pytest.raises(VersionConflict):
        await swallow()

    assert not (await store.read(Needs(chats=(CHAT,)))).workspaces[0].was_ready


async def test_a_row_is_replaced_under_its_id(store: Store) -> None:
    """Workspaces, builds and agents are written whole."""
    await put_one(store)
    workspace = a_workspace(name="other", deleted=True)
    build = a_build(completed_at=NOW, parameters={})
    agent = an_agent(lifecycle="off")
    chat = (await store.read(Needs(chats=(CHAT,)))).chats[0]
    step = moved(chat, state=State.IDLE, deadline_at=None, build_id=None)
    await put(store, Changes([workspace], [build], [agent], [step]))

    loaded = await store.read(Needs(chats=(CHAT,)))

    assert (loaded.workspaces, loaded.builds, loaded.agents, loaded.chats) == (
        [workspace],
        [build],
        [agent],
        [step.chat],
    )


async def test_inputs_are_found_by_key_and_by_request(store: Store) -> None:
    """A redelivery is known by its key, a repeated request by chat and request id."""
    await put_one(store)
    refused = an_input("EVENTS/1/2", request_id=None, error_status=403)
    await put(store, Changes(inputs=[refused, an_input("EVENTS/1/3", request_id="call-2")]))

    by_key = await store.read(Needs(keys=("EVENTS/1/2", "EVENTS/1/9")))
    by_request = await store.read(Needs(requests=((CHAT, "call-1"), (an_id(201), "call-2"))))

    assert by_key.inputs == [refused]
    assert by_request.inputs == [an_input()]


async def test_a_refused_request_id_may_be_used_again_and_an_answered_one_not(store: Store) -> None:
    """Only answered commands carry their request id."""
    await put_one(store)
    await put(store, Changes(inputs=[an_input("EVENTS/1/2", request_id=None), an_input("EVENTS/1/3", request_id=None)]))

    with pytest.raises(VersionConflict):
        await put(store, Changes(inputs=[an_input("EVENTS/1/4")]))


async def test_transitions_are_found_by_the_key_that_caused_them(store: Store) -> None:
    """By chat and version, with what is to be said again."""
    await put_one(store)
    chats = [a_chat(202), a_chat(201)]
    rows = [
        a_transition(chats[0], "EVENTS/1/5", effects=(AskAgents(WORKSPACE),)),
        a_transition(chats[1], "EVENTS/1/5", version=2),
        a_transition(chats[1], "EVENTS/1/5"),
        a_transition(chats[1], "EVENTS/1/6", version=3),
    ]
    await put(store, Changes(transitions=rows))

    loaded = await store.read(Needs(keys=("EVENTS/1/5",)))

    assert loaded.transitions == [rows[2], rows[1], rows[0]]


async def test_a_version_is_written_once(store: Store) -> None:
    """(chat, version) is unique in history too."""
    await put_one(store)

    with pytest.raises(VersionConflict):
        await put(store, Changes(transitions=[a_transition(a_chat(), "EVENTS/1/7")]))


async def test_stale_reports_and_departures_may_be_told_twice(store: Store) -> None:
    """A redelivered input is stale again."""
    await put_one(store)
    told = Changes(stale=[a_stale_report()], departures=[Departure("SERVER", 1, NOW)])
    await put(store, told)
    await put(store, told)

    assert await store.stale_of(CHAT, 10) == [a_stale_report()]


async def test_a_second_batch_on_a_chat_waits_and_sees_what_the_first_wrote(store: Store) -> None:
    """Locks come before the snapshot."""
    await put_one(store)
    entered: list[str] = []

    async def second() -> int:
        async with store.batch(Needs(chats=(CHAT,))) as batch:
            entered.append("second")
            return batch.loaded.chats[0].version

    async with store.batch(Needs(workspaces=(WORKSPACE,))) as batch:
        waiting = asyncio.create_task(second())
        for _ in range(200):  # time enough to connect, and to enter where nothing holds it
            await store.read(Needs(chats=(CHAT,)))
            if entered:
                break
        entered.append("first")
        await batch.write(Changes(chats=[moved(batch.loaded.chats[0])]))

    assert await waiting == 2
    assert entered == ["first", "second"]


async def test_of_two_batches_that_make_one_chat_one_wins(store: Store) -> None:
    """There is no row to lock yet; the guard decides."""
    await store.put_template(a_template(), VERSION)

    async def make() -> str:
        try:
            await put(store, Changes(chats=new(a_chat(workspace=None))), Needs(chats=(CHAT,)))
        except VersionConflict:
            return "conflict"
        return "made"

    assert sorted(await asyncio.gather(make(), make())) == ["conflict", "made"]
