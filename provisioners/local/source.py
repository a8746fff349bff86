"""What a template's `source` says to the local provisioner, and the environment that its scripts get."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final

from msgspec import Meta, Struct

from workspaced.bus.codec import decode
from workspaced.bus.job_in_hand import JobFailed
from workspaced.fsm.durations import parse_duration
from workspaced.fsm.effects import Job

AgentName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]

VALUE_BYTES: Final = 131_071
"""The longest `NAME=value` that Linux passes to a program (MAX_ARG_STRLEN, without the final NUL)."""

TOTAL_BYTES: Final = 1_048_576
"""All of a script's environment; Linux takes a quarter of the stack's limit, 2 MiB as it comes."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RESERVED = ("PARAM_", "WORKSPACED_")
_CODE = ("LD_", "DYLD_", "PYTHON", "BASH_", "GCONV_PATH", "PATH", "ENV", "IFS", "SHELLOPTS", "BASHOPTS", "PS4")
"""Beginnings of variables that say which code a program runs; a script sets them itself where it means to."""


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """A template for the local provisioner. Scripts are bash; durations are texts such as `30s`."""

    startup_script: str = ""
    """Run by every agent at its start, in the workspace's folder."""
    startup_script_timeout: str | None = None
    """After it the agent reports `start_timeout`; none: the provisioner's default."""
    environment: dict[str, str] = {}
    """For both scripts."""
    agents: Annotated[tuple[AgentName, ...], Meta(min_length=1, max_length=16)] = ("main",)
    build_script: str = ""
    """Run at build time, its output in the build's log; an exit code that is not 0 fails the build."""
    build_delay: str = "0s"
    """Makes a build take time, for demonstrations and tests."""

    def delay(self) -> timedelta:
        """How long to wait before building."""
        return parse_duration(self.build_delay)


def source_of(job: Job) -> Source:
    """The job's template source, checked; without one, what its fields are by default.

    Raises JobFailed with a text for the template's author.
    """
    given = bytes(job.template.source)
    try:
        source = Source() if given == b"null" else decode(given, Source)
    except ValueError as error:
        raise _bad(str(error)) from None
    for name, text in (("startup_script_timeout", source.startup_script_timeout), ("build_delay", source.build_delay)):
        try:
            if text is not None and parse_duration(text) < timedelta(0):
                raise _bad(f"{name} must not be negative")
        except ValueError as error:
            raise _bad(f"{name} {text!r}: {error}") from None
    names = [name.lower() for name in source.agents]
    if len(set(names)) < len(names):
        raise _bad("agents must have different names")
    for name in source.environment:
        if not _NAME.fullmatch(name):
            raise _bad(f"environment has {name!r}, which is not a variable's name")
        if name.startswith(_RESERVED):
            raise _bad(f"environment has {name!r}; names with {' or '.join(_RESERVED)} in front are ours")
        if name in _CODE or name.startswith(_CODE[:4]):
            raise _bad(f"environment has {name!r}, which says what code runs; set it in the script")
    return source


def script_environment(source: Source, job: Job) -> dict[str, str]:
    """What is added to the environment of the job's scripts: the template's, parameters, and whom they run for.

    A parameter arrives as a value only, never as text of a script. Raises JobFailed for what no environment can hold.
    """
    environment = source.environment | _parameters(job.parameters)
    environment |= {
        "WORKSPACED_WORKSPACE_ID": job.workspace.id,
        "WORKSPACED_WORKSPACE_NAME": job.workspace.name,
        "WORKSPACED_OWNER_NAME": job.owner.name,
        "WORKSPACED_BUILD_ID": job.build_id,
    }
    total = 0
    for name, value in environment.items():
        if "\0" in value:
            raise _bad(f"the value of {name} has a NUL character, which an environment cannot hold")
        length = len(f"{name}={value}".encode())
        total += length
        if length > VALUE_BYTES:
            raise _bad(f"the value of {name} is too long for an environment: {length} bytes, {VALUE_BYTES} at most")
    if total > TOTAL_BYTES:
        raise _bad(f"the values are too long for an environment: {total} bytes, {TOTAL_BYTES} at most")
    return environment


def _parameters(parameters: Mapping[str, str]) -> dict[str, str]:
    """`region` as `PARAM_REGION`; every character but letters, digits and `_` becomes `_`."""
    environment: dict[str, str] = {}
    came_from: dict[str, str] = {}
    for name, value in parameters.items():
        variable = "PARAM_" + re.sub(r"[^A-Z0-9_]", "_", name.upper())
        if variable in environment:
            raise _bad(f"parameters {came_from[variable]!r} and {name!r} would both be {variable}; rename one")
        environment[variable] = value
        came_from[variable] = name
    return environment


def _bad(reason: str) -> JobFailed:
    return JobFailed(f"the template cannot be built by the local provisioner: {reason}", retryable=False)
