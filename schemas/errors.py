"""What can be wrong with a message or with a record of the state.

ValueError
├── SchemaError    the record is refused: it goes to the dead letters with its reason
└── StateError     the changelog cannot be trusted or understood: the service stops
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ["REMEDIES", "Cure", "DeadReason", "Remedy", "SchemaError", "StateError"]


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
    """The type is ours, but this release does not act on it, or not while it writes old state."""


class Cure(StrEnum):
    """Whether a dead record may do its work when it is sent again as it was."""

    REPLAY = "replay"
    """Yes: the record is good, and only stood where it should not."""
    REOPEN = "reopen"
    """Once its group takes events again; until then it would come back."""
    RELEASE = "release"
    """Once the release at hand acts on it; until then it would come back."""
    NEVER = "never"
    """It would come back for ever: what is wrong is in the record, or in its group."""


class Remedy(NamedTuple):
    """What can be done about a dead record.

    Attributes
    ----------
    cure : Cure
    advice : str
        What to do where a replay does no good, for people.
    """

    cure: Cure
    advice: str


_ANEW: Final = "mend the producer and let it send the event anew"

REMEDIES: Final[Mapping[DeadReason, Remedy]] = MappingProxyType(
    {
        DeadReason.BAD_HEADERS: Remedy(Cure.NEVER, f"its headers are wrong: {_ANEW}"),
        DeadReason.BAD_IDENTITY: Remedy(
            Cure.NEVER, f"key and value do not name one possible group: {_ANEW}"
        ),
        DeadReason.BAD_MESSAGE: Remedy(Cure.NEVER, f"its value is not of its type: {_ANEW}"),
        DeadReason.BAD_MSGPACK: Remedy(Cure.NEVER, f"its bytes are wrong: {_ANEW}"),
        DeadReason.MISROUTED: Remedy(
            Cure.REPLAY, "let the producer partition by murmur2, or more of them will come"
        ),
        DeadReason.NULL_VALUE: Remedy(
            Cure.NEVER, "to take a warp back, let the producer send warp.withdrawn.v1"
        ),
        DeadReason.SEALED: Remedy(
            Cure.REOPEN, "run `evensky reopen GROUP` for its group, and replay it after that"
        ),
        DeadReason.TOO_LARGE: Remedy(
            Cure.NEVER, "let the producer send less at once; the bounds are in the message"
        ),
        DeadReason.UNKNOWN_TYPE: Remedy(
            Cure.RELEASE, "if a newer release knows the type, replay it after the upgrade"
        ),
        DeadReason.UNSUPPORTED_TYPE: Remedy(
            Cure.RELEASE,
            "replay it after an upgrade to a release that acts on the type, or once state_format "
            "is raised",
        ),
    }
)
"""What can be done, for every reason."""


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
