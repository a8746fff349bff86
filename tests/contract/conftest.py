"""The store, twice: in memory and on Postgres."""

from collections.abc import AsyncIterator

import pytest

from tests.store_rows import postgres_store
from workspaced.store.memory import MemoryStore
from workspaced.store.port import Store


@pytest.fixture(params=["memory", "postgres"])
def store_dsn(request: pytest.FixtureRequest) -> str | None:
    """An empty database, or None for the twin; a sync fixture, for only those may ask for async ones by name."""
    return None if request.param == "memory" else str(request.getfixturevalue("database"))


@pytest.fixture
async def store(store_dsn: str | None) -> AsyncIterator[Store]:
    """An open, empty store."""
    if store_dsn is None:
        yield MemoryStore()
    else:
        async with postgres_store(store_dsn) as store:
            yield store
