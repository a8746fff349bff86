"""The named queries: one file `sql/queries/<name>.sql` each, its first lines saying what it is for."""

from functools import cache
from importlib.resources import files

FOLDER = files("workspaced.store") / "sql" / "queries"


@cache
def query(name: str) -> str:
    """The text of the query `name`. Raises LookupError when there is none, or when it does not say what it is for."""
    file = FOLDER / f"{name}.sql"
    if not file.is_file():
        raise LookupError(f"no query {name!r}; known are {', '.join(names())}")
    text = file.read_text(encoding="utf-8")
    if not text.startswith("-- "):
        raise LookupError(f"{name}.sql must begin with a comment that says what it is for")
    return text


def names() -> tuple[str, ...]:
    """The names of all queries, sorted."""
    return tuple(sorted(file.name.removesuffix(".sql") for file in FOLDER.iterdir() if file.name.endswith(".sql")))
