"""Keys of the changelog's records (DESIGN.md section 3).

======================  =====================================================
``M|group|visit``       a member and its measurement
``X|group``             the set of visits expected
``G|group``             the group's header
``F|group|revision``    the members as frozen; a tombstone once published
``P``                   the position of the partition
======================  =====================================================
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from schemas.errors import StateError

__all__ = [
    "POSITION_KEY",
    "StateKey",
    "StateKind",
    "expected_key",
    "frozen_key",
    "header_key",
    "member_key",
    "parse_state_key",
]

POSITION_KEY: Final = b"P"
"""The key of the partition's `Position`."""


class StateKind(StrEnum):
    """What a record of the changelog holds; the first character of its key."""

    MEMBER = "M"
    EXPECTED = "X"
    HEADER = "G"
    FROZEN = "F"
    POSITION = "P"


class StateKey(NamedTuple):
    """A key, taken apart.

    Attributes
    ----------
    kind : StateKind
    group : str
        The group's key; empty for the position.
    number : int
        Visit of a member, revision of a frozen set; 0 elsewhere.
    """

    kind: StateKind
    group: str
    number: int


_PLAIN: Final = {b"X": StateKind.EXPECTED, b"G": StateKind.HEADER}
_NUMBERED: Final = {b"M": StateKind.MEMBER, b"F": StateKind.FROZEN}


def member_key(group: str, visit: int) -> bytes:
    """Return the key of a member: the group's key and the visit."""
    return f"M|{group}|{visit}".encode()


def expected_key(group: str) -> bytes:
    """Return the key of a group's expected set."""
    return f"X|{group}".encode()


def header_key(group: str) -> bytes:
    """Return the key of a group's header."""
    return f"G|{group}".encode()


def frozen_key(group: str, revision: int) -> bytes:
    """Return the key of a revision's frozen members."""
    return f"F|{group}|{revision}".encode()


def parse_state_key(key: bytes) -> StateKey:
    """Take a key apart; the inverse of the functions above.

    Raises
    ------
    StateError
        The key is none of ours: another version, or another program, wrote it.
    """
    if key == POSITION_KEY:
        return StateKey(StateKind.POSITION, "", 0)
    letter, _, rest = key.partition(b"|")
    try:
        if letter in _NUMBERED:
            group, _, number = rest.rpartition(b"|")  # a group's name may hold a bar of its own
            return StateKey(_NUMBERED[letter], _group(group), _number(number))
        return StateKey(_PLAIN[letter], _group(rest), 0)
    except (KeyError, ValueError) as error:
        raise StateError(f"the state has a key that is none of ours: {key[:400]!r}") from error


def _group(text: bytes) -> str:
    if not text:
        raise ValueError("no group")
    return text.decode()


def _number(text: bytes) -> int:
    if not text.isdigit():
        raise ValueError("no number")
    return int(text)
