"""Rice's code written and read bit by bit, from the standard's words alone (section 10.4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["IN_FULL", "plainly_read", "written"]

IN_FULL: Final = 25
"""Low bits of a block whose differences are written in full."""

_WORD: Final = 2**32


def written(pixels: Sequence[int], block: int, lows: Sequence[int]) -> bytes:
    """Return a tile.

    Parameters
    ----------
    pixels : sequence of int
        Within 32 bits, signed.
    block : int
        Pixels of a block.
    lows : sequence of int
        Low bits of each block's differences; `IN_FULL`, or -1 of one that has none.
    """
    bits = f"{pixels[0] % _WORD:032b}"
    last = pixels[0]
    for number, first in enumerate(range(0, len(pixels), block)):
        low = lows[number]
        bits += f"{low + 1:05b}"
        for pixel in pixels[first : first + block]:
            bits += _difference(pixel - last, low)
            last = pixel
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _difference(difference: int, low: int) -> str:
    """Return the bits of one difference, modulo 2^32."""
    signed = (difference + _WORD // 2) % _WORD - _WORD // 2
    folded = 2 * signed if signed >= 0 else -2 * signed - 1
    if low < 0:
        assert folded == 0
        return ""
    if low == IN_FULL:
        return f"{folded:032b}"
    rest = f"{folded % 2**low:0{low}b}" if low else ""
    return "0" * (folded >> low) + "1" + rest


def plainly_read(packed: bytes, block: int, count: int) -> NDArray[np.int32] | None:
    """Return the pixels of a tile, or None if the bytes are no tile's, or more than one has.

    Parameters
    ----------
    packed : bytes
    block, count : int
        Pixels of a block, and in all.
    """
    bits = iter("".join(f"{byte:08b}" for byte in packed))
    pixels: list[int] = []
    try:
        last = _number(bits, 32)
        while len(pixels) < count:
            low = _number(bits, 5) - 1
            if low > IN_FULL:
                return None
            for _ in range(min(block, count - len(pixels))):
                last += _unfolded(_folded(bits, low))
                pixels.append((last + _WORD // 2) % _WORD - _WORD // 2)
    except StopIteration:
        return None
    return np.array(pixels, np.int32) if len(list(bits)) < 8 else None


def _folded(bits: Iterator[str], low: int) -> int:
    if low < 0:
        return 0
    if low == IN_FULL:
        return _number(bits, 32)
    high = 0
    while next(bits) == "0":
        high += 1
    return ((high << low) + _number(bits, low)) % _WORD


def _number(bits: Iterator[str], width: int) -> int:
    number = 0
    for _ in range(width):
        number = 2 * number + int(next(bits))
    return number


def _unfolded(folded: int) -> int:
    return folded // 2 if folded % 2 == 0 else -(folded + 1) // 2
