"""How large a value and what is in it may be, looked at before any of it is decoded.

A msgpack decoder makes room for what a value claims to hold: a list of 10,000 in three bytes, one
in another a thousand deep, cost 80 MB for 3 kB. So the heads of all values are read first, in one
pass that keeps a number for each open level and nothing else; what passes it can be decoded at a
cost that these limits bound.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple, NoReturn

from msgspec import Struct

from schemas.errors import DeadReason, SchemaError

__all__ = ["EVENT_LIMITS", "LETTER_LIMITS", "RESULT_LIMITS", "Limits", "hold_to", "refuse_depth"]

_KIB: Final = 1024
_MIB: Final = 1024 * _KIB


class Limits(Struct, frozen=True, kw_only=True):
    """How large a value and what is in it may be.

    Attributes
    ----------
    max_bytes : int
        Bytes of the whole value.
    max_depth : int
        Levels of maps and arrays.
    max_items : int
        Entries and elements of all maps and arrays together; a key and its value are two.
    max_map : int
        Entries of one map.
    max_array : int
        Elements of one array.
    max_string : int
        Bytes of one string.
    max_binary : int
        Bytes of one piece of binary data.
    max_key : int
        Bytes of the record's key.
    """

    max_bytes: int = 256 * _KIB
    max_depth: int = 8
    max_items: int = 20_000
    max_map: int = 128
    max_array: int = 10_000
    max_string: int = 8 * _KIB
    max_binary: int = 256 * _KIB
    max_key: int = 1 * _KIB


EVENT_LIMITS: Final = Limits()
"""For the input: 256 KiB, a set of 10,000 visits, and a few MB of memory at the worst."""

RESULT_LIMITS: Final = Limits(max_bytes=8 * _MIB, max_binary=8 * _MIB, max_items=250_000)
"""For models, summaries and metrics: 8 MiB, a grid of 800 x 800 bins or 10,000 members."""

LETTER_LIMITS: Final = Limits(max_bytes=640 * _KIB, max_string=64 * _KIB, max_key=64 * _KIB)
"""For dead letters: a value of 256 KiB with its key and headers."""


def hold_to(limits: Limits, data: bytes) -> bool:
    """Refuse msgpack bytes that are beyond a limit, not whole, or of kinds messages do not use.

    What strings and keys hold is not looked at.

    Parameters
    ----------
    limits : Limits
    data : bytes
        Any bytes at all.

    Returns
    -------
    bool
        Whether all floating-point numbers in it are finite.

    Raises
    ------
    SchemaError
        ``too_large``, naming what is and the limit; ``bad_msgpack``.
    """
    if len(data) > limits.max_bytes:
        raise _too_large("the value", len(data), "bytes", limits.max_bytes)
    heads = _Heads(data, limits)
    try:
        end = heads.walk()
    except IndexError:
        raise _cut_off() from None
    if end > len(data):
        raise _cut_off()
    if end < len(data):
        raise _bad(f"behind the value there are {len(data) - end} bytes more; a record has one")
    return heads.finite


def refuse_depth(depth: int | None = None) -> NoReturn:
    """Raise the refusal of a value with too many levels, of which `depth` are allowed."""
    most = "" if depth is None else f": {depth} levels at most"
    raise SchemaError(DeadReason.TOO_LARGE, f"the value is nested too deeply{most}")


class _Form(NamedTuple):
    """A kind of value whose head tells a length."""

    noun: str
    unit: str
    bound: str
    values: int  # that follow for each unit of length; of 0 the bytes themselves follow


_MAP: Final = _Form("a map", "entries", "max_map", 2)
_ARRAY: Final = _Form("an array", "elements", "max_array", 1)
_STRING: Final = _Form("a string", "bytes", "max_string", 0)
_BINARY: Final = _Form("binary data", "bytes", "max_binary", 0)

# Of the first bytes in msgpack's specification those that a length follows, and the length's size.
_LENGTHS: Final = {
    **{0xC4 + one: (_BINARY, 1 << one) for one in range(3)},
    **{0xD9 + one: (_STRING, 1 << one) for one in range(3)},
    **{0xDC + one: (_ARRAY, 2 << one) for one in range(2)},
    **{0xDE + one: (_MAP, 2 << one) for one in range(2)},
}
_STRING8: Final = 0xD9
_FLOAT32: Final = 0xCA
_FLOAT64: Final = 0xCB
_UNUSED: Final = 0xC1
_LONGEST_FIXSTR: Final = 31


@cache
def _steps(max_string: int) -> tuple[int, ...]:
    """Return for each first byte how long such a value is; 0 if one must look closer."""
    steps = [0] * 256
    for code in (*range(0x80), 0xC0, 0xC2, 0xC3, *range(0xE0, 0x100)):
        steps[code] = 1
    for one in range(4):  # integers of 1, 2, 4 and 8 bytes, without and with a sign
        steps[0xCC + one] = steps[0xD0 + one] = 1 + (1 << one)
    for length in range(min(max_string, _LONGEST_FIXSTR) + 1):
        steps[0xA0 + length] = 1 + length
    return tuple(steps)


class _Heads:
    """Steps from value to value; an IndexError means that the bytes end before the value does."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self._data = data
        self._limits = limits
        self._outer = [1]  # how many values are still to come, level by level
        self._items = 0
        self.finite = True

    def walk(self) -> int:
        """Return where the value ends."""
        data, most = self._data, self._limits.max_string
        steps = _steps(most)
        at = 0
        while self._outer:
            left = self._outer.pop()
            while left:
                left -= 1
                code = data[at]
                step = steps[code]
                if step:
                    at += step
                    continue
                if code == _STRING8 and data[at + 1] <= most:  # digests and names: most of all
                    at += 2 + data[at + 1]
                    continue
                at, inside = self._look(at)
                if inside:
                    self._outer.append(left)
                    left = inside
        return at

    def _look(self, at: int) -> tuple[int, int]:
        """Return where the next head stands, and how many values this one has inside."""
        code = self._data[at]
        if code == _FLOAT64:
            return self._float(at, 0xF0) + 9, 0
        if code == _FLOAT32:
            return self._float(at, 0x80) + 5, 0
        form, length, start = self._head(code, at)
        bound = getattr(self._limits, form.bound)
        if length > bound:
            raise _too_large(form.noun, length, form.unit, bound)
        if not form.values:
            return start + length, 0
        self._open(form.values * length, start)
        return start, form.values * length

    def _float(self, at: int, exponent: int) -> int:
        # Infinities and NaN have all bits of the exponent set; it begins in the first byte.
        first, second = self._data[at + 1], self._data[at + 2]
        if first & 0x7F == 0x7F and second & exponent == exponent:  # noqa: PLR2004 - bits of IEEE 754
            self.finite = False
        return at

    def _head(self, code: int, at: int) -> tuple[_Form, int, int]:
        """Return what a head says: the form, its length, and where what is in it begins."""
        if code in _LENGTHS:
            form, size = _LENGTHS[code]
            start = at + 1 + size
            if start > len(self._data):
                raise _cut_off()
            return form, int.from_bytes(self._data[at + 1 : start]), start
        if code < 0x90:  # noqa: PLR2004 - 0x80 to 0x8f, a map of up to 15
            return _MAP, code & 0x0F, at + 1
        if code < 0xA0:  # noqa: PLR2004 - 0x90 to 0x9f, an array of up to 15
            return _ARRAY, code & 0x0F, at + 1
        if code < 0xC0:  # noqa: PLR2004 - 0xa0 to 0xbf, a string of up to 31
            return _STRING, code & 0x1F, at + 1
        if code == _UNUSED:
            raise _bad(f"the byte 0xc1 at {at} begins no msgpack value")
        raise _bad(f"at byte {at} there is a msgpack extension, which messages do not use")

    def _open(self, values: int, start: int) -> None:
        """Hold one level more, of so many values, to the limits."""
        if len(self._outer) >= self._limits.max_depth:
            refuse_depth(self._limits.max_depth)
        self._items += values
        if self._items > self._limits.max_items:
            raise _too_large("the value", self._items, "items in all", self._limits.max_items)
        if values > len(self._data) - start:  # each takes a byte at least
            raise _cut_off()


def _too_large(noun: str, found: int, unit: str, bound: int) -> SchemaError:
    return SchemaError(DeadReason.TOO_LARGE, f"{noun} has {found} {unit} and may have {bound}")


def _cut_off() -> SchemaError:
    return _bad("the value is not whole: its bytes end before it does")


def _bad(text: str) -> SchemaError:
    return SchemaError(DeadReason.BAD_MSGPACK, text)
