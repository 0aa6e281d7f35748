"""The bounded walk over a file's HDUs, and bounded inflating."""

from __future__ import annotations

import gzip
import tracemalloc
import warnings
import zlib
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
from astropy.io import fits as astropy_fits
from astropy.utils.exceptions import AstropyUserWarning
from hypothesis import given, settings
from hypothesis import strategies as st

from stream import hdus
from stream.decodelimits import DecodeLimits
from stream.faults import WarpError, WarpFault
from stream.hdus import BLOCK
from tests.stream.warps import HEADER, hdu, plain_file, planted

PRIMARY = hdu({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0})
IMAGE = {"XTENSION": "IMAGE", "BITPIX": -32, "NAXIS": 2, "NAXIS1": 30, "NAXIS2": 40}
LIMITS = DecodeLimits(max_bytes=1 << 20, max_hdus=5, max_header_bytes=3 * BLOCK)


def _walk(data: bytes, limits: DecodeLimits = LIMITS) -> list[hdus.Hdu]:
    return list(hdus.walk(memoryview(data), limits))


def _fault(data: bytes, limits: DecodeLimits = LIMITS) -> WarpFault:
    with pytest.raises(WarpError) as caught:
        _walk(data, limits)
    return caught.value.reason


# Walking


def test_hdus_tile_the_file() -> None:
    """Each HDU begins where the one before it ends, up to the file's last byte."""
    data = plain_file(planted())
    found = _walk(data)
    assert [h.number for h in found] == [0, 1, 2, 3]
    for one, other in pairwise(found):
        assert other.start == one.data + -(-one.size // BLOCK) * BLOCK
    assert found[-1].end + (-found[-1].size % BLOCK) == len(data)


def test_sizes_are_those_that_astropy_computes() -> None:
    """Headers, data and padding lie where astropy finds them."""
    data = plain_file(planted())
    opened: Any = astropy_fits.open(BytesIO(data))
    with opened as theirs_opened:
        theirs = [h.fileinfo() for h in theirs_opened]
    assert [(h.start, h.data) for h in _walk(data)] == [
        (info["hdrLoc"], info["datLoc"]) for info in theirs
    ]


def test_a_table_has_its_heap_counted() -> None:
    """PCOUNT bytes follow a table's rows."""
    table = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 7, "NAXIS2": 3}
    found = _walk(PRIMARY + hdu({**table, "PCOUNT": 3000, "GCOUNT": 1}, bytes(3021)))
    assert found[1].size == 3021


def test_an_hdu_is_given_before_its_data_are_looked_for() -> None:
    """Whoever only wants a header gets it although the data are not there."""
    walk = hdus.walk(memoryview(PRIMARY + hdu(IMAGE)), LIMITS)
    assert next(walk).number == 0
    assert next(walk).size == 4800
    with pytest.raises(WarpError, match="truncated"):
        next(walk)


@pytest.mark.parametrize(("data", "words"), [(b"", "the file is empty"), (b"SIMPLE", "b'SIMPLE'")])
def test_a_file_that_does_not_begin_is_told(data: bytes, words: str) -> None:
    """A file of no bytes is called empty, one of too few is shown; both are truncated."""
    with pytest.raises(WarpError, match=f"truncated: .*{words}"):
        _walk(data)


def test_what_follows_the_last_hdu_is_not_looked_at() -> None:
    """The walk ends where no extension begins."""
    assert len(_walk(PRIMARY + b"special records" * 400)) == 1


def test_a_header_without_end_is_bounded() -> None:
    """A header that goes on for ever is refused once it is too long, or when the file ends."""
    endless = PRIMARY[:80] + b" " * 80 * 35
    assert _fault(endless + b" " * BLOCK * 10) is WarpFault.TOO_LARGE
    assert _fault(endless) is WarpFault.TRUNCATED


def test_end_counts_only_at_the_start_of_a_card() -> None:
    """The word END inside a value or a comment ends nothing."""
    data = hdu({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "OBJECT": "THE END     "})
    assert _walk(data)[0].header["OBJECT"] == "THE END"


def test_hdus_are_counted() -> None:
    """More HDUs than allowed are refused, not walked."""
    empty = hdu({"XTENSION": "IMAGE", "BITPIX": 8, "NAXIS": 0})
    assert len(_walk(PRIMARY + 3 * empty)) == 4
    assert _fault(PRIMARY + 20_000 * empty) is WarpFault.TOO_LARGE


@pytest.mark.parametrize("axes", [(2**62, 2**62), (2**31, 2**31), (65536, 65536)])
def test_sizes_never_wrap_around(axes: tuple[int, int]) -> None:
    """Axes whose product is beyond 64 bits are a file that ends too early, not a small one."""
    cards = {**IMAGE, "NAXIS1": axes[0], "NAXIS2": axes[1]}
    assert _fault(PRIMARY + hdu(cards, bytes(BLOCK))) is WarpFault.TRUNCATED


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3 * BLOCK))
def test_any_bytes_end_the_walk(data: bytes) -> None:
    """Behind a good primary HDU, any bytes end the walk or are refused, and nothing warns."""
    content = memoryview(PRIMARY + b"XTENSION= " + data)
    try:
        with hdus.guarded():
            list(hdus.walk(content, LIMITS))
    except WarpError as error:
        refused = error.reason
        assert refused in (WarpFault.TRUNCATED, WarpFault.UNREADABLE)


# Inflating


def _inflate(data: bytes, limits: DecodeLimits = LIMITS) -> bytes:
    return bytes(hdus.inflate(data, limits))


def test_what_is_no_gzip_stream_is_left_alone() -> None:
    """Plain bytes are given back, and their number is limited too."""
    assert _inflate(b"plain") == b"plain"
    with pytest.raises(WarpError, match="too_large"):
        _inflate(bytes(LIMITS.max_bytes + 1))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(0, 2000))
def test_inflating_is_what_gzip_does(members: list[bytes], zeros: int) -> None:
    """Members are joined, zeros behind them ignored."""
    data = b"".join(map(gzip.compress, members)) + bytes(zeros)
    assert _inflate(data) == b"".join(members)


def test_a_long_stream_is_inflated_in_steps() -> None:
    """A stream of many steps, at a ratio of a thousand, loses nothing."""
    content = bytes(5_000_000) + b"end"
    assert _inflate(gzip.compress(content), DecodeLimits()) == content


def test_a_bomb_is_refused_while_it_is_inflated() -> None:
    """A stream beyond the limit is refused, and no more than the limit was ever at hand."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
    assert len(bomb) < 400_000
    tracemalloc.start()
    with pytest.raises(WarpError, match="too_large"):
        _inflate(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * LIMITS.max_bytes


def test_a_bomb_of_members_is_refused() -> None:
    """The limit holds for all members together."""
    with pytest.raises(WarpError, match="too_large"):
        _inflate(gzip.compress(bytes(100_000)) * 20)


@pytest.mark.parametrize("cut", [3, 9, 20, -1, -4, -8])
def test_a_stream_that_ends_early_is_truncated(cut: int) -> None:
    """A gzip stream is whole only with its trailer."""
    stream = gzip.compress(bytes(range(256)) * 10)
    with pytest.raises(WarpError, match="truncated"):
        _inflate(stream[:cut])


def test_junk_behind_a_stream_is_refused() -> None:
    """Behind a member there is another one, or zeros."""
    with pytest.raises(WarpError, match="unreadable"):
        _inflate(gzip.compress(b"good") + b"junk")


def test_no_more_is_inflated_than_was_asked_for() -> None:
    """A head is had without the rest, which may be damaged."""
    stream = gzip.compress(bytes(3 << 20))
    head = hdus.inflate(stream[:-20], DecodeLimits(), enough=1 << 20)
    assert 1 << 20 <= len(head) < 3 << 20


# Guarding


def test_nothing_warns_inside_quiet() -> None:
    """Warnings of a library about a stranger's file reach nobody; a truncation is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with hdus.quiet():
            warnings.warn("odd card", AstropyUserWarning, stacklevel=1)
            with pytest.raises(AstropyUserWarning):
                warnings.warn("File may have been truncated", AstropyUserWarning, stacklevel=1)


@pytest.mark.parametrize(
    ("raised", "fault"),
    [
        (MemoryError(), WarpFault.OUT_OF_MEMORY),
        (KeyError("TFIELDS"), WarpFault.UNREADABLE),
        (WarpError(WarpFault.NO_IMAGE, "none"), WarpFault.NO_IMAGE),
    ],
)
def test_whatever_a_library_raises_is_a_warp_error(raised: Exception, fault: WarpFault) -> None:
    """A guarded block raises WarpErrors alone."""
    with pytest.raises(WarpError) as caught, hdus.guarded():
        raise raised
    assert caught.value.reason is fault


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_an_integer_card_is_an_integer(value: object) -> None:
    """Logicals, floats and texts are no integers, nor is a card that is absent."""
    cards = {} if value is None else {"NAXIS": value}
    with pytest.raises(WarpError, match="NAXIS"):
        hdus.integer(cards, "NAXIS")


def test_a_default_stands_in_for_an_absent_card() -> None:
    """An absent card is its default, a present one itself."""
    assert hdus.integer({}, "PCOUNT", default=0) == 0
    assert hdus.integer({"PCOUNT": 7}, "PCOUNT", default=0) == 7
    assert HEADER["VISIT"] == 4192
