"""The shell of the reader: reads a log, feeds the intake, hands whole revisions on."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

import schemas
from stream.log.seam import LogRefusedError, ReaderLog, Record
from stream.log.topics import Topics
from stream.reader.intake import BadRecord, Intake
from stream.reader.positions import Progress
from stream.reader.revision import Models, Revision
from stream.reader.shelf import SqliteShelf

__all__ = ["ReaderOptions", "RevisionReader", "log_bad"]

log = logging.getLogger(__name__)

_MIB: Final = 1024 * 1024
_FILE: Final = "models.db"
_KEEP_RECORDS: Final = 1000
_KEEP_BYTES: Final = 8 * _MIB
_GIVE_WAY: Final = 32


def log_bad(bad: BadRecord) -> None:
    """Tell of a record that cannot be read in the log, as a warning."""
    log.warning("%s", bad)


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """What most readers need not say.

    Attributes
    ----------
    topics : Topics
        Their names.
    folder : Path or None
        Where the models lie between two runs, so that the second need not read all of them again;
        it must be there, and belongs to one reader and one log. None: a temporary one.
    cache_bytes : int
        What of them may be in memory. Besides there is one message and what the log fetches ahead.
    on_bad : callable
        Is told of each record that cannot be read. Such a record stops nothing; a revision one of
        whose models cannot be read is not whole.
    """

    topics: Topics = field(default_factory=Topics)
    folder: Path | None = None
    cache_bytes: int = 32 * _MIB
    on_bad: Callable[[BadRecord], object] = log_bad


class RevisionReader:
    """Follows what is published, and yields whole revisions only.

    Use it in ``async with`` and iterate over it; see `stream.reader`. One reader is for one task.

    Parameters
    ----------
    log : ReaderLog
        An `EmbeddedReader` or a `KafkaReader`; the reader starts and closes it.
    start : str
        ``all``: the newest revision of every group, then what comes. ``new``: only what comes from
        now on. Else the positions that an earlier reader gave: whatever was not yielded by then.
    follow : bool
        Wait for more; otherwise end where the log ended when the reading began. A revision that is
        being published just then is left to the next run.
    options : ReaderOptions, optional

    Raises
    ------
    PositionsError
        When entered: `start` is no positions, or they are of another log.
    LogError
        From the log, when entered or iterated.
    ShelfError
        The folder cannot be used, or has no room.
    """

    _shelf: SqliteShelf
    _intake: Intake
    _progress: Progress

    def __init__(
        self,
        log: ReaderLog,
        *,
        start: str = "all",
        follow: bool = True,
        options: ReaderOptions | None = None,
    ) -> None:
        self._log = log
        self._start = start
        self._follow = follow
        self._options = ReaderOptions() if options is None else options
        self._topics = self._options.topics
        self._iterating: AsyncGenerator[Revision, None] | None = None
        self._open = AsyncExitStack()
        self._usable = False
        self._unkept_records = self._unkept_bytes = 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            opened.push_async_callback(self._log.close)
            await self._log.start()
            self._progress = await self._begin()
            self._shelf = self._shelf_in(
                self._options.folder or Path(opened.enter_context(TemporaryDirectory()))
            )
            opened.callback(self._shelf.close)
            at, tell = self._shelf.models_at, self._options.on_bad
            self._intake = Intake(self._topics, self._shelf, at, self._progress, tell)
            self._usable = True
            self._open = opened.pop_all()
        return self

    def _shelf_in(self, folder: Path) -> SqliteShelf:
        partitions, cache = len(self._progress.starts), self._options.cache_bytes
        return SqliteShelf(folder / _FILE, self._topics.models, partitions, cache_bytes=cache)

    async def _begin(self) -> Progress:
        topic = self._topics.groups
        ends = await self._log.ends([topic, self._topics.models])
        counts = Counter(name for name, _ in ends)
        if counts[topic] != counts[self._topics.models]:
            told = " and ".join(f"{count} of {name}" for name, count in counts.items())
            raise LogRefusedError(f"topics of one log need one partition count, not {told}")
        if self._start == "all":
            return Progress([0] * counts[topic])
        if self._start == "new":
            return Progress([ends[topic, partition] for partition in range(counts[topic])])
        return Progress.parse(self._start, topic, counts[topic])

    async def __aexit__(self, *_: object) -> None:
        async with self._open:
            usable, self._usable = self._usable, False
            if self._iterating is not None:
                await self._iterating.aclose()
            if usable:
                self._keep()

    @property
    def positions(self) -> str:
        """All that was yielded until now, the revision at hand included, as one line of text.

        Stored in one step with what the consumer made of that revision, and given as `start` to a
        later reader, it makes the consumer exactly once. The text grows with the number of
        partitions and of revisions that are just being published.

        Raises
        ------
        RuntimeError
            The reader is closed, or failed: then the positions stored last are the ones to go on
            from.
        """
        if not self._usable:
            raise RuntimeError("a reader that is closed or has failed has no positions")
        return self._progress.text(self._topics.groups, self._shelf.waiting())

    def __aiter__(self) -> AsyncIterator[Revision]:
        self._iterating = self._revisions(self._iterating)
        return self._iterating

    async def _revisions(
        self, earlier: AsyncGenerator[Revision, None] | None
    ) -> AsyncGenerator[Revision, None]:
        if earlier is not None:  # left in the middle; this one goes on where it was
            await earlier.aclose()
        models, groups = self._topics.models, self._topics.groups
        # Models first: then a summary finds them, and few have to wait.
        async with aclosing(self._records([models], follow=False)) as reading:
            async for record in reading:
                self._take(record)
        async with aclosing(self._records([models, groups], follow=self._follow)) as reading:
            async for record in reading:
                summary = self._take(record)
                if summary is not None:  # nothing may fail or wait between the two
                    yield Revision(summary, Models(summary, self._shelf.value))

    async def _records(self, topics: list[str], *, follow: bool) -> AsyncGenerator[Record, None]:
        """Yield records from where the intake is, and between them do what takes time."""
        starts = {place: at for place, at in self._intake.starts.items() if place[0] in topics}
        async with aclosing(self._log.read(topics, follow=follow, starts=starts)) as reading:
            async for record in reading:
                if self._unkept_records % _GIVE_WAY == 0:
                    await asyncio.sleep(0)
                if self._unkept_records >= _KEEP_RECORDS or self._unkept_bytes >= _KEEP_BYTES:
                    self._keep()
                self._unkept_records += 1
                self._unkept_bytes += len(record.value or b"")
                yield record

    def _take(self, record: Record) -> schemas.GroupMatched | None:
        try:
            return self._intake.take(record)
        except BaseException:
            # The record may be half taken in, so nobody should go on from what would be said now.
            self._usable = False
            raise

    def _keep(self) -> None:
        self._shelf.keep(self._intake.models_at)
        self._unkept_records = self._unkept_bytes = 0
