"""Streams and consumers on a real server: made once, repeated without harm, checked with an engine's permissions."""

from datetime import timedelta

import pytest

from tests.servers import Connections
from workspaced.bus import jetstream, streams
from workspaced.bus.codec import MAX_BODY
from workspaced.bus.streams import Limits
from workspaced.fsm.errors import Unavailable

BOTH = [streams.EVENTS, streams.TIMERS]


async def test_ensure_is_idempotent(connect: Connections) -> None:
    """A second time changes nothing, not even the epochs."""
    admin, engine = await connect("admin"), await connect("engine")
    await jetstream.ensure(admin, ("local",))
    before = await jetstream.check(engine)
    await jetstream.ensure(admin, ("local",))

    assert before == await jetstream.check(engine)


async def test_ensure_updates(connect: Connections) -> None:
    """Other limits and another tag are brought about in place."""
    admin = await connect("admin")
    await jetstream.ensure(admin, ("local",))
    await jetstream.ensure(admin, ("terraform",), Limits(dead_age=timedelta(days=1), ack_wait=timedelta(seconds=7)))
    dead = await jetstream.request(admin, "STREAM.INFO.DEAD")
    engine = await jetstream.request(admin, "CONSUMER.INFO.EVENTS.engine")
    names = await jetstream.request(admin, "CONSUMER.NAMES.JOBS")

    assert dead["config"]["max_age"] == 86_400 * 10**9
    assert engine["config"]["ack_wait"] == 7 * 10**9
    assert sorted(names["consumers"]) == ["local", "terraform"]


async def test_definitions(connect: Connections) -> None:
    """What the contract promises stands in the server's configuration."""
    admin = await connect("admin")
    await jetstream.ensure(admin, ("local",), Limits(job_lease=timedelta(seconds=9)))
    configs = {name: (await jetstream.request(admin, f"STREAM.INFO.{name}"))["config"] for name in streams.SUBJECTS}
    job = (await jetstream.request(admin, "CONSUMER.INFO.JOBS.local"))["config"]

    assert {name: tuple(config["subjects"]) for name, config in configs.items()} == streams.SUBJECTS
    assert [configs[name]["max_msg_size"] for name in ("EVENTS", "LOGS")] == [MAX_BODY, MAX_BODY]
    assert configs["TIMERS"]["allow_msg_schedules"]
    assert configs["TIMERS"]["allow_msg_ttl"]
    assert "allow_msg_schedules" not in configs["EVENTS"]  # else every publisher could write every event
    assert configs["JOBS"]["retention"] == "workqueue"
    assert configs["CHATS"]["max_age"] == 0
    assert (job["filter_subject"], job["ack_wait"], job["max_deliver"]) == ("ws.job.local.>", 9 * 10**9, -1)


async def test_check_names_a_missing_stream(connect: Connections) -> None:
    """One line says what is missing and what to do."""
    engine = await connect("engine")
    with pytest.raises(Unavailable) as caught:
        await jetstream.check(engine)

    assert str(caught.value) == "NATS has no stream EVENTS; run `workspaced migrate`"


@pytest.mark.parametrize("stream", BOTH)
async def test_check_names_a_missing_consumer(connect: Connections, stream: str) -> None:
    """Streams without the engine's consumer are not enough."""
    admin, engine = await connect("admin"), await connect("engine")
    await jetstream.ensure(admin)
    await jetstream.request(admin, f"CONSUMER.DELETE.{stream}.engine")
    with pytest.raises(Unavailable) as caught:
        await jetstream.check(engine)

    assert str(caught.value) == f"NATS has no consumer engine of stream {stream}; run `workspaced migrate`"


async def test_a_stream_made_anew_has_another_epoch(connect: Connections) -> None:
    """So the keys of its messages are others too."""
    admin, engine = await connect("admin"), await connect("engine")
    await jetstream.ensure(admin)
    before = await jetstream.check(engine)
    await jetstream.request(admin, "STREAM.DELETE.EVENTS")
    await jetstream.ensure(admin)
    after = await jetstream.check(engine)

    assert before["EVENTS"] != after["EVENTS"]
    assert before["TIMERS"] == after["TIMERS"]


async def test_who_may_not_ask_is_told(connect: Connections) -> None:
    """A role without the permission gets an error, not silence for ever."""
    chatd = await connect("chatd")
    with pytest.raises(Unavailable):
        await jetstream.check(chatd)
