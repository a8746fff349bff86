"""Templates as a model reads them (domain.md 3.7)."""

from typing import Any, Final

from workspaced.fsm.template import Parameter, Preset, Template
from workspaced.tools.result import some

README_LENGTH: Final = 8000
DESCRIPTION_LENGTH: Final = 300
"""Characters; the rest is cut off."""


def listed(template: Template, active_developers: int) -> dict[str, Any]:
    """An entry of the list."""
    return {"id": template.id, "name": template.name, "organization_id": template.organization_id} | some(
        display_name=template.display_name,
        description=template.description,
        abstract=template.abstract,
        active_developers=active_developers or None,
    )


def read(template: Template) -> dict[str, Any]:
    """The template itself."""
    return {
        "id": template.id,
        "name": template.name,
        "active_version_id": template.active_version_id,
    } | some(
        display_name=template.display_name,
        description=template.description,
        readme=template.readme[:README_LENGTH],
    )


def parameter(rule: Parameter) -> dict[str, Any]:
    """What a build takes."""
    return {"name": rule.name, "type": rule.type, "required": rule.required, "mutable": rule.mutable} | some(
        display_name=rule.display_name,
        description=rule.description[:DESCRIPTION_LENGTH],
        default=rule.default,
        ephemeral=rule.ephemeral,
        form_type=rule.form_type,
        options=[
            {"name": option.name, "value": option.value} | some(description=option.description, icon=option.icon)
            for option in rule.options
        ],
        validation_regex=rule.validation_regex,
        validation_min=rule.validation_min,
        validation_max=rule.validation_max,
    )


def preset(given: Preset) -> dict[str, Any]:
    """Values under a name."""
    return {
        "id": given.id,
        "name": given.name,
        "default": given.is_default,
        "parameters": [{"name": name, "value": value} for name, value in given.parameters.items()],
    } | some(
        description=given.description,
        icon=given.icon,
        desired_prebuild_instances=given.desired_instances if given.desired_instances > 0 else None,
    )
