"""Our bytes and hashes are those of the specifications, not of a library."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import Message, SchemaError, pack, partition_of, unpack
from tests.schemas.examples import EXAMPLES, record
from tests.schemas.test_wire import PLAIN
from tests.schemas.twin import packed, plain_murmur2


@given(PLAIN)
def test_bytes_are_the_twins(value: object) -> None:
    """A plain value has the bytes that the specification gives it, in their shortest form."""
    try:
        assert pack(value) == packed(value)
    except SchemaError as refused:
        assert "nested" in str(refused)  # noqa: PT017 - the other way out


EDGES = [1 << bits for bits in (5, 7, 8, 15, 16, 31, 32, 63)]


@pytest.mark.parametrize("edge", EDGES)
def test_integers_at_their_edges_are_the_twins(edge: int) -> None:
    """Where the form of an integer changes, it changes in the right place."""
    for value in (edge - 1, edge, edge + 1, -edge, 1 - edge, -edge - 1):
        if -(2**63) <= value < 2**64:
            assert pack(value) == packed(value)
            assert unpack(pack(value)) == value


@pytest.mark.parametrize("count", [0, 1, 15, 16, 31, 32, 255, 256, 8192])
def test_lengths_at_their_edges_are_the_twins(count: int) -> None:
    """Where the form of a length changes, it changes in the right place."""
    mapping = {f"{number:05}": number for number in range(count)}
    for value in ("x" * count, bytes(count), list(range(count)), mapping):
        assert pack(value) == packed(value)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.ce_type)
def test_a_messages_value_is_the_twins(example: Message) -> None:
    """The value is a map of all fields, in the order of the type."""
    fields = msgspec.to_builtins(example, builtin_types=(bytes,))
    assert record(example).value == packed(fields)


@given(st.binary(max_size=300))
def test_the_hash_is_the_twins(key: bytes) -> None:
    """The short form of the hash is the long one."""
    assert partition_of(key, 2**31) == plain_murmur2(key) & 0x7FFFFFFF
