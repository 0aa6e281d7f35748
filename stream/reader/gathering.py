"""Which revision is whole, given models and summaries in whatever order a log shows them.

A revision is written atomically, but a reader sees topics and partitions one by one: a summary
before its models, or models of a later revision before their summary. What holds all of it
together is that a summary *names* its models, by digest. So there are three rules:

* Of each model key the newest is held, of each group the newest summary is looked at.
* A revision is whole when each model that its summary names is the one that is held.
* If another is held, either the named one is still to come, or it was superseded and a newer
  summary is to come, in the same transaction. To tell the two apart is not needed: the summary
  waits, and the newer one takes its place.

A model's name is a digest of what it says, without the revision that sent it. So a model that says
again what it said before is the same model, and an earlier revision is whole with it.

No bytes are decoded here and nothing is read or written: what must be remembered is as large as
the survey, so it lies behind a `Shelf`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Gathering", "Held", "Seen", "Shelf", "Summary"]


@dataclass(frozen=True, slots=True)
class Held:
    """The newest model of a key, without its bytes.

    Attributes
    ----------
    revision : int
        The revision that sent it.
    model_id : str
    """

    revision: int
    model_id: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary as it was read.

    Attributes
    ----------
    revision : int
    named : mapping of int to str
        The model_id of each visit that has one.
    value : bytes
        The message, given back when the revision is whole.
    partition, offset : int
        Where it stands in its topic.
    """

    revision: int
    named: Mapping[int, str]
    value: bytes
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a group has come.

    Attributes
    ----------
    revision : int
        Of its newest summary.
    missing : int or None
        How many of the models that this summary names are not held; None once it is settled, that
        is, was told to be whole or will never be.
    """

    revision: int
    missing: int | None


class Shelf(Protocol):
    """What is remembered: models by group and visit, and how far each group has come."""

    def held(self, group: str, visit: int) -> Held | None:
        """Return the model held of a visit."""
        ...

    def held_ids(self, group: str) -> Mapping[int, str]:
        """Return the model_ids held of all visits of a group."""
        ...

    def hold(self, group: str, visit: int, held: Held, value: bytes) -> None:
        """Hold a model, in place of the one before."""
        ...

    def let_go(self, group: str, visit: int) -> None:
        """Hold no model of this visit."""
        ...

    def seen(self, group: str) -> Seen | None:
        """Return how far a group has come."""
        ...

    def named(self, group: str, visit: int) -> str | None:
        """Return what the waiting summary of a group names for a visit."""
        ...

    def wait(self, group: str, summary: Summary, missing: int) -> None:
        """Keep a summary waiting, in place of an earlier one of the group."""
        ...

    def count(self, group: str, missing: int) -> None:
        """Note anew how many models the waiting summary misses."""
        ...

    def settle(self, group: str, revision: int) -> bytes | None:
        """Note that a revision is settled; give up what waits, and return that summary's bytes."""
        ...


class Gathering:
    """Takes models and summaries in, and says which revision became whole.

    Each call concerns one group, of which at most one summary waits, so that at most one revision
    becomes whole with it.

    Parameters
    ----------
    shelf : Shelf
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def model(self, group: str, visit: int, model: Held, value: bytes) -> bytes | None:
        """Take in a model.

        Returns
        -------
        bytes or None
            The summary of the revision that it makes whole.
        """
        before = self._shelf.held(group, visit)
        if before is not None and model.revision < before.revision:
            return None  # sent twice, the second time late
        self._shelf.hold(group, visit, model, value)
        return self._changed(group, visit, before, model)

    def no_model(self, group: str, visit: int) -> None:
        """Take in a model's tombstone."""
        before = self._shelf.held(group, visit)
        self._shelf.let_go(group, visit)
        self._changed(group, visit, before, None)

    def _changed(
        self, group: str, visit: int, before: Held | None, after: Held | None
    ) -> bytes | None:
        seen = self._shelf.seen(group)
        named = self._shelf.named(group, visit)
        if seen is None or seen.missing is None or named is None:
            return None
        missing = seen.missing + _is(before, named) - _is(after, named)
        if missing == 0:
            return self._shelf.settle(group, seen.revision)
        self._shelf.count(group, missing)
        return None

    def summary(self, group: str, summary: Summary) -> bytes | None:
        """Take in a summary.

        Returns
        -------
        bytes or None
            The summary itself, if its revision is whole at once.
        """
        seen = self._shelf.seen(group)
        if seen is not None and summary.revision <= seen.revision:
            return None  # sent twice
        held = self._shelf.held_ids(group) if summary.named else {}
        missing = sum(held.get(visit) != name for visit, name in summary.named.items())
        if missing:
            self._shelf.wait(group, summary, missing)
            return None
        self._shelf.settle(group, summary.revision)
        return summary.value

    def no_summary(self, group: str) -> None:
        """Take in a summary's tombstone: what waits is given up, and what was told stays told."""
        seen = self._shelf.seen(group)
        if seen is not None:
            self._shelf.settle(group, seen.revision)


def _is(held: Held | None, model_id: str) -> bool:
    return held is not None and held.model_id == model_id
