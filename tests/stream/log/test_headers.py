"""Headers as bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.log.headers import pack_headers, unpack_headers

HEADERS = st.lists(st.tuples(st.text(), st.binary()), max_size=8).map(tuple)


@given(HEADERS)
def test_headers_come_back_as_they_went(headers: tuple[tuple[str, bytes], ...]) -> None:
    """Names, values, their order and repetitions are kept, whatever they hold."""
    assert unpack_headers(pack_headers(headers)) == headers


def test_no_headers_are_no_bytes() -> None:
    """A record without headers costs nothing for them."""
    assert pack_headers(()) == b""
