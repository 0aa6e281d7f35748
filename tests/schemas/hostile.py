"""Records as an attacker or a broken producer writes them, and what is to be said of each."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import msgpack

from schemas import MAX_HEADERS, DeadReason, encode
from tests.schemas.examples import arrived, raw

__all__ = ["GOOD", "HOSTILE", "Hostile", "beside"]

GOOD: Final = encode(arrived(), id="1", source="urn:test", time="2026-03-01T05:06:07Z")
_FIELDS: Final = msgpack.unpackb(GOOD.value)
_TOO_LARGE: Final = DeadReason.TOO_LARGE
_BAD_MSGPACK: Final = DeadReason.BAD_MSGPACK
_BAD_MESSAGE: Final = DeadReason.BAD_MESSAGE
_BAD_IDENTITY: Final = DeadReason.BAD_IDENTITY


@dataclass(frozen=True)
class Hostile:
    """A record, the reason for which it is dead, and words that its letter must have."""

    value: bytes | None
    reason: DeadReason
    words: str
    key: bytes | None = GOOD.key
    headers: tuple[tuple[str, bytes], ...] = GOOD.headers


def beside(field: bytes) -> bytes:
    """Return a good message with one field more, whose value is these bytes."""
    body = raw(_FIELDS)
    size = 1 if body[0] < 0x90 else 3  # a map's head
    count = len(_FIELDS) + 1
    return b"\xde" + count.to_bytes(2, "big") + body[size:] + b"\xa5later" + field


def _with(**fields: object) -> bytes:
    return raw({**_FIELDS, **fields})


def _long(code: int, length: int, body: bytes = b"") -> bytes:
    """Return a value whose head tells a length in four bytes."""
    return bytes([code]) + length.to_bytes(4, "big") + body


def _headers(count: int, name: str, value: bytes) -> tuple[tuple[str, bytes], ...]:
    return (*GOOD.headers, *((f"{name}{one}", value) for one in range(count)))


_ARRAY16: Final = b"\xdc\x27\x10"  # an array of 10,000, the most that may be
_EMPTIES: Final = _ARRAY16 + b"\x80" * 10_000
_MOST: Final = 2**32 - 1

_NESTED: Final = {
    "100,000 arrays deep": Hostile(b"\x91" * 100_000 + b"\xc0", _TOO_LARGE, "8 levels"),
    "80,000 maps deep": Hostile(b"\x81\xa1a" * 80_000 + b"\xc0", _TOO_LARGE, "8 levels"),
    "deep in a field that nobody reads": Hostile(
        beside(b"\x91" * 100_000 + b"\xc0"), _TOO_LARGE, "8 levels"
    ),
    "a thousand arrays that claim 10,000 each": Hostile(_ARRAY16 * 1000, _BAD_MSGPACK, "not whole"),
    "claims that the bytes could hold": Hostile(
        _ARRAY16 * 1000 + b"\xc0" * 200_000, _TOO_LARGE, "30000 items in all and may have 20000"
    ),
}

_CLAIMED: Final = {
    "an array of 2^32 - 1 in 5 bytes": Hostile(
        _long(0xDD, _MOST), _TOO_LARGE, f"an array has {_MOST} elements and may have 10000"
    ),
    "a map of 2^32 - 1 in 5 bytes": Hostile(
        _long(0xDF, _MOST), _TOO_LARGE, f"a map has {_MOST} entries and may have 128"
    ),
    "a string of 4 GiB in 5 bytes": Hostile(
        _long(0xDB, _MOST), _TOO_LARGE, f"a string has {_MOST} bytes and may have 8192"
    ),
    "binary data of 4 GiB in 5 bytes": Hostile(
        _long(0xC6, _MOST), _TOO_LARGE, f"binary data has {_MOST} bytes and may have 262144"
    ),
    "an extension of 4 GiB in 6 bytes": Hostile(
        _long(0xC9, _MOST, b"\x01"), _BAD_MSGPACK, "extension"
    ),
    "a head that is cut off": Hostile(b"\xdd\xff\xff", _BAD_MSGPACK, "not whole"),
    "a string that is cut off": Hostile(b"\xd9\x40abc", _BAD_MSGPACK, "not whole"),
    "an array of 9,999 and no more": Hostile(b"\xdc\x27\x0f", _BAD_MSGPACK, "not whole"),
}

_LARGE: Final = {
    "10 MB of nothing": Hostile(
        bytes(10_000_000), _TOO_LARGE, "the value has 10000000 bytes and may have 262144"
    ),
    "10 MB in one string": Hostile(
        _long(0xDB, 10_000_000, b"a" * 10_000_000), _TOO_LARGE, "may have 262144"
    ),
    "a map of a million keys": Hostile(
        _long(0xDF, 10**6, b"".join(b"\xa4" + struct.pack(">I", i) for i in range(10**6))),
        _TOO_LARGE,
        "the value has 5000005 bytes",
    ),
    "a map of 40,000 keys": Hostile(
        _long(0xDF, 40_000, b"".join(b"\xa4%04x\xc0" % i for i in range(40_000))),
        _TOO_LARGE,
        "a map has 40000 entries and may have 128",
    ),
    "an array of 250,000": Hostile(
        _long(0xDD, 250_000, b"\xc0" * 250_000), _TOO_LARGE, "250000 elements and may have 10000"
    ),
    "240,000 empty maps in arrays of 10,000": Hostile(
        b"\xdc\x00\x18" + _EMPTIES * 24, _TOO_LARGE, "items in all and may have 20000"
    ),
    "a URI of 200 kB": Hostile(
        _with(uri="u" * 200_000), _TOO_LARGE, "a string has 200000 bytes and may have 8192"
    ),
    "a URI of 5 kB": Hostile(_with(uri="u" * 5000), _BAD_MESSAGE, "uri"),
    "thirty strings of 8 kB": Hostile(raw(["s" * 8000] * 30), _BAD_MESSAGE, "expected object"),
    "strings whose sentence would be longer": Hostile(
        raw({**_FIELDS, "band": ["\x00" * 8000] * 10}), _BAD_IDENTITY, "band"
    ),
}

_FOREIGN: Final = {
    "an extension": Hostile(beside(b"\xc7\x05\x01abcde"), _BAD_MSGPACK, "extension"),
    "an extension of 200 kB": Hostile(
        _long(0xC9, 200_000, b"\x01" + bytes(200_000)), _BAD_MSGPACK, "extension"
    ),
    "a timestamp of 4 bytes": Hostile(beside(b"\xd6\xff" + bytes(4)), _BAD_MSGPACK, "extension"),
    "a timestamp of 8 bytes": Hostile(beside(b"\xd7\xff" + bytes(8)), _BAD_MSGPACK, "extension"),
    "a timestamp of 12 bytes": Hostile(
        beside(b"\xc7\x0c\xff" + b"\xff" * 12), _BAD_MSGPACK, "extension"
    ),
    "the byte that begins nothing": Hostile(beside(b"\xc1"), _BAD_MSGPACK, "0xc1"),
    "no bytes": Hostile(b"", _BAD_MSGPACK, "not whole"),
    "no value": Hostile(None, DeadReason.NULL_VALUE, "no value"),
    "a message and a byte": Hostile(GOOD.value + b"\xc0", _BAD_MSGPACK, "1 bytes more"),
    "a message and 200 kB": Hostile(
        GOOD.value + b"\x91" * 200_000, _BAD_MSGPACK, "200000 bytes more"
    ),
    "half a message": Hostile(GOOD.value[:-3], _BAD_MSGPACK, "not whole"),
    "a key twice": Hostile(
        b"\x82\xa5visit\x01\xa5visit\x02", _BAD_MSGPACK, "one of its keys twice"
    ),
    "a key twice in a field that nobody reads": Hostile(
        beside(b"\x82\xa1a\x01\xa1a\x02"), _BAD_MSGPACK, "one of its keys twice"
    ),
    "a key that is a number": Hostile(beside(b"\x81\x01\x01"), _BAD_MSGPACK, "map key"),
    "a key that is a map": Hostile(beside(b"\x81\x80\x01"), _BAD_MSGPACK, "map key"),
    "a key of bytes": Hostile(beside(b"\x81\xc4\x01a\x01"), _BAD_MSGPACK, "not a string"),
    "a string that is no UTF-8": Hostile(beside(b"\xa2\xff\xfe"), _BAD_MSGPACK, "utf-8"),
    "a surrogate": Hostile(beside(b"\xa3\xed\xa0\x80"), _BAD_MSGPACK, "utf-8"),
    "a key that is no UTF-8": Hostile(b"\x81\xa2\xff\xfe\xc0", _BAD_MSGPACK, "utf-8"),
}

_NUMBERS: Final = {
    "NaN": Hostile(_with(scale=float("nan")), _BAD_MSGPACK, "scale is nan"),
    "an infinity": Hostile(_with(psf_fwhm=float("-inf")), _BAD_MSGPACK, "psf_fwhm is -inf"),
    "NaN in four bytes": Hostile(beside(b"\xca\x7f\xc0\x00\x00"), _BAD_MSGPACK, "later is nan"),
    "half a number": Hostile(beside(b"\xcb\x7f"), _BAD_MSGPACK, "not whole"),
    "a visit of 64 bits": Hostile(_with(visit=2**64 - 1), _BAD_IDENTITY, "18446744073709551615"),
    "a size far below zero": Hostile(_with(size=-(2**63)), _BAD_MESSAGE, "size"),
    "a version with a fraction": Hostile(_with(version=1.5), _BAD_MESSAGE, "version"),
}

_AROUND: Final = {
    "a key of 10 MB": Hostile(
        GOOD.value, _TOO_LARGE, "the key has 10000000 bytes and may have 1024", key=bytes(10**7)
    ),
    "a record's key that is no UTF-8": Hostile(
        GOOD.value, _BAD_IDENTITY, "the key must name", key=b"\xff\xfe"
    ),
    "10,000 headers": Hostile(
        GOOD.value,
        _TOO_LARGE,
        f"10006 headers and may have {MAX_HEADERS}",
        headers=_headers(10_000, "x", b""),
    ),
    "a header of 10 MB": Hostile(
        GOOD.value,
        _TOO_LARGE,
        "may have 16384",
        headers=_headers(1, "trace", bytes(10**7)),
    ),
    "a header's name of 1 MB": Hostile(
        GOOD.value, _TOO_LARGE, "may have 16384", headers=_headers(1, "x" * 10**6, b"")
    ),
    "a ce_id of 10 MB": Hostile(
        GOOD.value,
        _TOO_LARGE,
        "'ce_id'",
        headers=tuple(
            (name, b"i" * 10**7 if name == "ce_id" else value) for name, value in GOOD.headers
        ),
    ),
    "fifty headers of 10 kB": Hostile(
        GOOD.value,
        _TOO_LARGE,
        "the whole of the headers has",
        headers=_headers(50, "x", bytes(10_000)),
    ),
}

HOSTILE: Final = {**_NESTED, **_CLAIMED, **_LARGE, **_FOREIGN, **_NUMBERS, **_AROUND}
"""By what is wrong with them."""
