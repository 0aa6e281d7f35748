"""A slow, plain msgpack writer and Kafka's MurmurHash2, straight from their specifications."""

from __future__ import annotations

import struct

__all__ = ["packed", "plain_murmur2"]


def packed(value: object) -> bytes:
    """Return the shortest msgpack bytes of a plain value; floats are always 64 bits."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    return _sized(value)


def _sized(value: object) -> bytes:
    if isinstance(value, str):
        data = value.encode()
        return _head(len(data), 0xA0, 31, {1: 0xD9, 2: 0xDA, 4: 0xDB}) + data
    if isinstance(value, bytes):
        return _head(len(value), 0, -1, {1: 0xC4, 2: 0xC5, 4: 0xC6}) + value
    if isinstance(value, dict):
        pairs = [packed(key) + packed(item) for key, item in value.items()]
        return _head(len(pairs), 0x80, 15, {2: 0xDE, 4: 0xDF}) + b"".join(pairs)
    if isinstance(value, list | tuple):
        items = [packed(item) for item in value]
        return _head(len(items), 0x90, 15, {2: 0xDC, 4: 0xDD}) + b"".join(items)
    raise TypeError(type(value).__name__)


def _head(count: int, short: int, most: int, codes: dict[int, int]) -> bytes:
    """Return the code of a kind with its count, in as few bytes as hold it."""
    if count <= most:
        return bytes([short | count])
    size = next(size for size in codes if count < 1 << 8 * size)
    return bytes([codes[size]]) + count.to_bytes(size, "big")


def _integer(value: int) -> bytes:
    if -32 <= value <= 127:
        return value.to_bytes(1, "big", signed=True)
    for place, size in enumerate((1, 2, 4, 8)):
        if 0 <= value < 1 << 8 * size:
            return bytes([0xCC + place]) + value.to_bytes(size, "big")
        if -(1 << 8 * size - 1) <= value < 0:
            return bytes([0xD0 + place]) + value.to_bytes(size, "big", signed=True)
    raise OverflowError(value)


def plain_murmur2(data: bytes) -> int:
    """Return MurmurHash2 as its author wrote it, byte by byte."""
    mix, mask = 0x5BD1E995, 0xFFFFFFFF
    state = (0x9747B28C ^ len(data)) & mask
    position = 0
    while len(data) - position >= 4:
        word = data[position] | data[position + 1] << 8
        word |= data[position + 2] << 16 | data[position + 3] << 24
        word = word * mix & mask
        word ^= word >> 24
        word = word * mix & mask
        state = state * mix & mask
        state ^= word
        position += 4
    rest = len(data) - position
    if rest >= 3:
        state ^= data[position + 2] << 16
    if rest >= 2:
        state ^= data[position + 1] << 8
    if rest >= 1:
        state ^= data[position]
        state = state * mix & mask
    state ^= state >> 13
    state = state * mix & mask
    return state ^ state >> 15
