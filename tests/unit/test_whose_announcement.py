"""To whose organization an announcement goes that is said again."""

import pytest
from msgspec import Raw

from tests.builders import ANOTHER_ORGANIZATION, CHAT, NOW, ORGANIZATION, WORKSPACE, CountedIds, a_workspace
from workspaced.fsm.apply import apply
from workspaced.fsm.chat import Cause, Chat
from workspaced.fsm.events import ConnectionLost
from workspaced.fsm.inputs import Input
from workspaced.fsm.rows import Loaded, TransitionRow
from workspaced.fsm.settings import Settings
from workspaced.fsm.state import State
from workspaced.fsm.world import World

KEY = "EVENTS/e/1"
ROW = TransitionRow(
    CHAT, 3, State.READY, State.CONNECTING, Cause("x", "m1", NOW), NOW, "m1", KEY, Raw(b"{}"), workspace_id=WORKSPACE
)
ITEM = Input(KEY, "m1", NOW, NOW, "ws.sys.disconnect", ConnectionLost("S", 1, "gone"))


@pytest.mark.parametrize(
    ("chats", "whose"),
    [([], ORGANIZATION), ([Chat(CHAT, "owner", "ann", ANOTHER_ORGANIZATION, version=4)], ANOTHER_ORGANIZATION)],
    ids=["left the workspace", "loaded"],
)
def test_an_announcement_said_again(chats: list[Chat], whose: str) -> None:
    """The chat's; of a chat that has left the workspace since, and is not loaded, the workspace's."""
    world = World(Loaded(workspaces=[a_workspace()], chats=chats, transitions=[ROW]), NOW, CountedIds(), Settings())

    apply(world, ITEM)

    assert world.said.replayed == [ROW]
    assert world.said.organizations == {CHAT: whose}
