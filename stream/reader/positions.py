"""How far a consumer has come in the summaries, as a value that it can keep with its own output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import msgspec

__all__ = ["PositionsError", "Progress"]

_Offsets = Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(min_length=1)]
_Text = dict[str, list[_Offsets]]


class PositionsError(ValueError):
    """A text that no reader gave, or one that belongs to another log."""


class Progress:
    """Which summaries are settled: yielded, superseded, or taken back by a tombstone.

    One offset a partition would not do, because a summary that waits for its models must not hold
    up those behind it. So beside the offset up to which a partition was read stand the offsets
    below it that are *open*. There are few: models are read ahead, and a group has one at most.

    Parameters
    ----------
    nexts : sequence of int
        For each partition, the offset behind the last summary that was read.
    behind : mapping of int to iterable of int, optional
        For each partition, the open offsets below that.
    """

    def __init__(
        self, nexts: Sequence[int], behind: Mapping[int, Iterable[int]] | None = None
    ) -> None:
        self._next = list(nexts)
        self._behind = {p: sorted(found) for p, found in (behind or {}).items()}

    @classmethod
    def parse(cls, text: str, topic: str, partitions: int) -> Progress:
        """Read back what `text` wrote.

        Parameters
        ----------
        text : str
        topic : str
            Of the summaries.
        partitions : int
            How many it has.

        Raises
        ------
        PositionsError
        """
        try:
            found = msgspec.json.decode(text, type=_Text)
        except msgspec.MsgspecError as error:
            raise PositionsError(f"{text[:80]!r} are no positions of a reader: {error}") from error
        if list(found) != [topic] or len(found[topic]) != partitions:
            told = ", ".join(f"{name} with {len(one)} partitions" for name, one in found.items())
            raise PositionsError(
                f"these positions are of {told or 'no topic'}; this log has {topic} with "
                f"{partitions}"
            )
        rows = found[topic]
        return cls([row[0] for row in rows], {p: row[1:] for p, row in enumerate(rows)})

    def text(self, topic: str, waiting: Iterable[tuple[int, int]]) -> str:
        """Return all that is needed to go on.

        Parameters
        ----------
        topic : str
        waiting : iterable of (int, int)
            Partition and offset of each summary that waits.
        """
        rows = [[offset, *self._behind.get(p, ())] for p, offset in enumerate(self._next)]
        for partition, offset in sorted(waiting):
            rows[partition].append(offset)
        return msgspec.json.encode({topic: rows}).decode()

    @property
    def starts(self) -> tuple[int, ...]:
        """For each partition, the offset to read on from."""
        return tuple(min([offset, *self._behind.get(p, ())]) for p, offset in enumerate(self._next))

    def wants(self, partition: int, offset: int) -> bool:
        """Say whether a summary is to be looked at, and count it as read."""
        behind = self._behind.get(partition, [])
        wanted = offset >= self._next[partition] or offset in behind
        # Those passed over are gone from the log: compacted, because a newer one stands later.
        self._behind[partition] = [one for one in behind if one > offset]
        self._next[partition] = max(self._next[partition], offset + 1)
        return wanted
