"""The loader of named queries."""

import re
from importlib.resources import files

import pytest

from workspaced.store import queries
from workspaced.store.queries import query


@pytest.mark.parametrize("name", queries.names())
def test_every_query_says_what_it_is_for(name: str) -> None:
    """A comment on the first line, and one statement below it without a closing semicolon or tab."""
    text = query(name)

    assert text.startswith("-- ")
    assert "\t" not in text


@pytest.mark.parametrize("name", queries.names())
def test_every_query_is_used(name: str) -> None:
    """By its name, somewhere in the store."""
    code = "".join(
        file.read_text(encoding="utf-8") for file in files("workspaced.store").iterdir() if file.name.endswith(".py")
    )

    assert re.search(rf'"{name}"', code)


def test_an_unknown_query_is_named_with_those_that_exist() -> None:
    """A slip of the pen shows at once."""
    with pytest.raises(LookupError, match=r"no query 'lck'; known are .*lock"):
        query("lck")


def test_no_query_stands_in_python_code() -> None:
    """SQL lives in `.sql` files."""
    for file in files("workspaced.store").iterdir():
        if file.name.endswith(".py"):
            code = file.read_text(encoding="utf-8").lower()
            assert not re.search(r"\b(select .* from|insert into|delete from|update .* set)\b", code), file.name
