"""The machine in every state, under every event and every combination of guards (design.md section 2)."""

from functools import cache
from itertools import product

import pytest

from workspaced.fsm.drawing import diagram, moves, table
from workspaced.fsm.machine import Guards, Heals, NotAllowed, Provisioning, Standing, advance
from workspaced.fsm.reach import Reach
from workspaced.fsm.state import WAITING, State

GUARDS = [Guards(*values) for values in product(Reach, (False, True), Heals)]
EVENTS = ("observe", "expire", "retry")
EVERYTHING = list(product(State, EVENTS, GUARDS))


@cache
def after(state: State, event: str, guards: Guards) -> tuple[State, Guards] | None:
    """Where the machine rests and what it stands on then; None for a move that does not exist."""
    try:
        path = advance(state, event, guards)
    except NotAllowed:
        return None
    fresh = guards.fresh and State.CREATING not in path
    return (path[-1] if path else state), guards._replace(fresh=fresh)


def test_every_combination_is_there() -> None:
    """12 reaches, fresh or not, 7 kinds of healing, in 8 states under 3 events."""
    assert len(EVERYTHING) == 8 * 3 * 12 * 2 * 7


def test_observe_is_defined_everywhere() -> None:
    """Whatever is known, a look at it has an answer."""
    assert all(after(state, "observe", guards) is not None for state, guards in product(State, GUARDS))


def test_no_combination_moves_in_a_circle() -> None:
    """No path comes to a state twice, but for the one that it began in: a new build, or another failure."""
    for state, event, guards in EVERYTHING:
        if after(state, event, guards) is None:
            continue
        path = advance(state, event, guards)
        assert len(set(path)) == len(path), (state, event, guards, path)


def test_after_every_move_it_is_at_rest() -> None:
    """A second look at the same facts moves nothing: there is no cycle without an input."""
    for state, event, guards in EVERYTHING:
        rest = after(state, event, guards)
        if rest is None:
            continue
        # A machine that has just failed waits for what its new failure waits for; nothing that holds already.
        heals = Heals.NO if advance(state, event, guards) else guards.heals
        assert advance(rest[0], "observe", rest[1]._replace(heals=heals)) == (), (state, event, guards)


def test_no_failure_heals_by_the_facts_that_made_it() -> None:
    """Each failure's own condition for healing does not hold when it is made."""
    made = {
        Reach.PENDING: Heals.TAKEN,
        Reach.RUNNING: Heals.BUILT,
        Reach.BUILT: Heals.AGENTS,
        Reach.AWAY: Heals.LINK,
        Reach.STARTING: Heals.READY,
        Reach.UNWELL: Heals.RESTART,
    }
    for reach, heals in made.items():
        assert advance(State.FAILED, "observe", Guards(reach, heals=heals)) == ()


@pytest.mark.parametrize("state", WAITING)
def test_every_waiting_state_can_expire(state: State) -> None:
    """Its deadline fails it, whatever it waits for."""
    waits = {
        State.CREATING: Reach.PENDING,
        State.BUILDING: Reach.RUNNING,
        State.BINDING: Reach.BUILT,
        State.CONNECTING: Reach.AWAY,
        State.STARTING: Reach.STARTING,
    }

    assert advance(state, "observe", Guards(waits[state])) == ()
    assert advance(state, "expire", Guards(waits[state])) == (State.FAILED,)


@pytest.mark.parametrize("state", [State.IDLE, State.READY, State.FAILED])
def test_nothing_else_can(state: State) -> None:
    """A state without a deadline knows no `expire` where it rests."""
    for guards in GUARDS:
        if advance(state, "observe", guards) == ():
            assert after(state, "expire", guards) is None


def test_only_failed_can_be_sent_back() -> None:
    """`retry` is for a chat that gave up while there is something to wait for."""
    waits = {Reach.PENDING, Reach.RUNNING, Reach.AWAY, Reach.STARTING}
    for state, guards in product(State, GUARDS):
        if advance(state, "observe", guards) == () and state is not State.FAILED:
            assert after(state, "retry", guards) is None
        if advance(state, "observe", guards) == () and state is State.FAILED:
            assert (after(state, "retry", guards) is not None) == (guards.reach in waits)


def test_a_refused_event_leaves_the_state() -> None:
    """The machine at rest stays where it is, and asking again gives the same answer."""
    for state, event, guards in EVERYTHING:
        if event == "observe" or advance(state, "observe", guards):
            continue
        if after(state, event, guards) is None:
            model = Standing(state, guards)
            machine = Provisioning(model)
            with pytest.raises(Exception, match="Can't"):
                machine.send(event)
            assert model.state == state


def test_ready_implies_that_the_agent_is() -> None:
    """A machine at rest in ready has a connected agent whose lifecycle is ready, and has seen the latest build."""
    for state, event, guards in EVERYTHING:
        rest = after(state, event, guards)
        if rest is not None and rest[0] is State.READY:
            assert (rest[1].reach, rest[1].fresh) == (Reach.READY, False)


def test_idle_implies_that_no_start_build_is_the_latest() -> None:
    """And nothing else rests there."""
    for state, guards in product(State, GUARDS):
        rest = after(state, "observe", guards)
        assert rest is not None
        assert (rest[0] is State.IDLE) == (guards.reach is Reach.NONE)


def test_where_a_machine_rests() -> None:
    """With facts that the state has seen, each state rests only where it should; failed may rest anywhere."""
    rests: dict[State, set[Reach]] = {state: set() for state in State}
    for state, guards in product(State, GUARDS):
        rest = after(state, "observe", guards._replace(fresh=True) if guards.reach else guards)
        assert rest is not None
        rests[rest[0]].add(guards.reach)

    assert rests == {
        State.IDLE: {Reach.NONE},
        State.CREATING: {Reach.PENDING},
        State.BUILDING: {Reach.RUNNING},
        State.BINDING: {Reach.BUILT},
        State.CONNECTING: {Reach.AWAY},
        State.STARTING: {Reach.STARTING},
        State.READY: {Reach.READY},
        State.FAILED: {Reach.UNTAKEN, Reach.BROKEN, Reach.NO_AGENT, Reach.AMBIGUOUS, Reach.UNWELL},
    }


def test_ready_can_be_reached_from_everywhere() -> None:
    """By facts that improve, by a retry, or by a new build."""
    for state, heals in product(State, Heals):
        newer = advance(state, "observe", Guards(Reach.READY, fresh=True, heals=heals))
        assert (newer or (state,))[-1] is State.READY


@pytest.mark.parametrize(
    ("reach", "heals"),
    [
        (Reach.PENDING, Heals.TAKEN),
        (Reach.RUNNING, Heals.TAKEN),
        (Reach.RUNNING, Heals.BUILT),
        (Reach.AWAY, Heals.LINK),
        (Reach.STARTING, Heals.READY),
        (Reach.STARTING, Heals.RESTART),
        (Reach.AWAY, Heals.RESTART),
    ],
)
def test_ready_can_be_reached_after_a_retry(reach: Reach, heals: Heals) -> None:
    """Where a retry is allowed, the state that it leads to moves on with the facts."""
    guards = Guards(reach, heals=heals)
    rested = after(State.FAILED, "observe", guards)
    assert rested is not None
    back = rested if rested[0] is not State.FAILED else after(State.FAILED, "retry", guards)
    assert back is not None

    assert advance(back[0], "observe", Guards(Reach.READY))[-1] is State.READY


def test_a_new_build_forgets_the_old_failure() -> None:
    """What the failure before waited for does not move the machine within the new build."""
    for heals in Heals:
        guards = Guards(Reach.NO_AGENT, fresh=True, heals=heals)
        assert advance(State.FAILED, "observe", guards) == (
            State.CREATING,
            State.BUILDING,
            State.BINDING,
            State.FAILED,
        )


def test_every_state_is_entered_and_left() -> None:
    """No state is a dead end, none is out of reach."""
    pairs = {(source, target) for source, _, _, target in moves() if source != target}

    assert {source for source, _ in pairs} == set(State)
    assert {target for _, target in pairs} == set(State)


def test_the_diagram_and_the_table_show_every_move() -> None:
    """They are made from the machine, so they cannot drift."""
    for source, event, guard, target in moves():
        assert source == target or f"{source} --> {target}" in diagram()
        assert f"| {source} | {target} | {event or guard} |" in table()
