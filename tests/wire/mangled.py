"""Messages as nobody should send them: golden ones with something broken in them, and plain noise."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any, Final

ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    0,
    10**40,
    1e308,
    "",
    "\x00",
    "'; drop table chats; --",
    "../../etc/passwd",
    "$(reboot)`reboot`",
    "a\r\nNats-Msg-Id: x",
    "\ud800",
    "é" * 300,
    "x" * 5000,
    [],
    [[[[[[]]]]]],
    {},
    {"": {"": ""}},
    "00000000-0000-0000-0000-00000000000g",
    "0B7F2A34-5C1D-4E8F-9A60-1D2C3B4A5E6F",
    "9999-99-99T99:99:99Z",
    "0001-01-01T00:00:00+23:59",
)
NOISE: Final = (
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe{}",
    b"{}{}",
    b'{"a":1,"a":2}',
    b"[" * 20_000,
    b'{"a":' * 5_000,
    b"1e999",
    b"NaN",
    b'{"build_id": "\\u0000"}',
    b'{"parameters":{"a":1}',
    b'{"settings":{"a":1},"x":' + b"[" * 5_000,
    b"\x00" * 100,
)


def mangled(body: Any, dice: random.Random) -> bytes:  # noqa: ANN401  # any JSON
    """`body` with one to three things broken in it, or noise instead of it."""
    if dice.random() < 0.2:
        return dice.choice(NOISE)
    broken = copy.deepcopy(body)
    for _ in range(dice.randint(1, 3)):
        places = list(_places(broken))
        if not places:
            break
        holder, key = dice.choice(places)
        if isinstance(holder, dict) and dice.random() < 0.3:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(dice.choice(ODD))
    data = json.dumps(broken).encode()
    if dice.random() < 0.1:
        data = data[: dice.randrange(len(data))]
    return data


def _places(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401  # any JSON
    """Every container with each of its keys."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in list(entries):
        yield value, key
        yield from _places(entry)
