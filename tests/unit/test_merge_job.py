"""Reports on a job: any order, repetition and delay ends in the same status (domain.md 6.1)."""

from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.builders import AGENT, NOW, a_build, a_job_report, an_agent_report, an_id, facts_with
from tests.situations import a_chat_in
from workspaced.fsm.events import JobChanged
from workspaced.fsm.facts import Build, Facts, job_status
from workspaced.fsm.merge import merge_job
from workspaced.fsm.reach import reach
from workspaced.fsm.values import JobStatus

RANK = {"pending": 0, "running": 1, "canceling": 2, "succeeded": 3, "failed": 3, "canceled": 3}
ENDS: list[JobStatus] = ["succeeded", "failed", "canceled"]


@st.composite
def jobs(draw: st.DrawFn) -> list[JobChanged]:
    """All that is told about one job: a few attempts, the last of which comes to an end, told once or twice.

    A provisioner tells `canceling` only of a job that the engine has canceled, whose success is none any more.
    """
    build, end = a_build(), draw(st.sampled_from(ENDS))
    told = [a_job_report(build, "pending")] if draw(st.booleans()) else []
    attempts = draw(st.integers(1, 3))
    for attempt in range(1, attempts + 1):
        told.append(a_job_report(build, "running", attempt=attempt, worker=f"w{attempt}"))
        if end != "succeeded" and attempt == attempts and draw(st.booleans()):
            told.append(a_job_report(build, "canceling", attempt=attempt))
    agents = (an_agent_report(),) if end == "succeeded" else None
    if agents and draw(st.booleans()):
        told.append(a_job_report(build, end, attempt=attempts))
    told.append(a_job_report(build, end, attempt=attempts, agents=agents, error="no" if end == "failed" else ""))
    return told


def after(told: list[JobChanged]) -> Facts:
    """Facts after the reports in that order."""
    facts = facts_with(a_build())
    for number, report in enumerate(told):
        facts = merge_job(facts, report, NOW + timedelta(seconds=number)).facts
    return facts


@given(st.data())
def test_any_order_ends_in_the_same_status(data: st.DataObject) -> None:
    """Shuffled and doubled, the reports on a job leave the status and the agents that they leave in order.

    One difference stays: whether a job that failed had been taken, when its `running` comes after its end.
    """
    told = data.draw(jobs())
    expected = after(told)

    facts = after(data.draw(st.permutations(told + data.draw(st.lists(st.sampled_from(told), max_size=4)))))

    assert facts.build is not None
    assert expected.build is not None
    assert job_status(facts.build) == job_status(expected.build)
    assert [agent.id for agent in facts.agents] == [agent.id for agent in expected.agents]
    assert (facts.build.error, facts.build.agents_told) == (expected.build.error, expected.build.agents_told)
    if job_status(facts.build) == "succeeded":
        assert reach(facts) == reach(expected)


@given(st.data())
def test_a_status_never_goes_back(data: st.DataObject) -> None:
    """Whatever comes, and a repeated report changes nothing at all."""
    facts, rank, attempt = facts_with(a_build()), 0, 0
    for report in data.draw(st.permutations(data.draw(jobs()))):
        facts = merge_job(facts, report, NOW).facts
        assert facts.build is not None
        assert RANK[job_status(facts.build)] >= rank
        assert facts.build.attempt >= attempt
        rank, attempt = RANK[job_status(facts.build)], facts.build.attempt
        assert merge_job(facts, report, NOW + timedelta(seconds=1)).facts is facts


@given(st.data())
def test_chats_end_where_they_would_in_order(data: st.DataObject) -> None:
    """The whole way through the machine."""
    told = data.draw(jobs())

    states = []
    for order in (told, data.draw(st.permutations(told))):
        stage = a_chat_in("creating")
        for report in order:
            named = (report.report.attempt, report.report.agents, report.report.error)
            stage.job(report.status, attempt=named[0], agents=named[1], error=named[2])
        states.append((stage.state, stage.chat.failure and stage.chat.failure.code, stage.chat.agent_id))

    assert states[0] == states[1]


STATUS: list[tuple[dict[str, object], JobStatus]] = [
    ({}, "pending"),
    ({"started_at": NOW}, "running"),
    ({"canceled_at": NOW}, "canceling"),
    ({"started_at": NOW, "canceled_at": NOW}, "canceling"),
    ({"error": "x"}, "failed"),
    ({"error": "x", "canceled_at": NOW}, "failed"),
    ({"completed_at": NOW}, "succeeded"),
    ({"completed_at": NOW, "error": "x"}, "failed"),
    ({"completed_at": NOW, "error": "x", "canceled_at": NOW}, "failed"),
    ({"completed_at": NOW, "canceled_at": NOW}, "canceled"),
    ({"completed_at": NOW, "reported": "failed"}, "failed"),
    ({"completed_at": NOW, "reported": "failed", "canceled_at": NOW}, "canceled"),
]


@pytest.mark.parametrize(("fields", "status"), STATUS)
def test_the_status_is_computed(fields: dict[str, object], status: JobStatus) -> None:
    """First match wins: an error wins over a cancel."""
    assert job_status(replace(a_build(reported="pending"), **fields)) == status


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", get_args(JobStatus))
def test_the_first_end_is_final(first: JobStatus, second: JobStatus) -> None:
    """Whatever is told afterwards changes nothing."""
    facts = _told(_told(facts_with(a_build()), "running"), first)

    merged = merge_job(facts, a_job_report(_build(facts), second), NOW)

    assert merged.facts is facts
    assert merged.stale == "the job is over"


def test_each_report_keeps_its_times() -> None:
    """The first `running` and the end, by the provisioner's clock."""
    facts = facts_with(a_build())
    times = [NOW + timedelta(seconds=second) for second in (1, 2, 3)]
    for at, (status, attempt) in zip(times, [("running", 1), ("running", 2), ("succeeded", 2)], strict=True):
        facts = merge_job(facts, a_job_report(_build(facts), status, attempt=attempt), at).facts  # type: ignore[arg-type]  # statuses

    assert (_build(facts).started_at, _build(facts).completed_at) == (times[0], times[2])


def test_agents_are_announced_once() -> None:
    """Two reports of one agent in one list count as one, and what was known of it early is kept."""
    build = a_build(status="running")
    reports = (an_agent_report(AGENT, "main", display_order=3), an_agent_report(AGENT, "main"))

    facts = merge_job(facts_with(build), a_job_report(build, "succeeded", agents=reports), NOW).facts

    assert [(agent.id, agent.announced, agent.created_at) for agent in facts.agents] == [(AGENT, True, NOW)]


def test_a_report_on_an_unknown_build_is_stale() -> None:
    """A workspace may have no build at all."""
    merged = merge_job(facts_with(), a_job_report(a_build(), "running"), NOW)

    assert merged.stale == "an older or unknown build"


def test_a_report_on_a_future_build_is_stale() -> None:
    """Its `build.created` has not come yet; nobody is told to stop for that."""
    build = a_build()
    other = replace(build, id=an_id(4711), build_number=9, job_id=an_id(4712))

    merged = merge_job(facts_with(build), a_job_report(other, "running"), NOW)

    assert (merged.stale, merged.effects) == ("an older or unknown build", ())


def _build(facts: Facts) -> Build:
    assert facts.build is not None
    return facts.build


def _told(facts: Facts, status: JobStatus) -> Facts:
    return merge_job(facts, a_job_report(_build(facts), status, agents=()), NOW).facts
