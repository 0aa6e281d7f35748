"""Where the HDUs of a FITS file begin and end, read from its bytes under limits.

Nothing here allocates by what a file says of itself: headers are looked for block by block, sizes
are Python integers until they were checked, and a gzip stream is inflated in steps.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from mmap import mmap
from typing import Any, cast

import numpy as np
from astropy.io import fits
from isal import isal_zlib

from stream.decodelimits import DecodeLimits
from stream.faults import WarpError, WarpFault

__all__ = [
    "BLOCK",
    "GzipError",
    "Hdu",
    "Header",
    "guarded",
    "gzip_member",
    "inflate",
    "inflated_chunks",
    "integer",
    "quiet",
    "walk",
]

BLOCK = 2880
"""Bytes of a FITS block: headers and data begin at multiples of it."""

Header = Mapping[str, Any]
"""Cards by keyword, whose values are a stranger's."""

GzipError = cast("type[Exception]", isal_zlib.error)
"""Raised for what is no gzip stream. The library's own types have it as a value, not a class."""

_CARD = 80
_END = b"END     "
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31
_STEP = 1 << 20
_FIRST_STEP = 1 << 8
_NOT_ZERO = re.compile(rb"[^\0]")
_BITPIX = (8, 16, 32, 64, -32, -64)
_MAX_AXES = 999
_PRINTED = 1 << 64
_WARNINGS_LOCK = threading.RLock()


@dataclass(frozen=True, slots=True)
class Hdu:
    """One HDU: its header, and where its bytes are.

    Attributes
    ----------
    header : mapping
        The cards as they stand in the file (an `astropy.io.fits.Header`).
    number : int
        Place in the file; the primary HDU is 0.
    start, data : int
        Byte at which the header and the data begin.
    size : int
        Bytes of data as the header has it; nothing says that the file holds them.
    """

    header: Header
    number: int
    start: int
    data: int
    size: int

    @property
    def end(self) -> int:
        """The byte after the last one of the data, without padding."""
        return self.data + self.size

    def check_whole(self, content: memoryview) -> None:
        """Refuse an HDU whose data the file does not hold (WarpError `truncated`)."""
        if self.end > len(content):
            shown = f"at byte {self.end}" if self.end < _PRINTED else "beyond all bounds"
            msg = f"HDU {self.number} ends {shown}, the file at byte {len(content)}"
            raise WarpError(WarpFault.TRUNCATED, msg)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep astropy and numpy from warning a user about a stranger's file.

    Python's filters belong to the process, so one thread at a time may change them.
    """
    with _WARNINGS_LOCK, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*truncated.*")
        yield


@contextmanager
def guarded() -> Iterator[None]:
    """Turn whatever a stranger's bytes make a library raise into a WarpError."""
    try:
        with quiet():
            yield
    except WarpError:
        raise
    except MemoryError as error:
        raise WarpError(WarpFault.OUT_OF_MEMORY, "decoding needs too much memory") from error
    except Exception as error:
        msg = f"{type(error).__name__}: {error}"
        raise WarpError(WarpFault.UNREADABLE, msg) from error


def inflate(data: bytes | mmap, limits: DecodeLimits, *, enough: int | None = None) -> memoryview:
    """Return the file's content, inflated if the whole file is a gzip stream.

    Parameters
    ----------
    data : bytes or mmap
        The file.
    limits : DecodeLimits
        `max_bytes` is held while inflating, not after.
    enough : int, optional
        Stop once so many bytes are at hand.

    Raises
    ------
    WarpError
        `too_large`, `truncated`, or `unreadable` for what is no gzip stream.
    """
    if data[: len(_GZIP_MAGIC)] != _GZIP_MAGIC:
        _check_bytes(len(data), limits)
        return memoryview(data)
    content = bytearray()
    try:
        for chunk in inflated_chunks(data):
            content += chunk
            _check_bytes(len(content), limits)
            if enough is not None and len(content) >= enough:
                break
    except GzipError as error:
        raise WarpError(WarpFault.UNREADABLE, f"not a good gzip stream: {error}") from error
    return memoryview(content)


def gzip_member() -> isal_zlib.Decompress:
    """Return what inflates one member of a gzip stream, in less than half of zlib's time."""
    return isal_zlib.decompressobj(wbits=_GZIP_WINDOW)


def _check_bytes(size: int, limits: DecodeLimits) -> None:
    if size > limits.max_bytes:
        msg = f"the file has more than {limits.max_bytes} bytes"
        raise WarpError(WarpFault.TOO_LARGE, msg)


def inflated_chunks(data: bytes | mmap, most_members: int = 1 << 16) -> Iterator[bytes]:
    """Inflate the members of a gzip stream in steps of bounded size.

    Parameters
    ----------
    data : bytes or mmap
    most_members : int
        Members to inflate; each costs something although there may be nothing in it.

    Raises
    ------
    GzipError
        These are not the bytes of a gzip stream.
    WarpError
        `truncated`, `too_large` for more members, or `unreadable` for what stands behind one.
    """
    at = 0
    for _ in range(most_members):
        if data[at : at + 2] != _GZIP_MAGIC[: len(data) - at]:
            raise WarpError(WarpFault.UNREADABLE, "behind a gzip stream there is no other")
        at = yield from _inflated_member(data, at)
        more = _NOT_ZERO.search(data, at)
        if more is None:
            return
        at = more.start()
    raise WarpError(WarpFault.TOO_LARGE, f"a gzip stream has more than {most_members} members")


def _inflated_member(data: bytes | mmap, at: int) -> Generator[bytes, None, int]:
    """Inflate one member, and return where it ends.

    What is fed beyond its end is copied, so a short member must not be fed much.
    """
    member, step = gzip_member(), _FIRST_STEP
    while not member.eof:
        feed = data[at : at + step]
        if not feed:
            raise WarpError(WarpFault.TRUNCATED, "the gzip stream ends too early")
        yield from _drained(member, feed)
        at += len(feed)
        step = min(2 * step, _STEP)
    return at - len(member.unused_data)


def _drained(member: isal_zlib.Decompress, feed: bytes) -> Iterator[bytes]:
    """Yield all that one piece of input inflates to, never more than a step at once."""
    while not member.eof:
        chunk = member.decompress(feed, _STEP)
        yield chunk
        feed = member.unconsumed_tail
        if not feed and len(chunk) < _STEP:
            return


def walk(content: memoryview, limits: DecodeLimits) -> Iterator[Hdu]:
    """Yield the HDUs in file order, each before its data were looked for.

    Raises
    ------
    WarpError
        `not_fits`, `truncated`, `too_large` or `unreadable`, when the walk comes upon it.
    """
    position = 0
    for number in range(limits.max_hdus):
        if not _begins(content, position, number):
            return
        header, data = _read_header(content, position, limits)
        hdu = Hdu(header, number, position, data, _data_size(header))
        yield hdu
        hdu.check_whole(content)
        position = hdu.data + _padded(hdu.size)
    raise WarpError(WarpFault.TOO_LARGE, f"no planes in the first {limits.max_hdus} HDUs")


def _begins(content: memoryview, position: int, number: int) -> bool:
    """Tell whether an HDU begins here; what follows the last HDU is nobody's."""
    word = bytes(content[position : position + 10])
    if number:
        return word.startswith(b"XTENSION= ")
    if not word:
        raise WarpError(WarpFault.TRUNCATED, "the file is empty")
    if word != b"SIMPLE  = ":
        fault = WarpFault.TRUNCATED if b"SIMPLE  = ".startswith(word) else WarpFault.NOT_FITS
        raise WarpError(fault, f"a FITS file does not begin with {word!r}")
    return True


def _read_header(content: memoryview, start: int, limits: DecodeLimits) -> tuple[Header, int]:
    """Return the header that begins at `start`, and the byte after its last block."""
    for block in range(start, start + limits.max_header_bytes, BLOCK):
        cards = bytes(content[block : block + BLOCK])
        if len(cards) < BLOCK:
            raise WarpError(WarpFault.TRUNCATED, f"the header at byte {start} has no end")
        if _holds_end(cards):
            end = block + BLOCK
            return cast("Header", fits.Header.fromstring(bytes(content[start:end]))), end
    msg = f"the header at byte {start} has more than {limits.max_header_bytes} bytes"
    raise WarpError(WarpFault.TOO_LARGE, msg)


def _holds_end(cards: bytes) -> bool:
    return _END in cards and any(
        cards.startswith(_END, card) for card in range(0, len(cards), _CARD)
    )


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _data_size(header: Header) -> int:
    """Return the bytes of data that a header declares (FITS standard 4.0, section 4.4.1)."""
    bitpix = integer(header, "BITPIX")
    axes = integer(header, "NAXIS")
    groups = integer(header, "GCOUNT", default=1)
    if bitpix not in _BITPIX or axes > _MAX_AXES or groups != 1:
        msg = f"BITPIX = {bitpix}, NAXIS = {axes}, GCOUNT = {groups}"
        raise WarpError(WarpFault.UNREADABLE, msg)
    if axes == 0:
        return 0
    elements = prod(integer(header, f"NAXIS{n}") for n in range(1, axes + 1))
    extra = integer(header, "PCOUNT", default=0)
    return abs(bitpix) // 8 * (extra + elements)


def integer(header: Header, name: str, default: int | None = None) -> int:
    """Return a card's integer; only BITPIX may be negative.

    Raises
    ------
    WarpError
        `unreadable` if the card is absent without a default, or something else.
    """
    value = header.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise WarpError(WarpFault.UNREADABLE, f"{name} = {value!r} is not an integer")
    if value < 0 and not name.endswith("BITPIX"):
        raise WarpError(WarpFault.UNREADABLE, f"{name} = {value} is negative")
    return value
