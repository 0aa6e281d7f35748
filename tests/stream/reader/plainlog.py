"""A log of lists for readers, which shows as much of each partition as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

from stream.log.seam import LogRefusedError, Places, Record
from stream.log.starts import refuse_beyond
from tests.stream.reader.history import PARTITIONS, interleaved

__all__ = ["PlainReader"]


@dataclass
class PlainReader:
    """A reader's log (`stream.log.seam.ReaderLog`) whose order of topics is chosen.

    Attributes
    ----------
    lines : mapping
        Records by topic and partition.
    choices : sequence of int
        How they are mixed.
    shown : mapping
        Where a partition seems to end, if not at its end.
    closed : int
        How often it was closed.
    starts : list
        Where each reading began.
    partitions : int
    """

    lines: Mapping[tuple[str, int], Sequence[Record]]
    choices: Sequence[int] = ()
    shown: Mapping[tuple[str, int], int] = field(default_factory=dict)
    closed: int = 0
    starts: list[Places] = field(default_factory=list)
    partitions: int = PARTITIONS

    async def start(self) -> None:
        """Do nothing."""

    def _end(self, place: tuple[str, int]) -> int:
        line = self.lines[place]
        return self.shown.get(place, line[-1].offset + 1 if line else 0)

    async def ends(self, topics: Sequence[str]) -> Places:
        """Return the ends of what is shown."""
        if not {topic for topic, _ in self.lines} >= set(topics):
            raise LogRefusedError("a topic is missing")
        return {place: self._end(place) for place in self.lines if place[0] in topics}

    async def begins(self, topics: Sequence[str]) -> Places:
        """Return 0: nothing was deleted."""
        return dict.fromkeys(await self.ends(topics), 0)

    async def read(
        self,
        topics: Sequence[str],
        *,
        follow: bool,
        from_end: bool = False,
        starts: Places | None = None,
    ) -> AsyncGenerator[Record, None]:
        """Yield what is shown; whoever follows waits at the end for ever."""
        assert not from_end
        wanted, ends = starts or {}, await self.ends(topics)
        self.starts.append(wanted)
        refuse_beyond(wanted, ends, "the plain log")
        lines = {
            place: [one for one in self.lines[place] if wanted.get(place, 0) <= one.offset < end]
            for place, end in ends.items()
        }
        for record in interleaved(lines, self.choices):
            yield record
        if follow:
            await asyncio.Event().wait()

    async def close(self) -> None:
        """Count it."""
        self.closed += 1
