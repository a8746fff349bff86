"""What the NATS server asks about a login and how it is answered (ADR-26): JWTs signed by an account's nkey."""

import base64
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec
import nkeys  # type: ignore[import-untyped]  # has no types
from msgspec import Struct

from workspaced.bus import subjects, tokens
from workspaced.bus.codec import decode
from workspaced.fsm.values import Connection

ACCOUNT: Final = "AGENTS"
"""The account of nats.conf in which agents are."""
ANSWER_TTL: Final = timedelta(minutes=1)
"""How long an agent may take to answer a request."""


class _Server(Struct):
    id: str


class _Client(Struct):
    id: int


class _Options(Struct):
    user: str = ""
    password: str = msgspec.field(name="pass", default="")


class _Asked(Struct):
    user_nkey: str
    server_id: _Server
    client_info: _Client
    connect_opts: _Options


class _Request(Struct):
    nats: _Asked


class Login(Struct, frozen=True):
    """Somebody who wants to connect, as the server tells it."""

    connection: Connection
    user: str
    password: str
    user_nkey: str
    """The server's name for it in this conversation."""

    def __repr__(self) -> str:
        """Without the password: it must not get into a log."""
        return f"Login({self.user!r} on {self.connection})"


def read_login(token: bytes) -> Login:
    """The login that an authorization request tells of. Raises ValueError when it is none.

    Its signature is not looked at: nats.conf lets the server alone publish where it comes from.
    """
    parts = token.split(b".")
    if len(parts) != 3:  # noqa: PLR2004  # header, claims, signature
        raise ValueError("no JWT")
    asked = decode(base64.urlsafe_b64decode(parts[1] + b"=="), _Request).nats
    options = asked.connect_opts
    return Login((asked.server_id.id, asked.client_info.id), options.user, options.password, asked.user_nkey)


def agent_permissions(workspace_id: str, agent_id: str) -> dict[str, Any]:
    """All that an agent may do: tell of itself, answer who asks it, hear when it is to tell again."""
    told = [subjects.agent_event(workspace_id, agent_id, kind) for kind in sorted(tokens.AGENT_KINDS)]
    heard = [subjects.agent(agent_id), subjects.resync(), subjects.resync(workspace_id), f"_INBOX_{agent_id}.>"]
    return {
        "pub": {"allow": [*told, "$SYS.REQ.USER.INFO"]},
        "sub": {"allow": heard},
        "resp": {"max": 1, "ttl": ANSWER_TTL // timedelta(microseconds=1) * 1000},
        **dict.fromkeys(("subs", "data", "payload"), -1),  # NATS heeds those of the account alone: see nats.conf
    }


class Signer:
    """Answers in the name of one account key, whose public half stands in nats.conf as the callout's issuer."""

    def __init__(self, seed: str) -> None:
        """Raises ValueError when `seed` is no account's."""
        try:
            self._key = nkeys.from_seed(seed.encode())
            self.issuer = self._key.public_key.decode()
        except Exception:  # noqa: BLE001  # of any kind; their texts may hold the seed
            raise ValueError("the callout's seed is no nkey seed; it begins with SA") from None
        if not self.issuer.startswith("A"):
            raise ValueError("the callout's seed is not that of an account; it begins with SA")

    def admit(self, login: Login, workspace_id: str, agent_id: str, now: datetime, until: datetime) -> bytes:
        """The answer that lets an agent in; the server shows it as `agent_id` and drops it `until` then."""
        user = self._sign(
            now,
            sub=login.user_nkey,
            name=agent_id,
            aud=ACCOUNT,
            exp=int(until.timestamp()),
            nats={**agent_permissions(workspace_id, agent_id), "type": "user", "version": 2},
        )
        return self._answer(login, now, {"jwt": user.decode()})

    def refuse(self, login: Login, now: datetime, reason: str) -> bytes:
        """The answer that turns it away at once; `reason` is for the server's log."""
        return self._answer(login, now, {"error": reason})

    def _answer(self, login: Login, now: datetime, said: dict[str, str]) -> bytes:
        nats = said | {"type": "authorization_response", "version": 2}
        return self._sign(now, sub=login.user_nkey, aud=login.connection[0], nats=nats)

    def _sign(self, now: datetime, **claims: Any) -> bytes:  # noqa: ANN401  # any JSON
        claims |= {"iss": self.issuer, "iat": int(now.timestamp())}
        claims["jti"] = base64.b32encode(sha256(msgspec.json.encode(claims)).digest()).decode().rstrip("=")
        text = _part({"typ": "JWT", "alg": "ed25519-nkey"}) + b"." + _part(claims)
        return text + b"." + base64.urlsafe_b64encode(self._key.sign(text)).rstrip(b"=")


def make_account_seed(randomness: bytes) -> str:
    """The seed of a new account key, made of 32 bytes."""
    seed: bytes = nkeys.encode_seed(randomness, nkeys.PREFIX_BYTE_ACCOUNT)
    return seed.decode()


def _part(value: dict[str, Any]) -> bytes:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=")
