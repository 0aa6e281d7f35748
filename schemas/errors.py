"""What can be wrong with a message or with a record of the state.

ValueError
├── SchemaError    the record is refused: it goes to the dead letters with its reason
└── StateError     the changelog cannot be trusted or understood: the service stops
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["DeadReason", "SchemaError", "StateError"]


class DeadReason(StrEnum):
    """Why a record went to the dead letters; the closed set of `DeadLetter.reason`."""

    BAD_HEADERS = "bad_headers"
    """A CloudEvents attribute is missing, doubled or malformed, or the content type is foreign."""
    BAD_IDENTITY = "bad_identity"
    """The identity is impossible, or the key does not name it."""
    BAD_MESSAGE = "bad_message"
    """The value is msgpack, but not a message of its type."""
    BAD_MSGPACK = "bad_msgpack"
    """The value is not one whole msgpack object of the kinds that messages use."""
    MISROUTED = "misrouted"
    """The key belongs to another partition (a producer with a foreign partitioner)."""
    NULL_VALUE = "null_value"
    """There is no value; events have no tombstones."""
    SEALED = "sealed"
    """The group's history was ended before this event."""
    TOO_LARGE = "too_large"
    """The value, something in it, the key or a header is beyond a limit, or the group is full."""
    UNKNOWN_TYPE = "unknown_type"
    """The type, or its version, is not one of ours."""
    UNSUPPORTED_TYPE = "unsupported_type"
    """The type is ours, but this release does not act on it."""


class SchemaError(ValueError):
    """A message that cannot be made or read.

    Parameters
    ----------
    reason : DeadReason
        What the dead letter will say.
    message : str
        A sentence that names what was wrong and what would be right.
    """

    def __init__(self, reason: DeadReason, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


class StateError(ValueError):
    """A record of the changelog that this version cannot read, or must not."""
