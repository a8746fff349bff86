"""Where a program's values come from: flag, environment, `*_FILE`, a running stack's connection.json, default."""

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from workspaced.app.connection import NAME, Connection, read_connection
from workspaced.app.given import BadSetting, read_environment, values
from workspaced.app.variables import Value
from workspaced.bus.tokens import is_uuid
from workspaced.fsm.errors import Unavailable
from workspaced.provisioners.agent.config import NatsLogin, Tls

Flags = Mapping[str, str | None]

_START: Final = "start a stack with `workspaced up`, wait until it is up, or say where one is with --dir or {variable}"


class Sources:
    """All that one command was given."""

    def __init__(self, flags: Flags, environ: Mapping[str, str]) -> None:
        """Raises BadSetting for a variable that nobody knows or whose file cannot be read."""
        self._flags = {name: text for name, text in flags.items() if text is not None}
        self._environ = environ
        self._given = read_environment(environ)

    def values(self, names: Iterable[str]) -> dict[str, Value]:
        """Each of `names`, checked. Raises BadSetting."""
        return values(names, self._flags, self._given)

    def text(self, name: str) -> str:
        """One of them that is a text."""
        return str(self.values([name])[name])

    def is_given(self, name: str) -> bool:
        """Somebody chose it."""
        return name in self._flags or name in self._given

    @property
    def tenant(self) -> str | None:
        """The organization that one's user is limited to. Raises BadSetting when that is no id."""
        text = self.text("tenant").lower()
        if text and not is_uuid(text):
            raise BadSetting("WORKSPACED_TENANT must be an organization's id, a UUID")
        return text or None

    @cached_property
    def folder(self) -> Path:
        """The folder of the local stack, there or not."""
        return Path(self.text("dir") or default_folder(self._environ)).absolute()

    def login(self, role: str) -> NatsLogin:
        """How to connect as `role`. Raises Unavailable when nothing says where NATS is."""
        if (stack := self._stack("nats_url")) is None:
            return self._own_login(self.text("nats_url"))
        user = self.text("user") or role
        if (known := stack.roles.get(user)) is None:
            raise BadSetting(f"the stack in {self.folder} has no user {user!r}; it has {', '.join(stack.roles)}")
        return NatsLogin(stack.nats_url, known.user, known.password, known.inbox_prefix)

    def agent_login(self) -> NatsLogin:
        """How the agents of a local provisioner connect whose jobs come without a secret."""
        if (stack := self._stack("nats_url")) is None:
            user, password = self.text("agent_user"), self.text("agent_password")
            tls = Tls(self.text("tls_ca") or None) if self.text("tls_ca") else None
            return NatsLogin(self.text("nats_url"), user, password or None, f"_INBOX_{user}", tls=tls)
        return NatsLogin(stack.nats_url)  # each comes with its build's secret

    @property
    def runs_locally(self) -> bool:
        """Whether the values are those of a local stack."""
        return self._stack("nats_url") is not None

    def database_url(self) -> str:
        """Where Postgres is. Raises Unavailable when nothing says so."""
        stack = self._stack("database_url")
        return self.text("database_url") if stack is None else stack.database_url

    def _stack(self, name: str) -> Connection | None:
        """The running stack, unless `name` was given closer by: a flag, or a variable when no --dir was."""
        if name in self._flags:
            return None
        if "dir" in self._flags:
            return read_running(self.folder)
        if name in self._given:
            return None
        if not (self.folder / NAME).exists():
            variable = "NATS_URL" if name == "nats_url" else "DATABASE_URL"
            raise Unavailable(f"no stack runs in {self.folder}: {_START.format(variable=variable)}")
        return read_running(self.folder)

    def _own_login(self, url: str) -> NatsLogin:
        try:
            user = self.text("user") or urlsplit(url).username
        except ValueError:
            raise BadSetting("NATS_URL is not a URL: nats://host:port is expected") from None
        prefix = self.text("inbox_prefix") or (f"_INBOX_{user}" if user else "_INBOX")
        user, password, nkey = (self.text(name) or None for name in ("user", "password", "nkey"))
        return NatsLogin(url, user, password, prefix, nkey, self._tls())

    def _tls(self) -> Tls | None:
        ca, certificate, key = (self.text(name) or None for name in ("tls_ca", "tls_cert", "tls_key"))
        if ca is None and certificate is None:
            return None
        tls = Tls(ca, certificate, key)
        try:
            tls.context()
        except ValueError as error:
            raise BadSetting(str(error)) from None
        return tls


def default_folder(environ: Mapping[str, str]) -> Path:
    """Where a local stack keeps its data when nobody says otherwise (XDG base directories)."""
    state = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "workspaced"


def read_running(folder: Path) -> Connection:
    """The stack of `folder`. Raises Unavailable when there is none, or when it died without saying so."""
    connection = read_connection(folder)
    try:
        os.kill(connection.pid, 0)
    except ProcessLookupError:
        raise Unavailable(
            f"the stack in {folder} was killed (process {connection.pid} is gone):"
            f" start it again with `workspaced up --dir {folder}`"
        ) from None
    except PermissionError:
        pass  # somebody else's, and alive
    return connection
