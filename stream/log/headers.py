"""Record headers as one string of bytes: each name and value behind its length."""

from __future__ import annotations

import struct

from stream.log.seam import Headers

__all__ = ["pack_headers", "unpack_headers"]

_LENGTHS = struct.Struct("<II")


def pack_headers(headers: Headers) -> bytes:
    """Return the headers, in their order, as bytes."""
    parts = []
    for name, value in headers:
        encoded = name.encode()
        parts += [_LENGTHS.pack(len(encoded), len(value)), encoded, value]
    return b"".join(parts)


def unpack_headers(packed: bytes) -> Headers:
    """Return what `pack_headers` was given."""
    headers = []
    at = 0
    while at < len(packed):
        name, value = _LENGTHS.unpack_from(packed, at)
        at += _LENGTHS.size
        headers.append((packed[at : at + name].decode(), packed[at + name : at + name + value]))
        at += name + value
    return tuple(headers)
