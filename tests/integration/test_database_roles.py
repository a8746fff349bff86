"""The grants of docs/security.md: an engine without DDL, a callout that knows agents only."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from tests.permission_table import snippet
from workspaced.fsm.template import Template
from workspaced.store.logins import Logins
from workspaced.store.migrations import migrate
from workspaced.store.postgres import PostgresStore

ROLES = ("workspaced_owner", "workspaced_engine", "workspaced_callout")


def as_role(dsn: str, role: str) -> str:
    """The same database as another role."""
    return dsn.replace("postgresql://postgres@", f"postgresql://{role}@")


@pytest.fixture
async def granted(database: str) -> AsyncIterator[str]:
    """A database that its owner has migrated and opened to the others."""
    admin = await asyncpg.connect(database)
    name = await admin.fetchval("select current_database()")
    for role in ROLES:
        await admin.execute(f"create role {role} login")
    await admin.execute(f"grant create on database {name} to workspaced_owner")
    await migrate(as_role(database, "workspaced_owner"))
    owner = await asyncpg.connect(as_role(database, "workspaced_owner"))
    await owner.execute(snippet("grants"))
    await owner.close()
    yield database
    await admin.execute("drop schema workspaced cascade")
    for role in reversed(ROLES):
        await admin.execute(f"drop owned by {role}; drop role {role}")
    await admin.close()


async def test_the_engine_works_without_ddl(granted: str) -> None:
    """Everything it does is rows."""
    store, version = PostgresStore(as_role(granted, "workspaced_engine")), str(uuid4())
    await store.open()
    await store.check_schema()
    template = Template(id=str(uuid4()), organization_id=str(uuid4()), name="plain", active_version_id=version)
    await store.put_template(template, version)
    templates, count = await store.templates()
    await store.close()

    assert ([template.name for template, _ in templates], count) == (["plain"], 1)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("workspaced_engine", "create table workspaced.mine (id integer)"),
        ("workspaced_engine", "drop table workspaced.chats"),
        ("workspaced_engine", "alter table workspaced.chats add column mine integer"),
        ("workspaced_engine", "truncate workspaced.transitions"),
        ("workspaced_callout", "select * from workspaced.chats"),
        ("workspaced_callout", "select * from workspaced.transitions"),
        ("workspaced_callout", "update workspaced.builds set agent_secret_hash = ''"),
    ],
)
async def test_what_is_not_granted(granted: str, role: str, statement: str) -> None:
    """Neither the schema nor what the role has nothing to do with."""
    connection = await asyncpg.connect(as_role(granted, role))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_callout_looks_up_and_notes(granted: str) -> None:
    """All of its queries are granted."""
    logins = Logins(as_role(granted, "workspaced_callout"))
    await logins.open()
    admitted = await logins.admit(str(uuid4()), "0" * 64, str(uuid4()), ("SERVER", 1))
    revoked = await logins.revoked()
    await logins.forget([("SERVER", 1)])
    await logins.close()

    assert (admitted, revoked) == (None, [])
