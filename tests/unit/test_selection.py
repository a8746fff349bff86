"""Which agent a chat is bound to (domain.md 7.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import an_agent, an_id
from workspaced.fsm.facts import Agent
from workspaced.fsm.selection import root_agents, select_agent


def agents(*names: str) -> list[Agent]:
    """Root agents of these names."""
    return [an_agent(an_id(900 + number), name) for number, name in enumerate(names)]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["main"], "main"),
        (["b", "a"], "a"),
        (["B", "a"], "a"),
        (["a", "A"], "A"),
        (["a", "z-coderd-chat"], "z-coderd-chat"),
        (["a", "z-CODERD-Chat"], "z-CODERD-Chat"),
        (["a", "-coderd-chat"], "-coderd-chat"),
        (["a", "coderd-chat"], "a"),
        (["a", "x-coderd-chat-2"], "a"),
    ],
)
def test_the_chosen_one(names: list[str], chosen: str) -> None:
    """One with the suffix, else the first."""
    agent = select_agent(agents(*names))

    assert isinstance(agent, Agent)
    assert agent.name == chosen


def test_the_order() -> None:
    """display_order, lower-case name, exact name, id."""
    told = [
        an_agent(an_id(6), "a", display_order=1),
        an_agent(an_id(5), "b"),
        an_agent(an_id(4), "a"),
        an_agent(an_id(3), "A"),
        an_agent(an_id(2), "a"),
        an_agent(an_id(1), "z", display_order=-1),
    ]

    assert [agent.id for agent in root_agents(told)] == [an_id(number) for number in (1, 3, 2, 4, 5, 6)]


def test_two_of_the_suffix() -> None:
    """The text names them in order."""
    told = agents("B-coderd-chat", "a-coderd-chat", "main")

    assert select_agent(told) == (
        'multiple agents match the chat suffix "-coderd-chat": a-coderd-chat, B-coderd-chat; only one agent should use '
        "this suffix"
    )


@pytest.mark.parametrize("told", [[], [an_agent(parent_id=an_id(1))], [an_agent(announced=False)]])
def test_nobody(told: list[Agent]) -> None:
    """Sub-agents and agents that are not announced do not count."""
    assert select_agent(told) == "no eligible workspace agents found"


@given(st.permutations(agents("c", "a-coderd-chat", "b", "B", "a")))
def test_the_order_in_which_they_are_told_does_not_matter(told: list[Agent]) -> None:
    """The rule sorts by itself."""
    agent = select_agent(told)

    assert isinstance(agent, Agent)
    assert agent.name == "a-coderd-chat"
