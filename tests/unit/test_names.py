"""Names of workspaces: valid ones, reasons, and generated ones (domain.md 4.1)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import CountedIds
from workspaced.fsm.names import clean_name, generate_name, name_fault

VALID = ["a", "A1", "my-box", "x" * 32, "New", "a-b-c", "0"]
INVALID = [
    ("", "must be >= 1 character"),
    ("x" * 33, "must be <= 32 characters"),
    ("ä" * 17, "must be <= 32 characters"),
    ("new", 'cannot use "new" as a name'),
    ("create", 'cannot use "create" as a name'),
    ("a b", "must be alphanumeric with hyphens"),
    ("-a", "must be alphanumeric with hyphens"),
    ("a-", "must be alphanumeric with hyphens"),
    ("a--b", "must be alphanumeric with hyphens"),
    ("a_b", "must be alphanumeric with hyphens"),
    ("über", "must be alphanumeric with hyphens"),
    ("a\n", "must be alphanumeric with hyphens"),
    ("٣", "must be alphanumeric with hyphens"),
]


@pytest.mark.parametrize("name", VALID)
def test_a_valid_name(name: str) -> None:
    """Letters and digits in groups joined by single hyphens; upper case is allowed."""
    assert name_fault(name) is None


@pytest.mark.parametrize(("name", "reason"), INVALID)
def test_an_invalid_name_has_a_reason(name: str, reason: str) -> None:
    """In exact words; the length counts bytes."""
    assert name_fault(name) == reason


GENERATED = [
    ("docker", "docker-0a1b"),
    ("  Docker ", "docker-0a1b"),
    ("", "workspace-0a1b"),
    (" ", "workspace-0a1b"),
    ("two words", "twowords-0a1b"),
    ("ann@example.com", "ann-0a1b"),
    ("a@b@c", "ab-0a1b"),
    ("x" * 27, "x" * 27 + "-0a1b"),
    ("x" * 30, "x" * 27 + "-0a1b"),
    ("x" * 26 + "-yy", "x" * 26 + "-0a1b"),
]


@pytest.mark.parametrize(("seed", "name"), GENERATED)
def test_a_generated_name(seed: str, name: str) -> None:
    """Trimmed, lower-case, cleaned, cut to 27 bytes, and four hex digits."""
    assert generate_name(seed, CountedIds([0x0A1B])) == name


@pytest.mark.parametrize("seed", ["a--b", "@@@", "new", "ü", "x" * 40, "-"])
def test_what_cannot_be_cleaned_becomes_a_random_name(seed: str) -> None:
    """An adjective, a noun and four hex digits."""
    assert re.fullmatch(r"amber-anchor-0a1b", generate_name(seed, CountedIds([0, 0, 0x0A1B])))


@given(st.text())
def test_every_seed_gives_a_valid_name(seed: str) -> None:
    """Whatever a chat asks for."""
    assert name_fault(generate_name(seed, CountedIds())) is None
    assert name_fault(clean_name(seed, CountedIds())) is None


@given(st.from_regex(r"[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8}){0,2}", fullmatch=True))
def test_a_valid_text_is_clean(text: str) -> None:
    """It is not touched, unless it is reserved."""
    assert clean_name(text, CountedIds()) == text or text in {"new", "create"}
