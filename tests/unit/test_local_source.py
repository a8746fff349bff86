"""What a template may say to the local provisioner, and what its scripts get to see."""

import json

import msgspec
import pytest

from tests.jobs import a_job
from workspaced.bus.job_in_hand import JobFailed
from workspaced.fsm.effects import Job
from workspaced.provisioners.local.source import Source, script_environment, source_of


def the_job(source: object, parameters: dict[str, str] | None = None) -> Job:
    """A job with that source."""
    body = a_job(source=source, parameters=parameters or {})
    return msgspec.json.decode(json.dumps(body).encode(), type=Job)


@pytest.mark.parametrize("given", [{}, None])
def test_everything_has_a_default(given: object) -> None:
    """An empty object is a template, and so is none: one agent, no scripts."""
    source = source_of(the_job(given))

    assert source == Source()
    assert source.agents == ("main",)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("echo", "Expected `object`, got `str`"),
        ({"startup_script": 1}, "Expected `str`, got `int` - at `$.startup_script`"),
        ({"nonsense": 1}, "Object contains unknown field `nonsense`"),
        ({"build_delay": "soon"}, "build_delay 'soon': not a duration"),
        ({"build_delay": "-1s"}, "build_delay must not be negative"),
        ({"startup_script_timeout": "5"}, "startup_script_timeout '5': missing unit"),
        ({"agents": []}, "Expected `array` of length >= 1 - at `$.agents`"),
        ({"agents": ["a", "A"]}, "agents must have different names"),
        ({"environment": {"A-B": "1"}}, "environment has 'A-B', which is not a variable's name"),
        ({"environment": {"PATH": "/x"}}, "environment has 'PATH', which says what code runs; set it in the script"),
        ({"environment": {"LD_PRELOAD": "/x.so"}}, "environment has 'LD_PRELOAD', which says what code runs"),
        ({"environment": {"BASH_ENV": "/x"}}, "environment has 'BASH_ENV', which says what code runs"),
        ({"environment": {"PARAM_A": "1"}}, "environment has 'PARAM_A'; names with PARAM_ or WORKSPACED_ in front are"),
    ],
)
def test_bad_source_is_refused(source: object, reason: str) -> None:
    """With the reason, for good: building again would not help."""
    with pytest.raises(JobFailed) as caught:
        source_of(the_job(source))

    assert reason in caught.value.error
    assert caught.value.retryable is False


@pytest.mark.parametrize("name", ["../main", "a/b", "", "a\n", "x" * 65])
def test_bad_agent_name_is_refused(name: str) -> None:
    """A name goes into environments and reports."""
    with pytest.raises(JobFailed):
        source_of(the_job({"agents": [name]}))


@pytest.mark.parametrize(
    ("parameter", "variable"),
    [("region", "PARAM_REGION"), ("aws-region", "PARAM_AWS_REGION"), ("a b=$(c)", "PARAM_A_B___C_"), ("ä", "PARAM__")],
)
def test_parameter_becomes_a_variable(parameter: str, variable: str) -> None:
    """Its value comes unchanged, whatever is in it."""
    value = "$(rm -rf /) `id` '\"\n;"
    environment = script_environment(Source(environment={"COLOR": "blue"}), the_job({}, {parameter: value}))

    assert environment[variable] == value
    assert environment["COLOR"] == "blue"


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"a-b": "1", "a_b": "2"}, "parameters 'a-b' and 'a_b' would both be PARAM_A_B; rename one"),
        ({"a": "x\0y"}, "the value of PARAM_A has a NUL character, which an environment cannot hold"),
        ({"a": "x" * 131_072}, "the value of PARAM_A is too long for an environment: 131080 bytes, 131071 at most"),
        ({str(n): "x" * 100_000 for n in range(11)}, "the values are too long for an environment: 1100"),
    ],
)
def test_parameter_that_no_environment_can_hold(parameters: dict[str, str], reason: str) -> None:
    """Said at build time, not by a script that cannot start."""
    with pytest.raises(JobFailed) as caught:
        script_environment(Source(), the_job({}, parameters))

    assert reason in caught.value.error
