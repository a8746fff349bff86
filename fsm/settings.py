"""The settings that may change at run time: names, defaults, checks (domain.md section 11, the rows marked *S*)."""

from datetime import timedelta
from types import MappingProxyType

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


MAY_BE_ZERO = frozenset({"agent_connection_timeout", "workspace_ttl"})
NAMES = Settings.__struct_fields__
DEFAULTS = MappingProxyType({name: getattr(Settings(), name) for name in NAMES})


def check_setting(name: str, text: str) -> timedelta:
    """The duration that `text` gives the setting `name`. Raises BadRequest with the reason (domain.md 4.2)."""
    if name not in NAMES:
        raise _refused(name, f'unknown setting "{name}"; known are {", ".join(NAMES)}')
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


def settings_from(texts: dict[str, str], defaults: Settings | None = None) -> Settings:
    """`defaults` with `texts` over them. Raises BadRequest that names every bad setting at once."""
    spans, faults = _read(texts)
    if faults:
        raise BadRequest(
            f"{faults[0].field}: {faults[0].detail}",
            code="invalid_setting",
            field=faults[0].field,
            validations=faults,
        )
    return _over(defaults or Settings(), spans)


def settings_in_force(stored: dict[str, str], defaults: Settings) -> tuple[Settings, tuple[Validation, ...]]:
    """`defaults` with what is stored over them, and the faults of what is stored.

    Nobody is stopped by a row that was written by hand or by a newer release: it is passed over, and a TTL that cannot
    be read is none (domain.md 4.2).
    """
    spans, faults = _read(stored)
    if any(fault.field == "workspace_ttl" for fault in faults):
        spans["workspace_ttl"] = timedelta(0)
    return _over(defaults, spans), faults


def _read(texts: dict[str, str]) -> tuple[dict[str, timedelta], tuple[Validation, ...]]:
    spans, faults = {}, []
    for name, text in texts.items():
        try:
            spans[name] = check_setting(name, text)
        except BadRequest as error:
            faults.append(Validation(name, str(error)))
    return spans, tuple(faults)


def _over(defaults: Settings, spans: dict[str, timedelta]) -> Settings:
    return Settings(**{name: spans.get(name, getattr(defaults, name)) for name in NAMES})


def settings_as_texts(settings: Settings) -> dict[str, str]:
    """Every setting as the text that would give it; an empty text for a TTL of none."""
    spans = {name: getattr(settings, name) for name in NAMES}
    return {name: "" if name == "workspace_ttl" and not span else format_duration(span) for name, span in spans.items()}


def _refused(name: str, reason: str) -> BadRequest:
    return BadRequest(reason, code="invalid_setting", field=name)
