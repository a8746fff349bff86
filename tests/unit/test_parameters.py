"""Parameter values and their faults, in exact words (domain.md 4.3)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import VERSION, a_version, an_id
from workspaced.fsm.errors import BadRequest
from workspaced.fsm.parameters import fault, find_faults, for_create, for_start
from workspaced.fsm.template import Option, Parameter, Preset

OPTIONS = (Option("Small", "s"), Option("Large", "l"))

FAULTS = [
    (Parameter("p", "number"), "two", "must be a number"),
    (Parameter("p", "number"), "1e3", "must be a number"),
    (Parameter("p", "number"), " 1", "must be a number"),
    (Parameter("p", "number"), "٣", "must be a number"),
    (Parameter("p", "bool"), "yes", "must be true or false"),
    (Parameter("p", "bool"), "True", "must be true or false"),
    (Parameter("p", "list(string)"), "a", "must be a JSON list of texts"),
    (Parameter("p", "list(string)"), "[1]", "must be a JSON list of texts"),
    (Parameter("p", "list(string)"), "[" * 100_000, "must be a JSON list of texts"),
    (Parameter("p", options=OPTIONS), "m", "must be one of: s, l"),
    (Parameter("p", "list(string)", options=OPTIONS), '["s", "m"]', "must be one of: s, l"),
    (Parameter("p", validation_regex="^a+$"), "b", "must match ^a+$"),
    (Parameter("p", "number", validation_min=2), "1", "must be at least 2"),
    (Parameter("p", "number", validation_min=0.5), "0.25", "must be at least 0.5"),
    (Parameter("p", "number", validation_max=2_000_000), "2000001", "must be at most 2000000"),
]


@pytest.mark.parametrize(("rule", "value", "detail"), FAULTS)
def test_a_fault(rule: Parameter, value: str, detail: str) -> None:
    """One fault at most for each value."""
    assert fault(rule, value) == detail


SOUND = [
    (Parameter("p"), ""),
    (Parameter("p", "number"), "-1.5"),
    (Parameter("p", "bool"), "true"),
    (Parameter("p", "list(string)"), '["a"]'),
    (Parameter("p", "list(string)", options=OPTIONS), '["s", "l"]'),
    (Parameter("p", options=OPTIONS), "s"),
    (Parameter("p", validation_regex="a"), "bab"),
    (Parameter("p", "number", validation_min=1, validation_max=1), "1"),
]


@pytest.mark.parametrize(("rule", "value"), SOUND)
def test_a_sound_value(rule: Parameter, value: str) -> None:
    """It breaks no rule."""
    assert fault(rule, value) is None


@pytest.mark.parametrize("pattern", [r"^(\w+\s?)+$", "(a|a)*b", ".*a.*a.*a.*b", "(?i)(x+x+)+y"])
def test_no_text_keeps_a_pattern_busy(pattern: str) -> None:
    """What a template's author writes without a thought, and a text of a model that almost fits it."""
    assert fault(Parameter("p", validation_regex=pattern), "a" * 100_000 + "!") == f"must match {pattern}"


def test_a_pattern_that_is_none_fits_nothing() -> None:
    """None is stored any more; it may be of an earlier release."""
    assert fault(Parameter("p", validation_regex="(?=a)"), "a") == "must match (?=a)"


def test_required_and_unknown_ones() -> None:
    """A required parameter without value, and a value without parameter."""
    rules = (Parameter("a", required=True), Parameter("b"))

    faults = find_faults(rules, {"c": "1"})

    assert {(one.field, one.detail) for one in faults} == {
        ("a", "required parameter is missing"),
        ("c", "unknown parameter"),
    }


def test_a_default_serves_a_required_one() -> None:
    """What a build uses when the parameter is left out."""
    version = a_version(VERSION, Parameter("a", required=True, default="1"))

    assert for_create(version, None, None) == {"a": "1"}


def test_at_most_a_hundred_faults_are_told() -> None:
    """Then one says how many more there are (wire.md section 2)."""
    with pytest.raises(BadRequest) as caught:
        for_create(a_version(), None, {f"p{number:03}": "x" for number in range(130)})

    validations = caught.value.validations
    assert len(validations) == 101
    assert (validations[0].field, validations[-1].field) == ("p000", "")
    assert validations[-1].detail == "and 30 more"


def test_a_preset_of_another_version_gives_nothing() -> None:
    """The version's own presets count."""
    version = a_version(VERSION, Parameter("a", default="1"), presets=(Preset(an_id(5), "x", parameters={"a": "2"}),))

    assert for_create(version, an_id(6), None) == {"a": "1"}
    assert for_create(version, an_id(5), None) == {"a": "2"}


def test_a_start_carries_values_over() -> None:
    """Those that the version no longer knows are dropped, new ones get their default, given ones win."""
    version = a_version(VERSION, Parameter("kept"), Parameter("given"), Parameter("new", default="n"))

    values = for_start(version, {"kept": "k", "given": "old", "gone": "g"}, {"given": "g"})

    assert values == {"kept": "k", "given": "g", "new": "n"}


def test_what_is_not_mutable_stays() -> None:
    """The same value may be given again."""
    version = a_version(VERSION, Parameter("disk", mutable=False))

    assert for_start(version, {"disk": "1"}, {"disk": "1"}) == {"disk": "1"}
    with pytest.raises(BadRequest) as caught:
        for_start(version, {"disk": "1"}, {"disk": "2"})
    assert [one.detail for one in caught.value.validations] == ["cannot be changed after creation"]


def test_a_version_that_is_not_known_has_no_rules() -> None:
    """A foreign build may name one."""
    assert for_start(None, {"a": "1"}, {"b": "2"}) == {"a": "1", "b": "2"}


@given(st.text(), st.sampled_from(["string", "number", "bool", "list(string)"]))
def test_any_value_has_an_answer(value: str, kind: str) -> None:
    """A fault or none, never an exception."""
    rule = Parameter("p", kind, validation_min=0, validation_regex="a*")  # type: ignore[arg-type]  # a type's word

    assert fault(rule, value) is None or isinstance(fault(rule, value), str)


@given(st.lists(st.text()))
def test_any_list_of_texts_is_one(items: list[str]) -> None:
    """As JSON."""
    assert fault(Parameter("p", "list(string)"), json.dumps(items)) is None
