"""Names of workspaces that clash, on the real servers (domain.md 4.1): chance is the test's, the clash is not."""

import asyncio
from collections.abc import Iterator
from itertools import cycle
from uuid import uuid4

import pytest

from tests.e2e.scene import Scene
from tests.e2e.stack import Stack
from workspaced.app.clock import RandomIds
from workspaced.fsm.errors import Conflict, Validation


@pytest.fixture(autouse=True)
def chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every create draws 1, 2, 3, 4: the suffixes of its first choice and of three more."""
    drawn: Iterator[int] = cycle([1, 2, 3, 4])
    monkeypatch.setattr(RandomIds, "below", lambda _, limit: next(drawn) % limit)


async def name_of(scene: Scene, name: str | None = None) -> str:
    """What another chat of the owner gets."""
    snapshot = (await scene.ask("create", chat_id=str(uuid4()), name=name)).snapshot
    assert snapshot
    assert snapshot.workspace
    return snapshot.workspace.name


async def test_a_generated_name_that_clashes(stack: Stack) -> None:
    """It gets another suffix, up to three times; then the create is refused, and makes nothing."""
    await stack.engine()
    mine, another = Scene(stack), Scene(stack)
    names = [await name_of(mine) for _ in range(4)]
    with pytest.raises(Conflict) as refused:
        await mine.ask("create")

    assert names == ["plain-0001", "plain-0002", "plain-0003", "plain-0004"]
    assert (refused.value.code, refused.value.field) == ("name_taken", "name")
    assert str(refused.value) == "a workspace with this name already exists"
    assert refused.value.validations == (Validation("name", "plain-0001 is taken"),)
    assert await mine.look() is None
    assert len(await stack.sql("select from workspaced.workspaces")) == 4
    assert await name_of(another) == "plain-0001"


async def test_two_engines_choose_at_once(stack: Stack) -> None:
    """Whoever comes second decides again; nobody is refused while there is a suffix left."""
    await stack.engine()
    await stack.engine()
    scene = Scene(stack)

    names = await asyncio.gather(*(name_of(scene) for _ in range(4)))

    assert sorted(names) == ["plain-0001", "plain-0002", "plain-0003", "plain-0004"]
    assert await stack.stored("DEAD") == []


async def test_one_name_at_once(stack: Stack) -> None:
    """A given name is taken by one of two engines' chats, and the other is refused."""
    await stack.engine()
    await stack.engine()
    scene = Scene(stack)

    found = await asyncio.gather(*(name_of(scene, name) for name in ("Dev", "dev", "DEV")), return_exceptions=True)

    refused = [each for each in found if isinstance(each, Conflict)]
    assert [each.code for each in refused] == ["name_taken"] * 2
    assert len(await stack.sql("select from workspaced.workspaces where lower(name) = 'dev'")) == 1


GENERATED = {
    " Dev ": "Dev",
    "": "plain-0001",
    "  ": "plain-0001",
    "My Box!": "mybox-0001",
    "ann@example.com": "ann-0001",
    "x" * 33: "brave-beacon-0003",
    "new": "brave-beacon-0003",
    "a--b": "brave-beacon-0003",
}


async def test_what_a_name_becomes(stack: Stack, subtests: pytest.Subtests) -> None:
    """A valid one is used as it is; else one is made from what was given, or from the template's."""
    await stack.engine()
    for given, expected in GENERATED.items():
        with subtests.test(given):
            assert await name_of(Scene(stack), given) == expected


async def test_a_name_is_free_again(stack: Stack, subtests: pytest.Subtests) -> None:
    """Of a workspace that is deleted, or whose clean-up delete is requested."""
    await stack.engine()
    deleted, canceled = Scene(stack), Scene(stack)
    await deleted.ask("create", name="dev")
    await deleted.ask("delete")
    with pytest.raises(Conflict):
        await name_of(deleted, "dev")
    await deleted.job("succeeded")
    await canceled.ask("create", name="dev")
    await canceled.built()
    await canceled.ask("cancel")

    for name, scene in {"deleted": deleted, "cleaned up": canceled}.items():
        with subtests.test(name):
            assert await name_of(scene, "dev") == "dev"
