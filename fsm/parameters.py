"""Parameter values: what a build gets, and whether its template's rules allow it (domain.md 4.3)."""

import json
import re

from workspaced.fsm.errors import BadRequest, Validation
from workspaced.fsm.pattern import found
from workspaced.fsm.template import Parameter, TemplateVersion
from workspaced.fsm.values import Parameters

MOST_FAULTS = 100


def for_create(version: TemplateVersion | None, preset_id: str | None, given: Parameters | None) -> Parameters:
    """Defaults, over them the preset's values, over them the given ones. Raises BadRequest with every fault."""
    rules = version.parameters if version else ()
    preset = next((preset for preset in version.presets if preset.id == preset_id), None) if version else None
    values = {rule.name: rule.default for rule in rules if rule.default is not None}
    values |= (preset.parameters if preset else {}) | (given or {})
    _refuse(find_faults(rules, values))
    return values


def for_start(version: TemplateVersion | None, earlier: Parameters, given: Parameters | None) -> Parameters:
    """The build's before, over them the given ones; defaults for what is new. Raises BadRequest with every fault."""
    if version is None:
        return earlier | (given or {})
    known = {rule.name: rule for rule in version.parameters}
    carried = {name: value for name, value in earlier.items() if name in known}
    defaults = {name: rule.default for name, rule in known.items() if rule.default is not None}
    values = defaults | carried | (given or {})
    fixed = [
        Validation(name, "cannot be changed after creation")
        for name, value in (given or {}).items()
        if name in known and not known[name].mutable and name in earlier and earlier[name] != value
    ]
    _refuse(find_faults(version.parameters, values) + fixed)
    return values


def find_faults(rules: tuple[Parameter, ...], values: Parameters) -> list[Validation]:
    """One fault at most for each value, and one for each required parameter without a value."""
    known = {rule.name: rule for rule in rules}
    faults = [Validation(name, "unknown parameter") for name in values if name not in known]
    for rule in rules:
        value = values.get(rule.name)
        detail = ("required parameter is missing" if rule.required else None) if value is None else fault(rule, value)
        if detail:
            faults.append(Validation(rule.name, detail))
    return faults


def fault(rule: Parameter, value: str) -> str | None:
    """Why the value breaks its parameter's rules; None when it does not."""
    if (detail := _type_fault(rule, value)) is not None:
        return detail
    if rule.options and not _within_options(rule, value):
        return f"must be one of: {', '.join(option.value for option in rule.options)}"
    if rule.validation_regex is not None and not found(rule.validation_regex, value):
        return f"must match {rule.validation_regex}"
    if rule.type == "number":
        if rule.validation_min is not None and float(value) < rule.validation_min:
            return f"must be at least {_number(rule.validation_min)}"
        if rule.validation_max is not None and float(value) > rule.validation_max:
            return f"must be at most {_number(rule.validation_max)}"
    return None


def _number(value: float) -> str:
    """As people write it: a whole number without a point, however large."""
    return str(int(value)) if float(value).is_integer() else str(value)


def _type_fault(rule: Parameter, value: str) -> str | None:
    match rule.type:
        case "number" if re.fullmatch(r"-?\d+(\.\d+)?", value, re.ASCII) is None:
            return "must be a number"
        case "bool" if value not in {"true", "false"}:
            return "must be true or false"
        case "list(string)" if _as_list(value) is None:
            return "must be a JSON list of texts"
        case _:
            return None


def _as_list(value: str) -> list[str] | None:
    try:
        items = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return items if isinstance(items, list) and all(isinstance(item, str) for item in items) else None


def _within_options(rule: Parameter, value: str) -> bool:
    allowed = {option.value for option in rule.options}
    return set(_as_list(value) or ()) <= allowed if rule.type == "list(string)" else value in allowed


def _refuse(faults: list[Validation]) -> None:
    if not faults:
        return
    shown = sorted(faults, key=lambda one: one.field)[:MOST_FAULTS]
    more = len(faults) - len(shown)
    validations = (*shown, Validation("", f"and {more} more")) if more else tuple(shown)
    raise BadRequest("unable to validate parameters", code="invalid_parameters", validations=validations)
