"""The settings that may change at run time: names, defaults, checks (domain.md section 11, the rows marked *S*)."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from workspaced.fsm.durations import format_duration, parse_duration
from workspaced.fsm.errors import BadRequest, Validation


class Settings(Struct, frozen=True):
    """Deadlines, limits and the TTL of chat workspaces; zero means none where none is possible."""

    creating_deadline: timedelta = timedelta(minutes=10)
    building_deadline: timedelta = timedelta(minutes=10)
    binding_deadline: timedelta = timedelta(seconds=30)
    connecting_deadline: timedelta = timedelta(minutes=2)
    starting_deadline: timedelta = timedelta(minutes=10)
    agent_inactive_grace: timedelta = timedelta(seconds=30)
    agent_connection_timeout: timedelta = timedelta(seconds=120)
    workspace_ttl: timedelta = timedelta(0)
    job_pending_limit: timedelta = timedelta(minutes=30)
    job_running_limit: timedelta = timedelta(minutes=60)
    queue_deadline: timedelta = timedelta(minutes=30)
    builds_per_owner: int = 0
    builds_per_template: int = 0

    @property
    def limits_builds(self) -> bool:
        """Start builds may have to wait for each other."""
        return bool(self.builds_per_owner or self.builds_per_template)


MAY_BE_ZERO = frozenset({"agent_connection_timeout", "workspace_ttl"})
COUNTS = frozenset({"builds_per_owner", "builds_per_template"})
MOST = 1_000_000
"""The highest count."""
NAMES = Settings.__struct_fields__
DEFAULTS = MappingProxyType({name: getattr(Settings(), name) for name in NAMES})


def check_setting(name: str, text: str) -> timedelta | int:
    """The duration or count that `text` gives the setting `name`. Raises BadRequest with the reason (domain.md 4.2)."""
    if name not in NAMES:
        raise _refused(name, f'unknown setting "{name}"; known are {", ".join(NAMES)}')
    if name in COUNTS:
        return _count(name, text.strip())
    if not text.strip() and name in MAY_BE_ZERO:
        return timedelta(0)
    try:
        span = parse_duration(text.strip())
    except ValueError as error:
        raise _refused(name, f'invalid duration "{text}": {error}') from None
    if span < timedelta(0):
        raise _refused(name, "duration must be non-negative")
    if not span and name not in MAY_BE_ZERO:
        raise _refused(name, "must be longer than zero: a waiting state always has a deadline")
    return span


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MOST):
        raise _refused(name, f"must be a whole number from 0 to {MOST}; 0: no limit")
    return int(text)


def settings_from(texts: dict[str, str], defaults: Settings | None = None) -> Settings:
    """`defaults` with `texts` over them. Raises BadRequest that names every bad setting at once."""
    values, faults = _read(texts)
    if faults:
        raise BadRequest(
            f"{faults[0].field}: {faults[0].detail}",
            code="invalid_setting",
            field=faults[0].field,
            validations=faults,
        )
    return _over(defaults or Settings(), values)


def settings_in_force(stored: dict[str, str], defaults: Settings) -> tuple[Settings, tuple[Validation, ...]]:
    """`defaults` with what is stored over them, and the faults of what is stored.

    Nobody is stopped by a row that was written by hand or by a newer release: it is passed over, and a TTL that cannot
    be read is none (domain.md 4.2).
    """
    values, faults = _read(stored)
    if any(fault.field == "workspace_ttl" for fault in faults):
        values["workspace_ttl"] = timedelta(0)
    return _over(defaults, values), faults


def _read(texts: dict[str, str]) -> tuple[dict[str, timedelta | int], tuple[Validation, ...]]:
    values: dict[str, timedelta | int] = {}
    faults = []
    for name, text in texts.items():
        try:
            values[name] = check_setting(name, text)
        except BadRequest as error:
            faults.append(Validation(name, str(error)))
    return values, tuple(faults)


def _over(defaults: Settings, values: Mapping[str, timedelta | int]) -> Settings:
    known: Any = {name: values.get(name, getattr(defaults, name)) for name in NAMES}
    return Settings(**known)


def settings_as_texts(settings: Settings) -> dict[str, str]:
    """Every setting as the text that would give it; an empty text for a TTL of none."""
    return {name: _as_text(name, getattr(settings, name)) for name in NAMES}


def _as_text(name: str, value: timedelta | int) -> str:
    if isinstance(value, int):
        return str(value)
    return "" if name == "workspace_ttl" and not value else format_duration(value)


def _refused(name: str, reason: str) -> BadRequest:
    return BadRequest(reason, code="invalid_setting", field=name)
