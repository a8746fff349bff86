"""The settings that may change at run time (domain.md section 11)."""

from datetime import timedelta

import pytest

from tests.builders import DEFAULT_SETTINGS
from workspaced.fsm.errors import BadRequest
from workspaced.fsm.settings import (
    COUNTS,
    NAMES,
    Settings,
    check_setting,
    settings_as_texts,
    settings_from,
    settings_in_force,
)


def test_the_defaults() -> None:
    """Every name with its documented default."""
    assert settings_as_texts(Settings()) == DEFAULT_SETTINGS
    assert settings_from(DEFAULT_SETTINGS) == Settings()
    assert set(NAMES) == set(DEFAULT_SETTINGS)


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_set(name: str) -> None:
    """The others keep what they have."""
    base = settings_from({"binding_deadline": "7s"})

    text, value = ("7", 7) if name in COUNTS else ("90s", timedelta(seconds=90))
    changed = settings_from({name: text}, base)

    assert getattr(changed, name) == value
    assert all(getattr(changed, other) == getattr(base, other) for other in NAMES if other != name)


COUNTS_REFUSED = ["", "-1", "1.5", "10s", "1000001", "³"]
REFUSED = [
    ("workspace_ttl", "-1h", "duration must be non-negative"),
    ("workspace_ttl", "soon", 'invalid duration "soon": not a duration'),
    ("workspace_ttl", "8", 'invalid duration "8": missing unit'),
    ("creating_deadline", "0s", "must be longer than zero: a waiting state always has a deadline"),
    ("creating_deadline", "-1s", "duration must be non-negative"),
    ("creating_deadline", "", 'invalid duration "": not a duration'),
    *(("builds_per_owner", text, "must be a whole number from 0 to 1000000; 0: no limit") for text in COUNTS_REFUSED),
]


@pytest.mark.parametrize(("name", "text", "reason"), REFUSED)
def test_what_is_refused(name: str, text: str, reason: str) -> None:
    """400 `invalid_setting`, with the setting as field."""
    with pytest.raises(BadRequest) as caught:
        check_setting(name, text)

    assert (caught.value.code, caught.value.field, str(caught.value)) == ("invalid_setting", name, reason)


def test_an_unknown_setting_is_named() -> None:
    """With the known ones."""
    with pytest.raises(BadRequest, match=r'unknown setting "tempo"; known are creating_deadline, '):
        check_setting("tempo", "1s")


def test_all_faults_are_named_at_once() -> None:
    """The first is the error's text, each has its validation, and nothing is set."""
    with pytest.raises(BadRequest) as caught:
        settings_from({"tempo": "1s", "binding_deadline": "0s", "workspace_ttl": "8h"})

    assert caught.value.field == "tempo"
    assert [one.field for one in caught.value.validations] == ["tempo", "binding_deadline"]


@pytest.mark.parametrize("text", ["", " ", "0", "0s"])
def test_no_ttl(text: str) -> None:
    """Empty or zero: none."""
    assert check_setting("workspace_ttl", text) == timedelta(0)


def test_stored_rows_that_nobody_can_use_are_passed_over() -> None:
    """The others count, the faults are told, and a TTL that cannot be read is none."""
    base = settings_from({"workspace_ttl": "8h", "binding_deadline": "7s"})

    found, faults = settings_in_force({"tempo": "1s", "binding_deadline": "", "workspace_ttl": "-1h"}, base)

    assert found == settings_from({"workspace_ttl": ""}, base)
    assert [fault.field for fault in faults] == ["tempo", "binding_deadline", "workspace_ttl"]
