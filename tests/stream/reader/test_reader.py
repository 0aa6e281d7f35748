"""The reader as its users hold it: starts, positions, restarts, what it keeps and what it costs."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from stream.log.seam import LogRefusedError, Places, Record
from stream.reader import (
    BadRecord,
    PositionsError,
    ReaderOptions,
    Revision,
    RevisionReader,
    ShelfError,
    StaleRevisionError,
)
from tests.schemas import examples
from tests.stream.reader.history import GROUPS, STEPS, TOPICS, History, Step
from tests.stream.reader.plainlog import PlainReader

FIRST = Step(0, "update", {1: 1, 2: 2})
LATER = Step(0, "update", {2: 0})
OTHER = Step(2, "update", {1: 1})
ELSEWHERE = Step(1, "update", {3: 1})


def name(revision: Revision) -> tuple[str, int]:
    """Return group and number."""
    return revision.summary.group.key, revision.summary.revision


async def whole(log: PlainReader, start: str = "all") -> tuple[list[tuple[str, int]], str]:
    """Read to the end; return what was yielded, and the positions then."""
    async with RevisionReader(log, start=start, follow=False) as reader:
        return [name(revision) async for revision in reader], reader.positions


# -- restarts --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run of a consumer."""

    shown: int
    most: int
    keeps: bool
    choices: Sequence[int]


RUNS = st.lists(
    st.builds(
        Run,
        st.integers(0, 12),
        st.integers(0, 5),
        st.booleans(),
        st.lists(st.integers(0, 50), max_size=10),
    ),
    max_size=4,
)


class Consumer:
    """Stores with each revision where the reader is, and is ended at any moment."""

    def __init__(self, history: History, folder: Path, chance: Random) -> None:
        self.history, self.folder, self.chance = history, folder, chance
        self.shown = dict.fromkeys(history.lines, 0)
        self.positions = "all"
        self.got: list[tuple[str, int]] = []

    async def run(self, run: Run, options: ReaderOptions) -> None:
        """Read what the log shows by now, which has been compacted anew."""
        log = PlainReader(
            self.history.compacted(lambda: self.chance.random() < 0.5), run.choices, self.shown
        )
        async with RevisionReader(
            log, start=self.positions, follow=False, options=options
        ) as reader:
            left = run.most
            async for revision in reader:
                self.take(revision)
                self.positions = reader.positions
                left -= 1
                if not left:
                    break
        assert log.closed == 1

    def take(self, revision: Revision) -> None:
        """Hold that a revision is whole."""
        said = {visit: model.fit_rms for visit, model in revision.models.items()}
        assert said == self.history.truth[name(revision)]
        self.got.append(name(revision))

    def show(self, most: int) -> None:
        """Let more of each partition be seen, of each its own part."""
        for place, line in self.history.lines.items():
            more = self.chance.randint(0, most)
            self.shown[place] = min(len(line), self.shown[place] + more)


@settings(deadline=None, max_examples=80, derandomize=True)
@given(STEPS, RUNS, st.randoms(use_true_random=False))
def test_restarts_lose_nothing_and_yield_nothing_twice(
    steps: Sequence[Step], runs: Sequence[Run], chance: Random
) -> None:
    """Ended anywhere and started from its positions, with its folder or without, it is one run.

    Meanwhile more is published, seen partition by partition, and the log is compacted.
    """
    history = History.of(steps)
    with TemporaryDirectory() as folder:
        consumer = Consumer(history, Path(folder), chance)
        for run in (*runs, Run(99, 99, keeps=False, choices=())):
            consumer.show(run.shown)
            if run.most == 99:
                consumer.shown = {place: len(line) for place, line in history.lines.items()}
            options = ReaderOptions(folder=Path(folder) if run.keeps else None)
            asyncio.run(consumer.run(run, options))
    assert not [one for one, count in Counter(consumer.got).items() if count > 1]
    assert set(consumer.got) >= history.newest
    for group in GROUPS:
        mine = [revision for key, revision in consumer.got if key == group.key]
        assert mine == sorted(mine)


async def test_a_consumer_that_did_not_store_gets_it_again() -> None:
    """What was yielded after the positions that were stored last is yielded again."""
    log = PlainReader(History.of([FIRST, OTHER]).lines)
    async with RevisionReader(log, follow=False) as reader:
        before = reader.positions
        revisions = [name(revision) async for revision in reader]
    again, _ = await whole(log, before)
    assert again == revisions == [(GROUPS[0].key, 1), (GROUPS[2].key, 1)]


async def test_what_waits_is_yielded_by_the_next_run() -> None:
    """Positions say of a summary whose models were not there that it is still open."""
    history = History.of([FIRST, OTHER, Step(2, "update", {1: 0})])
    log = PlainReader(history.lines, shown={(TOPICS.models, 0): 1})
    found, positions = await whole(log)
    assert found == []
    assert positions == '{"evensky.groups":[[3,0,2],[0]]}'
    log.shown = {}
    found, positions = await whole(log, positions)
    assert found == [(GROUPS[0].key, 1), (GROUPS[2].key, 2)]
    assert positions == '{"evensky.groups":[[3],[0]]}'


# -- where to begin --------------------------------------------------------------------------------


async def test_new_begins_behind_what_is_there() -> None:
    """Only revisions published after the reader was entered come, unchanged models included."""
    history = History.of([FIRST, OTHER, ELSEWHERE])
    later = History.of([FIRST, OTHER, ELSEWHERE, LATER])
    log = PlainReader(history.lines)
    async with RevisionReader(log, start="new", follow=False) as reader:
        log.lines = later.lines
        (revision,) = [(name(one), dict(one.models)) async for one in reader]
    assert revision[0] == (GROUPS[0].key, 2)
    assert {visit: model.revision for visit, model in revision[1].items()} == {1: 1, 2: 2}


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ("yesterday", "'yesterday' are no positions"),
        ("[1, 2]", "are no positions"),
        ('{"evensky.groups": [[1], []]}', "are no positions"),
        ('{"evensky.groups": [[1], [-1]]}', "are no positions"),
        ('{"evensky.groups": [[1]]}', "evensky.groups with 1 partitions; this log has .* with 2"),
        ('{"else.groups": [[1], [1]]}', "these positions are of else.groups"),
        ("{}", "these positions are of no topic"),
    ],
)
async def test_positions_of_something_else_are_refused(start: str, told: str) -> None:
    """Text that no reader gave, or that belongs to another log, is refused, and the log closed."""
    log = PlainReader(History.of([FIRST]).lines)
    with pytest.raises(PositionsError, match=told):
        await whole(log, start)
    assert log.closed == 1


async def test_positions_behind_the_end_are_refused() -> None:
    """Positions further than the log goes are those of another log."""
    log = PlainReader(History.of([FIRST]).lines)
    with pytest.raises(LogRefusedError, match="another log"):
        await whole(log, '{"evensky.groups":[[7],[0]]}')


async def test_topics_that_do_not_fit_are_refused() -> None:
    """Models and summaries in another number of partitions are no log of ours."""
    lines = History.of([FIRST]).lines
    del lines[TOPICS.models, 1]
    with pytest.raises(LogRefusedError, match=r"2 of evensky\.groups"):
        await whole(PlainReader(lines))


async def test_an_iteration_that_was_left_is_gone_on_with() -> None:
    """Whoever breaks off and iterates again goes on behind the revision that came last."""
    log = PlainReader(History.of([FIRST, OTHER, ELSEWHERE]).lines)
    async with RevisionReader(log, follow=False) as reader:
        first = [name(revision) async for revision in _some(reader, 1)]
        rest = [name(revision) async for revision in reader]
    assert len(first) == 1
    assert len(set(first + rest)) == 3


async def _some(reader: RevisionReader, most: int) -> AsyncGenerator[Revision, None]:
    async for revision in reader:
        yield revision
        most -= 1
        if not most:
            return


async def test_it_follows_until_it_is_cancelled() -> None:
    """At the end it waits; cancelled, it closes the log and has lost nothing."""
    log = PlainReader(History.of([FIRST, OTHER]).lines)
    stored: list[str] = []
    both = asyncio.Event()

    async def consume() -> None:
        async with RevisionReader(log) as reader:
            async for _ in reader:
                stored.append(reader.positions)
                if len(stored) == 2:
                    both.set()

    consuming = asyncio.create_task(consume())
    await asyncio.wait_for(both.wait(), 10)
    await asyncio.sleep(0.05)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert log.closed == 1
    assert await whole(log, stored[-1]) == ([], stored[-1])


# -- models ----------------------------------------------------------------------------------------


async def test_models_are_a_mapping() -> None:
    """By visit, ascending; of a visit without a model there is none."""
    log = PlainReader(History.of([FIRST]).lines)
    async with RevisionReader(log, follow=False) as reader:
        (models,) = [one.models async for one in reader]
        assert list(models) == [1, 2]
        assert len(models) == 2
        assert 1 in models
        assert 3 not in models
        assert models.get(3) is None
        assert [models[visit].fit_rms for visit in models] == [1.0, 2.0]


async def test_models_that_were_superseded_are_refused() -> None:
    """Kept too long, a revision gives its own models or an error, never those of another one."""
    history = History.of([FIRST, LATER])
    log = PlainReader(history.lines, shown={(TOPICS.models, 0): 2, (TOPICS.groups, 0): 1})
    async with RevisionReader(log, follow=False) as reader:
        (first,) = [one async for one in reader]
        log.shown = {}
        async for _ in reader:
            assert first.models[1].fit_rms == 1.0
            with pytest.raises(StaleRevisionError, match="live/map/1/0/r/2 was superseded"):
                _ = first.models[2]


# -- what it keeps ---------------------------------------------------------------------------------


async def test_a_folder_saves_the_reading() -> None:
    """With the folder of an earlier run, models that it holds are not read again."""
    history = History.of([FIRST, OTHER])
    log = PlainReader(history.lines)
    with TemporaryDirectory() as folder:
        options = ReaderOptions(folder=Path(folder))
        async with RevisionReader(log, follow=False, options=options) as reader:
            assert len([one async for one in reader]) == 2
        log.starts.clear()
        async with RevisionReader(log, follow=False, options=options) as reader:
            assert [len(one.models) async for one in reader] == [2, 1]
    assert log.starts[0] == {(TOPICS.models, 0): 3, (TOPICS.models, 1): 0}


async def test_models_are_read_ahead_of_summaries() -> None:
    """Though the log shows summaries first, none has to wait, so that positions stay short."""
    log = PlainReader(History.of([FIRST, OTHER, ELSEWHERE]).lines, choices=[0])
    async with RevisionReader(log, follow=False) as reader:
        async for _ in reader:
            ((_, rows),) = json.loads(reader.positions).items()
            assert [len(row) for row in rows] == [1, 1]


async def test_a_folder_has_one_reader(tmp_path: Path) -> None:
    """A second reader in a folder is refused, with the remedy, until the first has closed."""
    log, options = PlainReader(History.of([FIRST]).lines), ReaderOptions(folder=tmp_path)
    async with RevisionReader(log, options=options):
        with pytest.raises(ShelfError, match="in use by another reader; give each"):
            async with RevisionReader(log, options=options):
                pass
    async with RevisionReader(log, follow=False, options=options) as reader:
        assert len([one async for one in reader]) == 1


def _sizes(folder: Path) -> list[int]:
    """Return the sizes of all files in a folder, in whatever depth."""
    return [found.stat().st_size for found in folder.rglob("*") if found.is_file()]


async def test_nothing_is_left_of_a_reader_without_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its temporary folder goes with it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with RevisionReader(PlainReader(History.of([FIRST]).lines), follow=False) as reader:
        assert len([one async for one in reader]) == 1
        assert _sizes(tmp_path)
    assert not _sizes(tmp_path)


# -- what goes wrong -------------------------------------------------------------------------------


async def test_bad_records_are_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Without a hook of its own, the consumer finds a warning that names the place."""
    log = PlainReader(History.of([Step(0, "garbage", {}), FIRST]).lines)
    assert (await whole(log))[0] == [(GROUPS[0].key, 1)]
    assert "evensky.models [0] 0 cannot be read" in caplog.text
    assert "evensky.groups [0] 0 cannot be read" in caplog.text


async def test_a_reader_that_failed_has_no_positions() -> None:
    """When a record may be half taken in, nobody is to go on from behind it."""

    def refuse(bad: BadRecord) -> None:
        raise ZeroDivisionError(str(bad))

    log = PlainReader(History.of([Step(0, "garbage", {}), FIRST]).lines)
    async with RevisionReader(log, options=ReaderOptions(on_bad=refuse)) as reader:
        with pytest.raises(ZeroDivisionError, match="cannot be read"):
            _ = [one async for one in reader]
        with pytest.raises(RuntimeError, match="no positions"):
            _ = reader.positions
    with pytest.raises(RuntimeError, match="no positions"):
        _ = reader.positions
    assert log.closed == 1


# -- what it costs ---------------------------------------------------------------------------------

_MANY = 3000
_MIB = 2**20


def _grid(dtype: str) -> schemas.NDArray:
    return schemas.NDArray.of(np.ones((66, 66), dtype=dtype))


class _LargeLog(PlainReader):
    """Thousands of models of 50 kB, each made when it is read."""

    sent = 0

    async def read(
        self,
        topics: Sequence[str],
        *,
        follow: bool,
        from_end: bool = False,
        starts: Places | None = None,
    ) -> AsyncGenerator[Record, None]:
        """Yield the models, as far as they were not read."""
        del topics, follow, from_end
        grids = {"values": _grid("<f4"), "errors": _grid("<f4"), "counts": _grid("<i4")}
        small = examples.matched_model()
        assert small.model is not None
        model = msgspec.structs.replace(small.model, **grids)
        for visit in range((starts or {}).get((TOPICS.models, 0), 0), _MANY):
            record = examples.record(
                msgspec.structs.replace(small, visit=visit, reference=_MANY, model=model)
            )
            self.sent += len(record.value)
            yield Record(TOPICS.models, 0, visit, 0, record.key, record.value, record.headers)


async def test_memory_is_bounded_by_the_setting(tmp_path: Path) -> None:
    """Of models of 150 MiB a reader keeps in memory what it was allowed, and the rest on disk."""
    log, options = _LargeLog(History.of([]).lines), ReaderOptions(folder=tmp_path, cache_bytes=_MIB)
    process = psutil.Process()
    async with RevisionReader(log, follow=False, options=options) as reader:
        before = process.memory_info().rss
        assert [one async for one in reader] == []
        grown = process.memory_info().rss - before
    assert log.sent > 150 * _MIB
    assert sum(_sizes(tmp_path)) > log.sent
    assert grown < 40 * _MIB


async def test_others_have_their_turn_while_much_is_read() -> None:
    """A long reading without a pause of the log leaves the event loop to others in between."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    async with RevisionReader(_LargeLog(History.of([]).lines), follow=False) as reader:
        assert [one async for one in reader] == []
    counting.cancel()
    assert turns > _MANY / 64
