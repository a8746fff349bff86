"""Whether a template may be put into the catalogue (domain.md section 5)."""

from collections import Counter
from collections.abc import Iterator

from msgspec.structs import replace

from workspaced.fsm.durations import parse_duration
from workspaced.fsm.errors import BadRequest, Validation
from workspaced.fsm.names import name_fault
from workspaced.fsm.parameters import fault
from workspaced.fsm.pattern import pattern_fault
from workspaced.fsm.template import Parameter, Template


def check_template(template: Template) -> None:
    """Raises BadRequest, code `invalid_template`, with one validation for every fault."""
    faults = list(_faults(template))
    if faults:
        raise BadRequest(
            f"{faults[0].field}: {faults[0].detail}",
            code="invalid_template",
            field=faults[0].field,
            validations=tuple(faults),
        )


def _faults(template: Template) -> Iterator[Validation]:
    if reason := name_fault(template.name):
        yield Validation("name", reason)
    for name, text in _deadlines(template):
        if reason := _deadline_fault(text):
            yield Validation(f"deadlines.{name}", reason)
    yield from _twice("parameters", [rule.name for rule in template.parameters])
    yield from _twice("presets", [preset.name for preset in template.presets])
    yield from _twice("presets", [preset.id for preset in template.presets])
    if sum(preset.is_default for preset in template.presets) > 1:
        yield Validation("presets", "at most one preset may be the default")
    for rule in template.parameters:
        yield from _parameter_faults(rule)
    sound = {rule.name: rule for rule in template.parameters if not any(_rule_faults(rule))}
    known = {rule.name for rule in template.parameters}
    for preset in template.presets:
        for name, value in preset.parameters.items():
            field = f"presets.{preset.name}.{name}"
            if name not in known:
                yield Validation(field, "unknown parameter")
            elif name in sound and (reason := fault(sound[name], value)):
                yield Validation(field, reason)


def _deadlines(template: Template) -> Iterator[tuple[str, str]]:
    if template.deadlines is None:
        return
    for name in template.deadlines.__struct_fields__:
        text = getattr(template.deadlines, name)
        if text is not None:
            yield name, text


def _deadline_fault(text: str) -> str | None:
    try:
        return None if parse_duration(text).total_seconds() > 0 else "must be longer than zero"
    except ValueError as error:
        return f'invalid duration "{text}": {error}'


def _twice(field: str, names: list[str]) -> Iterator[Validation]:
    for name, times in Counter(names).items():
        if times > 1:
            yield Validation(f"{field}.{name}", "stands there more than once")


def _parameter_faults(rule: Parameter) -> Iterator[Validation]:
    unsound = [Validation(f"parameters.{rule.name}", reason) for reason in _rule_faults(rule)]
    yield from unsound
    if unsound:
        return
    if rule.default is not None and (reason := fault(rule, rule.default)):
        yield Validation(f"parameters.{rule.name}.default", reason)
    free = replace(rule, options=())
    for option in rule.options:
        value = option.value if rule.type != "list(string)" else None
        if value is not None and (reason := fault(free, value)):
            yield Validation(f"parameters.{rule.name}.options.{option.name}", reason)


def _rule_faults(rule: Parameter) -> Iterator[str]:
    if rule.validation_regex is not None and (reason := pattern_fault(rule.validation_regex)):
        yield f"validation_regex does not compile: {reason}"
    low, high = rule.validation_min, rule.validation_max
    if low is not None and high is not None and low > high:
        yield "validation_min is above validation_max"
