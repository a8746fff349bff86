"""A template: what a workspace is made from (domain.md section 5)."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct, field

from workspaced.fsm.values import END, Id, Parameters

TemplateName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]+(-[A-Za-z0-9]+)*" + END, min_length=1, max_length=32)]
Tag = Annotated[str, Meta(pattern=r"^[a-z0-9-]+" + END, min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=65_536)]
Milliseconds = Annotated[int, Meta(ge=1, le=3_155_760_000_000)]


def no_source() -> Raw:
    """JSON's `null`, for templates that name no source."""
    return Raw(b"null")


class Option(Struct, frozen=True, omit_defaults=True):
    """One of the values a parameter may take."""

    name: str
    value: str
    description: str = ""
    icon: str = ""


class Parameter(Struct, frozen=True, omit_defaults=True):
    """A value that a build takes, and the rules for it."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    type: Literal["string", "number", "bool", "list(string)"] = "string"
    required: bool = False
    mutable: bool = True
    ephemeral: bool = False
    default: str | None = None
    options: tuple[Option, ...] = ()
    validation_regex: str | None = None
    validation_min: float | None = None
    validation_max: float | None = None
    display_name: str = ""
    description: str = ""
    form_type: str = ""


class Preset(Struct, frozen=True, omit_defaults=True):
    """Parameter values under a name."""

    id: Id
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    is_default: bool = False
    description: str = ""
    icon: str = ""
    desired_instances: int = 0
    parameters: Parameters = {}


class Deadlines(Struct, frozen=True, omit_defaults=True):
    """A template's own deadlines as duration texts; they override the settings (wire.md section 8)."""

    creating: str | None = None
    building: str | None = None
    binding: str | None = None
    connecting: str | None = None
    starting: str | None = None


class Template(Struct, frozen=True):
    """A template with its active version's parameters, presets and source."""

    id: Id
    organization_id: Id
    name: TemplateName
    display_name: Text = ""
    description: Text = ""
    abstract: Text = ""
    readme: Text = ""
    icon: Text = ""
    active_version_id: Id | None = None
    agents_allowed: bool = True
    deprecated: bool = False
    deleted: bool = False
    has_external_agent: bool = False
    provisioner: Tag = "local"
    source: Raw = field(default_factory=no_source)
    """What the provisioner runs: any JSON, opaque to the engine."""
    require_active_version: bool = False
    allow_user_cancel: bool = True
    default_ttl_ms: Milliseconds | None = None
    deadlines: Deadlines | None = None
    parameters: tuple[Parameter, ...] = ()
    presets: tuple[Preset, ...] = ()


class TemplateVersion(Struct, frozen=True):
    """What one version of a template builds; never changed once made."""

    id: str
    template_id: str
    parameters: tuple[Parameter, ...] = ()
    presets: tuple[Preset, ...] = ()
    source: Raw = field(default_factory=no_source)
    created_at: datetime | None = None
