"""What a value may cost is known before any of it is decoded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import (
    EVENT_LIMITS,
    MAX_ALL_HEADERS,
    MAX_HEADER,
    MAX_HEADERS,
    RESULT_LIMITS,
    DeadLetter,
    DeadReason,
    GroupManifest,
    GroupMatched,
    Limits,
    MemberSummary,
    SchemaError,
    decode,
    decode_value,
    encode_value,
    unpack,
)
from schemas.limits import hold_to
from tests.schemas.examples import EXAMPLES, arrived, raw
from tests.schemas.hostile import GOOD, HOSTILE, beside

MB = 1_000_000


@contextmanager
def memory_below(most: float) -> Iterator[None]:
    """Hold what is allocated inside, at its peak, to some bytes."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most, peak


def test_the_record_that_all_others_are_made_of_is_good() -> None:
    """What is refused of the hostile records is their hostility alone."""
    for value in (GOOD.value, beside(b"\xc0")):
        assert decode(GOOD.key, GOOD.headers, value)[1] == arrived()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_record_is_refused_for_what_is_wrong_with_it(name: str) -> None:
    """Each has the reason that fits, and a sentence that names what was wrong, and the bound."""
    hostile = HOSTILE[name]
    with pytest.raises(SchemaError) as caught:
        decode(hostile.key, hostile.headers, hostile.value)
    assert caught.value.reason is hostile.reason
    assert hostile.words in str(caught.value)
    assert len(str(caught.value)) <= 1024


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_record_costs_little(name: str) -> None:
    """Refusing one takes less memory than four times the largest value that may be."""
    hostile = HOSTILE[name]
    with memory_below(4 * EVENT_LIMITS.max_bytes), pytest.raises(SchemaError):
        decode(hostile.key, hostile.headers, hostile.value)


def test_the_dearest_values_that_pass_are_bounded() -> None:
    """Of what is within the limits nothing costs more than a few MB."""
    empties = raw([[{}] * 9990] * 2)
    with memory_below(5 * MB):
        unpack(empties)
    strings = raw(["é\N{GRINNING FACE}" + "s" * 8000] * 32)
    assert len(strings) > EVENT_LIMITS.max_bytes * 0.97
    with memory_below(5 * MB):
        unpack(strings)


def test_the_dearest_results_are_bounded() -> None:
    """A reader of results has more to bear, and still a bound: 8 MB of empty maps cost no 600."""
    hostile = raw([[{}] * 10_000] * 800)
    with memory_below(12 * MB), pytest.raises(SchemaError, match="items in all"):
        unpack(hostile, RESULT_LIMITS)
    with memory_below(60 * MB):
        unpack(raw([[{}] * 9_900] * 25), RESULT_LIMITS)


# -- the legitimate giants -------------------------------------------------------------------------


def test_the_largest_manifest_passes() -> None:
    """A set of 10,000 visits with the largest numbers is within the limits of the input."""
    visits = tuple(range(2**63 - 10_000, 2**63))
    manifest = GroupManifest(skymap="s", tract=1, patch=2, band="r", visits=visits)
    assert decode_value(encode_value(manifest), GroupManifest) == manifest


def test_the_largest_summary_passes() -> None:
    """A group of 10,000 members, each with everything that can be said, can be published."""
    summary = next(one for one in EXAMPLES if isinstance(one, GroupMatched))
    members = tuple(
        MemberSummary(visit=visit, status="failed", model_id="0" * 64, cost=0.5, reason="r" * 400)
        for visit in range(10_000)
    )
    values = {name: getattr(summary, name) for name in summary.__struct_fields__}
    whole = GroupMatched(**{**values, "members": members, "missing": tuple(range(10_000))})
    assert len(decode_value(encode_value(whole), GroupMatched).members) == 10_000


def test_a_letter_of_the_largest_record_passes() -> None:
    """A dead letter has room for a value of 256 KiB, a key and headers of 64 KiB each."""
    letter = next(one for one in EXAMPLES if isinstance(one, DeadLetter))
    values = {name: getattr(letter, name) for name in letter.__struct_fields__}
    headers = (("h" * 100, bytes(15_000)),) * 4
    large = {"key": bytes(64 * 1024), "headers": headers, "value": bytes(256 * 1024)}
    whole = DeadLetter(**{**values, **large})
    assert decode_value(encode_value(whole), DeadLetter) == whole


# -- each bound ------------------------------------------------------------------------------------

LIMITS = Limits(max_items=6, max_binary=5, max_map=2)


@pytest.mark.parametrize(
    ("within", "beyond", "words"),
    [
        (raw([0] * 6), raw([0] * 7), "the value has 7 items in all and may have 6"),
        (raw([[0] * 2] * 2), raw([[0] * 2] * 3), "the value has 7 items in all"),
        (raw([{"a": 0, "b": 0}, 0]), raw([{"a": 0, "b": 0}] * 2), "the value has 10 items"),
        (raw(bytes(5)), raw(bytes(6)), "binary data has 6 bytes and may have 5"),
    ],
)
def test_what_is_beyond_a_bound_is_named_with_it(within: bytes, beyond: bytes, words: str) -> None:
    """A bound is the last that passes, and one more is told with both numbers."""
    unpack(within, LIMITS)
    with pytest.raises(SchemaError, match=words) as caught:
        unpack(beyond, LIMITS)
    assert caught.value.reason is DeadReason.TOO_LARGE


def with_headers(*more: tuple[str, bytes]) -> object:
    """Decode the good record with some headers more."""
    return decode(GOOD.key, (*GOOD.headers, *more), GOOD.value)


def test_headers_have_bounds() -> None:
    """The most, the largest and the whole of the headers are the last that pass."""
    ours = sum(len(name) + len(value) for name, value in GOOD.headers)
    large = ("x", bytes(MAX_HEADER - 1))
    rest = ("x", bytes(MAX_ALL_HEADERS - ours - 3 * MAX_HEADER - 1))
    assert with_headers(*[("x", b"")] * (MAX_HEADERS - len(GOOD.headers)))
    assert with_headers(large, large, large, rest)
    for beyond in (
        [("x", b"")] * (MAX_HEADERS - len(GOOD.headers) + 1),
        [("x", bytes(MAX_HEADER))],
        [large, large, large, ("xx", rest[1])],
    ):
        with pytest.raises(SchemaError, match="and may have") as caught:
            with_headers(*beyond)
        assert caught.value.reason is DeadReason.TOO_LARGE


# -- the plain twin --------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats()
TEXTS = st.text(max_size=40) | st.binary(max_size=40)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=40), inner, max_size=20)
    ),
    max_leaves=60,
)
BOUNDS = st.builds(
    Limits,
    max_bytes=st.integers(1, 400),
    max_depth=st.integers(0, 5),
    max_items=st.integers(0, 60),
    max_map=st.integers(0, 20),
    max_array=st.integers(0, 20),
    max_string=st.integers(0, 60),
    max_binary=st.integers(0, 40),
)


def plain(value: Any, limits: Limits) -> tuple[bool, int, int]:
    """Tell of a decoded value whether each part is within its own bound, its depth, its items."""
    if isinstance(value, str):
        return len(value.encode()) <= limits.max_string, 0, 0
    if isinstance(value, bytes):
        return len(value) <= limits.max_binary, 0, 0
    if isinstance(value, dict):
        fits, parts = len(value) <= limits.max_map, [*value.keys(), *value.values()]
    elif isinstance(value, list):
        fits, parts = len(value) <= limits.max_array, value
    else:
        return True, 0, 0
    told = [plain(part, limits) for part in parts]
    depth = 1 + max((one[1] for one in told), default=0)
    return fits and all(one[0] for one in told), depth, len(parts) + sum(one[2] for one in told)


def passes(limits: Limits, data: bytes) -> bool:
    """Tell whether bytes are held to be within limits."""
    try:
        hold_to(limits, data)
    except SchemaError:
        return False
    return True


@settings(max_examples=500)
@given(VALUES, BOUNDS)
def test_heads_tell_what_the_decoded_value_tells(value: Any, limits: Limits) -> None:
    """What is refused before decoding is what a look at the decoded value would refuse."""
    data = raw(value)
    fits, depth, items = plain(value, limits)
    right = fits and depth <= limits.max_depth and items <= limits.max_items
    assert passes(limits, data) is (right and len(data) <= limits.max_bytes)


WIDE = Limits(max_depth=500, max_items=10**6, max_map=10**6, max_array=10**6, max_string=10**6)


def decodes(data: bytes) -> bool:
    """Tell whether msgpack itself finds one whole value, whatever its keys and texts are."""
    foreign = []
    try:
        msgpack.unpackb(
            data,
            raw=True,
            strict_map_key=False,
            object_pairs_hook=list,
            ext_hook=lambda *one: foreign.append(one),
            timestamp=0,
        )
    except (ValueError, msgpack.UnpackException):
        return False
    return not foreign


HEADS = st.binary(min_size=1, max_size=6) | st.sampled_from(
    [bytes([code]) for code in range(0x80, 0xE0)] + [b"\xdc\x00\x02", b"\xde\x00\x01", b"\xc4\x01a"]
)


@settings(max_examples=1000)
@given(st.lists(HEADS, max_size=12).map(b"".join))
def test_what_passes_is_one_whole_value(data: bytes) -> None:
    """The heads that are read here are those that msgpack's own decoder reads."""
    if b"\xff" not in data:  # a timestamp, which may be refused for its content alone
        assert passes(WIDE, data) is decodes(data)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([b"\xdc\x27\x10", b"\x91", b"\x81\xa1a", b"\xdd\x00\x00\x27\x10"])),
    st.sampled_from([b"", b"\xc0", b"\x80", b"\x90", b"\xa1a", b"\xcb" + bytes(8)]),
    st.integers(0, 30_000),
)
def test_no_bytes_cost_memory(heads: list[bytes], filling: bytes, count: int) -> None:
    """Whatever is claimed, nested and filled in, the cost is bounded."""
    data = b"".join(heads) + filling * count
    with memory_below(5 * MB), suppress(SchemaError):
        unpack(data)
