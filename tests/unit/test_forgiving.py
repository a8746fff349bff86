"""Headers are read as the library reads them."""

from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from workspaced.bus.forgiving import ForgivingClient

pieces = st.sampled_from(
    [b"\r\n", b":", b": ", b" ", b"\t", b"\x1c", b"\x0b", b"\r", b"\n", b"a", b"Nats-Msg-Id", b"\xc3\xa9", b"\xff"]
)


@given(st.lists(st.one_of(pieces, st.binary(max_size=4))))
def test_as_the_library(parts: list[bytes]) -> None:
    """Whatever others send, names and values are the same."""
    raw = b"".join(parts)

    assert ForgivingClient._parse_header_lines(raw) == Client._parse_header_lines(raw)  # noqa: SLF001  # its private method is what is replaced
