"""The chat daemon's client on a real server: what it asks, and how often."""

from datetime import timedelta

import msgspec
import pytest

from tests.bus_messages import CHAT, ORGANIZATION, OWNER, WORKSPACE, a_snapshot, an_id
from tests.chat_engine import Engine, a_client
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.connection import open_connection
from workspaced.bus.messages import ChatList, ListRequest, Reply, TemplateReply
from workspaced.bus.request import Patience
from workspaced.fsm.commands import Create
from workspaced.fsm.errors import Conflict, Forbidden, NotFound, Unavailable
from workspaced.fsm.state import State
from workspaced.fsm.template import Template


async def create(client: WorkspacedClient, request_id: str | None = None) -> Reply:
    """A create with all it needs."""
    return await client.create(
        CHAT, owner=OWNER, organization_id=ORGANIZATION, template_id=an_id(8), request_id=request_id
    )


async def test_a_command(engine: Engine, client: WorkspacedClient) -> None:
    """The reply comes back typed; the body says what was asked."""
    engine.answers = [Reply("accepted", a_snapshot(1, State.CREATING), build_id=an_id(3))]
    reply = await create(client, "r1")
    sent = msgspec.json.decode(engine.bodies[0], type=Create)

    assert Reply("accepted", a_snapshot(1, State.CREATING), build_id=an_id(3)) == reply
    assert (CHAT, "r1", OWNER, an_id(8)) == (sent.chat_id, sent.request_id, sent.owner, sent.template_id)


async def test_each_command_has_its_own_request_id(engine: Engine, client: WorkspacedClient) -> None:
    """Unless the caller gives one."""
    engine.answers = [Reply("accepted", None), Reply("accepted", None)]
    await create(client)
    await create(client)
    first, second = (msgspec.json.decode(body, type=Create).request_id for body in engine.bodies)

    assert first != second


async def test_unavailable_is_asked_again(engine: Engine, client: WorkspacedClient) -> None:
    """With the very same body, so that the engine recognises it."""
    engine.answers = [Unavailable(), Unavailable(), Reply("exists", None)]
    reply = await create(client)

    assert reply.outcome == "exists"
    assert len(engine.bodies) == 3
    assert len(set(engine.bodies)) == 1


async def test_three_attempts(engine: Engine, client: WorkspacedClient) -> None:
    """Then the caller hears of it."""
    engine.answers = [Unavailable("store") for _ in range(4)]
    with pytest.raises(Unavailable, match="store"):
        await create(client)

    assert len(engine.bodies) == 3


async def test_refusals_are_not_asked_again(engine: Engine, client: WorkspacedClient) -> None:
    """They are raised as the engine raised them."""
    engine.answers = [Conflict("taken", code="name_taken", field="name")]
    with pytest.raises(Conflict) as caught:
        await create(client)

    assert (caught.value.code, caught.value.field, len(engine.bodies)) == ("name_taken", "name", 1)


async def test_without_an_engine(engine: Engine, nats: NatsServer) -> None:
    """It is said in words that help."""
    await engine.service.stop()
    async with await a_client(nats, patience=Patience(attempts=1)) as client:
        with pytest.raises(Unavailable, match="no workspaced engine is running"):
            await client.get(CHAT)


async def test_get(engine: Engine, client: WorkspacedClient) -> None:
    """The snapshot, or NotFound."""
    await engine.move(4, State.READY)

    assert await client.get(CHAT) == a_snapshot(4, State.READY)
    with pytest.raises(NotFound):
        await client.get(WORKSPACE)


async def test_list(engine: Engine, client: WorkspacedClient) -> None:
    """A page, typed."""
    engine.answers = [ChatList((a_snapshot(),), next=CHAT)]
    page = await client.list_chats(ListRequest(state=State.IDLE))

    assert ChatList((a_snapshot(),), next=CHAT) == page
    assert msgspec.json.decode(engine.bodies[0]) == {"state": "idle"}


async def test_templates(engine: Engine, as_admin: WorkspacedClient) -> None:
    """A mapping without an id is as good as a struct; the source comes back as it was."""
    template = Template(an_id(8), ORGANIZATION, "go", source=msgspec.Raw(b'{"a":1}'))
    engine.answers = [TemplateReply(template, ("nobody serves it",)), TemplateReply(template)]
    reply = await as_admin.put_template({"name": "go", "organization_id": ORGANIZATION})
    again = await as_admin.get_template(an_id(8))

    assert msgspec.json.decode(engine.bodies[0]) == {"template": {"name": "go", "organization_id": ORGANIZATION}}
    assert reply.warnings == ("nobody serves it",)
    assert bytes(again.source) == b'{"a":1}'


async def test_a_wrong_password(nats: NatsServer) -> None:
    """One line, without the password."""
    with pytest.raises(Unavailable, match=r"refuses user 'chatd'; check name and password$"):
        await open_connection(nats.url, user="chatd", password="hunter2", limit=timedelta(seconds=1))  # noqa: S106 - nobody's


async def test_nobody_there() -> None:
    """The first connect gives up after its limit."""
    with pytest.raises(Unavailable, match=r"^NATS at 127.0.0.1:1 does not answer: "):
        await open_connection("nats://u:hunter2@127.0.0.1:1", limit=timedelta(seconds=0.2))


async def test_what_nats_does_not_let_one_ask_is_said_at_once(client: WorkspacedClient) -> None:
    """Not after three timeouts, and not as if nobody answered; other requests over the connection are not held up."""
    with pytest.raises(Forbidden, match=r"NATS does not let this user ask ws\.api\.settings\.put") as refused:
        await client.put_settings({"building_deadline": "1m"})

    assert refused.value.code == "forbidden"
    with pytest.raises(Unavailable, match="no workspaced engine is running"):
        await client.settings()
