"""The AsyncAPI 3 document of one party: the same channels, seen from its end of the wire."""

import re
from importlib.metadata import version
from typing import Any, Final

import msgspec

from workspaced.app.contract import words
from workspaced.app.contract.channels import CHANNELS, ENGINE, Channel, Party, of
from workspaced.app.contract.examples import examples
from workspaced.app.contract.schemas import components, schema_of
from workspaced.fsm.errors import ErrorBody

ASYNCAPI: Final = "3.0.0"
PARTIES: Final[tuple[Party, ...]] = (ENGINE, "chatd", "provisioner", "agent")
"""Who gets a document; admin and inspector use a part of the chat daemon's."""
FIELD: Final = re.compile(r"\{(\w+)\}")
ERROR: Final = "error"

_TITLES: Final[dict[Party, str]] = {
    ENGINE: "workspaced",
    "chatd": "workspaced, for chat daemons",
    "provisioner": "workspaced, for provisioners",
    "agent": "workspaced, for agents",
}
_ATTRIBUTES: Final = ("ce-specversion", "ce-id", "ce-type", "ce-source", "ce-time")

Part = dict[str, Any]


def document(party: Party = ENGINE) -> Part:
    """The AsyncAPI document of `party`: what it sends, what it receives, with all schemas inside."""
    channels = CHANNELS if party == ENGINE else of(party)
    bodies = [body for channel in channels for body in (channel.body, channel.reply)]
    made = {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": _TITLES[party],
            "version": version("workspaced"),
            "description": "Gives every chat a workspace. `docs/protocol.md` has the rules; this has the shapes.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "nats": {
                "host": "{host}:{port}",
                "protocol": "nats",
                "description": "a NATS server 2.12 or newer with JetStream",
                "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "4222"}},
            }
        },
        "channels": _channels(channels),
        "operations": {key(channel): _operation(channel, party) for channel in channels},
        "components": {
            "schemas": components([*bodies, ErrorBody]),
            "messages": _messages(channels),
        },
    }
    plain: Part = msgspec.json.decode(msgspec.json.encode(made))  # defaults may be tuples
    return plain


def key(channel: Channel) -> str:
    """The channel's name as the document has it."""
    return channel.name.replace(".", "-")


def message_key(channel: Channel) -> str:
    """The name of the messages on it."""
    return (channel.same_as or channel.name).replace(".", "-")


def _channels(channels: tuple[Channel, ...]) -> Part:
    found: Part = {}
    for channel in channels:
        found[key(channel)] = {
            "address": channel.address,
            "summary": channel.summary,
            "messages": {message_key(channel): {"$ref": f"#/components/messages/{message_key(channel)}"}},
            "parameters": {name: {"description": words.PARAMETERS[name]} for name in FIELD.findall(channel.address)},
            "x-kind": channel.kind,
            "x-stream": channel.stream,
            "x-senders": list(channel.senders),
            "x-receivers": list(channel.receivers),
        }
        if channel.reply is not None and channel.same_as is None:
            found[f"{key(channel)}-reply"] = {
                "address": None,
                "summary": f"The answer to `{channel.address}`, in the inbox that the request names.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _answers(channel)},
            }
    return found


def _answers(channel: Channel) -> list[str]:
    return [f"{message_key(channel)}-reply", *([ERROR] if ENGINE in channel.receivers else [])]


def _operation(channel: Channel, party: Party) -> Part:
    operation: Part = {
        "action": "send" if party in channel.senders else "receive",
        "channel": {"$ref": f"#/channels/{key(channel)}"},
        "summary": channel.summary,
    }
    if channel.reply is not None:
        answers = f"#/channels/{message_key(channel)}-reply"
        operation["reply"] = {
            "channel": {"$ref": answers},
            "messages": [{"$ref": f"{answers}/messages/{name}"} for name in _answers(channel)],
        }
    return operation


def _messages(channels: tuple[Channel, ...]) -> Part:
    found: Part = {}
    known = examples()
    for channel in channels:
        name = message_key(channel)
        found[name] = _message(name, channel.body, _headers(channel), known)
        if channel.reply is not None:
            found[f"{name}-reply"] = _message(f"{name}-reply", channel.reply, {}, known)
        if ERROR in _answers(channel):
            found[ERROR] = _message(ERROR, ErrorBody, _ERROR_HEADERS, known)
    return found


def _message(name: str, body: object, headers: Part, known: dict[str, Any]) -> Part:
    message: Part = {"name": name, "payload": schema_of(body)}
    if body is None:
        message["contentType"] = "application/octet-stream"
    if headers:
        message["headers"] = headers
    shown = [_example(key, known[key]) for key in known if key.partition(":")[0] == name]
    if shown:
        message["examples"] = shown
    return message


def _example(name: str, golden: Part) -> Part:
    headers = {"headers": golden["headers"]} if "headers" in golden else {}
    return {"name": name, **headers, "payload": golden["body"]}


def _headers(channel: Channel) -> Part:
    if channel.senders == ("server",):
        return {}
    attributes = _ATTRIBUTES if channel.ce_type else ()
    names = [*(("Nats-Msg-Id",) if channel.stream or attributes else ()), *attributes, *channel.headers]
    if not names:
        return {}
    properties: Part = {name: {"type": "string", "description": words.HEADERS[name]} for name in names}
    if channel.ce_type:
        properties["ce-type"]["description"] = f"`{channel.ce_type}`"
    return {
        "type": "object",
        "properties": properties,
        "required": ["Nats-Msg-Id", *attributes] if channel.senders == (ENGINE,) and attributes else [],
    }


_ERROR_HEADERS: Final[Part] = {
    "type": "object",
    "properties": {
        "Nats-Service-Error-Code": {
            "type": "string",
            "enum": [str(status) for status in words.ERRORS],
            "description": words.HEADERS["Nats-Service-Error-Code"],
        },
        "Nats-Service-Error": {"type": "string", "description": words.HEADERS["Nats-Service-Error"]},
    },
    "required": ["Nats-Service-Error-Code", "Nats-Service-Error"],
}
