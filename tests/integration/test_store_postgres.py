"""What only real Postgres can show: statements counted, locks, lost connections, columns."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing

import asyncpg
import msgspec
import pytest
from asyncpg.connection import LoggedQuery

from tests.store_rows import (
    ORGANIZATION,
    OWNER,
    TEMPLATE,
    VERSION,
    a_build,
    a_chat,
    a_template,
    a_transition,
    a_workspace,
    an_agent,
    an_id,
    an_input,
    moved,
    new,
    postgres_store,
    put,
    put_one,
)
from workspaced.fsm.chat import Chat
from workspaced.fsm.errors import Unavailable, VersionConflict
from workspaced.fsm.facts import Agent, Build, Workspace
from workspaced.fsm.rows import Changes, Departure, InputRow, Needs, StaleRow, TransitionRow
from workspaced.fsm.state import State
from workspaced.fsm.template import Template, TemplateVersion
from workspaced.store.postgres import PostgresStore

CHAT, WORKSPACE = an_id(200), an_id(100)


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    """An open store on an empty database."""
    async with postgres_store(database) as store:
        yield store


@pytest.fixture
async def statements(database: str) -> AsyncIterator[tuple[PostgresStore, list[str]]]:
    """A store with one connection, and the first word of every statement on it."""
    seen: list[str] = []

    def note(logged: LoggedQuery) -> None:
        lines = (line for line in logged.query.splitlines() if line and not line.startswith("--"))
        seen.append(next(lines).split()[0].strip(";").lower())

    async with postgres_store(database, pool_size=1) as store:
        async with store.batch(Needs()) as batch:  # asyncpg looks up array types once in a connection's life
            await batch.taken_names([])
            await batch.write(Changes())
        connection = await store.pool.acquire()
        connection.add_query_logger(note)
        await store.pool.release(connection)
        yield store, seen


async def until_somebody_waits(store: PostgresStore) -> None:
    """Return as soon as a backend waits for a lock."""
    while not await store.pool.fetchval("select count(*) from pg_locks where not granted"):
        pass


@pytest.mark.parametrize("size", [1, 200])
async def test_a_batch_takes_five_statements_whatever_its_size(
    statements: tuple[PostgresStore, list[str]], size: int
) -> None:
    """BEGIN, lock, load, write, COMMIT; and one more when names are asked for."""
    store, seen = statements
    await store.put_template(a_template(), VERSION)
    numbers = range(1000, 1000 + size)
    keys = tuple(sorted(f"EVENTS/1/{n}" for n in numbers))
    needs = Needs(
        keys=keys,
        chats=tuple(an_id(n) for n in numbers),
        templates=(TEMPLATE,),
        requests=tuple((an_id(n), "call-1") for n in numbers),
        connections=(("SERVER", 1),),
    )
    chats = [a_chat(n, n, state=State.CREATING, build_id=a_build(1, n).id) for n in numbers]
    await asyncio.sleep(0)  # the logger is called a turn of the loop later
    seen.clear()

    async with store.batch(needs) as batch:
        await batch.taken_names([(OWNER, f"ws-{n}") for n in numbers])
        await batch.write(
            Changes(
                workspaces=[a_workspace(n) for n in numbers],
                builds=[a_build(1, n) for n in numbers],
                agents=[an_agent(n + 5000, n) for n in numbers],
                chats=new(*chats),
                transitions=[a_transition(chat, key) for chat, key in zip(chats, keys, strict=True)],
                inputs=[an_input(key, chat_id=chat.id) for chat, key in zip(chats, keys, strict=True)],
                departures=[Departure("SERVER", n, chats[0].entered_at) for n in numbers if chats[0].entered_at],
            )
        )

    await asyncio.sleep(0)
    assert seen == ["begin", "with", "with", "select", "with", "commit"]
    seen.clear()
    async with store.batch(needs) as batch:
        await batch.write(Changes(chats=[moved(chat) for chat in batch.loaded.chats]))
    assert len(batch.loaded.chats) == size
    await asyncio.sleep(0)
    assert seen == ["begin", "with", "with", "with", "commit"]


async def test_reads_take_one_statement(statements: tuple[PostgresStore, list[str]]) -> None:
    """So they show one moment."""
    store, seen = statements
    await put_one(store)
    await asyncio.sleep(0)
    seen.clear()

    await store.read(Needs(chats=(CHAT,)))
    await store.history(CHAT)

    await asyncio.sleep(0)
    assert seen == ["with", "select"]


async def test_a_chat_that_is_bound_while_a_batch_waits_is_a_conflict(store: PostgresStore) -> None:
    """It is not locked, so the batch must begin anew; then it is there."""
    await put_one(store)
    await put(store, Changes(chats=new(a_chat(201, workspace=None))))
    needs = Needs(workspaces=(WORKSPACE,))

    async def second() -> None:
        async with store.batch(needs):
            pass

    async with store.batch(Needs(workspaces=(WORKSPACE,), chats=(an_id(201),))) as batch:
        waiting = asyncio.create_task(second())
        await until_somebody_waits(store)
        unbound = next(chat for chat in batch.loaded.chats if chat.id == an_id(201))
        await batch.write(Changes(chats=[moved(unbound, workspace_id=WORKSPACE)]))

    with pytest.raises(VersionConflict, match="moved a row first"):
        await waiting
    async with store.batch(needs) as batch:
        assert [chat.id for chat in batch.loaded.chats] == [CHAT, an_id(201)]


async def test_batches_over_the_same_rows_never_deadlock(store: PostgresStore) -> None:
    """Workspaces before chats, each in id order, however they are named."""
    await store.put_template(a_template(), VERSION)
    numbers = range(100, 108)
    await put(
        store,
        Changes(
            workspaces=[a_workspace(n) for n in numbers],
            chats=new(*(a_chat(n + offset, n) for n in numbers for offset in (100, 300))),
        ),
    )
    dice = random.Random(1)  # noqa: S311 - the same run each time

    async def one() -> None:
        some = sorted(dice.sample(numbers, 3))
        others = sorted(dice.sample(numbers, 3))
        needs = Needs(workspaces=tuple(map(an_id, some)), chats=tuple(an_id(n + 300) for n in others))
        async with store.batch(needs) as batch:
            await batch.write(Changes(chats=[moved(chat) for chat in batch.loaded.chats]))

    await asyncio.gather(*(one() for _ in range(100)))

    page, _ = await store.chats(limit=100)
    assert sum(chat.version - 1 for chat, _ in page) >= 100 * 2 * 3


async def test_batches_on_other_rows_do_not_wait(store: PostgresStore) -> None:
    """One slow chat holds up nobody else."""
    await put_one(store)
    await put(store, Changes(chats=new(a_chat(201, workspace=None))))

    async with store.batch(Needs(chats=(CHAT,))), store.batch(Needs(chats=(an_id(201),))) as other:
        assert [chat.id for chat in other.loaded.chats] == [an_id(201)]


async def test_a_lost_connection_is_unavailable_and_the_store_recovers(store: PostgresStore, database: str) -> None:
    """Whichever step it is lost in; nothing of the batch is kept."""
    await put_one(store)

    async def lose(before_write: Changes | None) -> None:
        async with store.batch(Needs(chats=(CHAT,))) as batch:
            if before_write:
                await batch.write(before_write)
            outside = await asyncpg.connect(database)
            await outside.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where pid <> pg_backend_pid() and datname = current_database()"
            )
            await outside.close()
            if not before_write:
                await batch.write(Changes())

    for before_write in (Changes(workspaces=[a_workspace(was_ready=True)]), None):
        with pytest.raises(Unavailable) as caught:
            await lose(before_write)
        assert caught.value.detail is None

    await store.ping()
    assert not (await store.read(Needs(chats=(CHAT,)))).workspaces[0].was_ready


async def test_a_batch_that_stands_still_loses_its_locks(store: PostgresStore) -> None:
    """A stopped engine keeps nobody waiting, and writes nothing when it goes on."""
    await put_one(store)
    assert await store.pool.fetchval("show idle_in_transaction_session_timeout") == "10s"

    async def stand_still() -> None:
        async with store.batch(Needs(chats=(CHAT,))) as stopped:
            connection = stopped._connection  # noqa: SLF001 - ten seconds are too long for a test
            await connection.execute("set local idle_in_transaction_session_timeout = '20ms'")
            await put(store, Changes(workspaces=[a_workspace(was_ready=True)]), Needs(chats=(CHAT,)))
            await stopped.write(Changes(workspaces=[a_workspace(was_ready=False)]))

    with pytest.raises(Unavailable):
        await stand_still()

    assert (await store.read(Needs(chats=(CHAT,)))).workspaces[0].was_ready


async def test_a_stored_row_that_cannot_be_read_is_our_fault(store: PostgresStore) -> None:
    """It must not send the message that met it to DEAD."""
    await put_one(store)
    await store.pool.execute("update workspaced.chats set failure = null, cause = '[]'")

    with pytest.raises(msgspec.ValidationError):
        await store.read(Needs(chats=(CHAT,)))


async def test_nobody_there_is_unavailable_in_one_line() -> None:
    """At start, with the reason."""
    store = PostgresStore("postgresql://user:secret@127.0.0.1:1/x")

    with pytest.raises(Unavailable, match="cannot reach the database: "):
        await store.open()


@pytest.mark.parametrize(
    ("table", "struct", "not_columns", "only_columns"),
    [
        ("workspaces", Workspace, set(), set()),
        ("builds", Build, set(), set()),
        ("agents", Agent, set(), set()),
        ("chats", Chat, set(), {"machine_version"}),
        ("transitions", TransitionRow, set(), set()),
        ("inputs", InputRow, set(), set()),
        ("stale", StaleRow, set(), set()),
        ("departures", Departure, set(), set()),
        ("templates", Template, {"parameters", "presets", "source"}, set()),
        ("template_versions", TemplateVersion, set(), set()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_columns_are_the_fields_of_the_structs(
    store: PostgresStore, table: str, struct: type[msgspec.Struct], not_columns: set[str], only_columns: set[str]
) -> None:
    """A field without column would be lost silently."""
    rows = await store.pool.fetch(
        "select column_name from information_schema.columns where table_schema = 'workspaced' and table_name = $1",
        table,
    )

    assert {row["column_name"] for row in rows} == set(struct.__struct_fields__) - not_columns | only_columns


async def test_an_iterator_that_is_closed_gives_its_connection_back(database: str) -> None:
    """At once, not when it is collected."""
    async with postgres_store(database, pool_size=1) as store:
        await put_one(store)
        async with aclosing(store.unfinished_builds()) as builds:
            async for _ in builds:
                break

        assert store.pool.get_idle_size() == 1


async def test_a_template_may_be_listed_while_thousands_of_rows_stream(store: PostgresStore) -> None:
    """An iterator holds a connection of its own and fetches as it goes."""
    await store.put_template(a_template(), VERSION)
    numbers = range(1000, 3500)
    await put(
        store,
        Changes(
            workspaces=[a_workspace(n) for n in numbers],
            chats=new(*(a_chat(n, n, state=State.BINDING, build_id=a_build(1, n).id) for n in numbers)),
        ),
    )
    count = 0
    async for _ in store.timers():
        if count % 1000 == 0:
            assert (await store.templates(organization_id=ORGANIZATION))[1] == 1
        count += 1

    assert count == len(numbers)


async def test_two_batches_about_one_connection(database: str) -> None:
    """The second waits until the first is over, also when no agent has named the connection yet."""
    async with postgres_store(database) as store:
        needs = Needs(connections=(("NSERVER", 7),))
        order: list[str] = []

        async def second() -> None:
            async with store.batch(needs):
                order.append("second")

        async with store.batch(needs):
            waiting = asyncio.create_task(second())
            await until_somebody_waits(store)
            order.append("first")
        await waiting

    assert order == ["first", "second"]
