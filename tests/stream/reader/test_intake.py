"""Which revision is whole, under every interleaving that a log can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from stream.log.seam import Record
from stream.reader.gathering import Shelf
from stream.reader.intake import BadRecord, Intake
from stream.reader.positions import Progress
from stream.reader.revision import Models
from stream.reader.shelf import SqliteShelf
from tests.stream.reader.history import (
    GROUPS,
    PARTITIONS,
    STEPS,
    TOPICS,
    History,
    Step,
    interleaved,
)
from tests.stream.reader.twin import PlainShelf, Twin

CHOICES = st.lists(st.integers(0, 50), max_size=30)
LAW = settings(deadline=None, max_examples=150, derandomize=True)


def memory() -> closing[SqliteShelf]:
    """Return a shelf that goes with its connection, for the time of a context.

    An example that is given up half-way must close it, too.
    """
    return closing(SqliteShelf(Path(":memory:"), TOPICS.models, PARTITIONS, cache_bytes=2**20))


class Told:
    """An intake, and all that it told."""

    def __init__(self, shelf: Shelf) -> None:
        self.bad: list[BadRecord] = []
        self.progress = Progress([0] * PARTITIONS)
        self.intake = Intake(TOPICS, shelf, [0] * PARTITIONS, self.progress, self.bad.append)
        self.whole: list[tuple[str, int]] = []

    def take(self, record: Record) -> tuple[str, int] | None:
        """Take a record in; return group and revision of what became whole."""
        found = self.intake.take(record)
        if found is None:
            return None
        self.whole.append((found.group.key, found.revision))
        return self.whole[-1]


def tell(records: Iterable[Record]) -> list[tuple[str, int]]:
    """Return what is whole, in order."""
    told = Told(PlainShelf())
    for record in records:
        told.take(record)
    return told.whole


@LAW
@given(STEPS, CHOICES, st.booleans())
def test_it_says_what_the_twin_says(
    steps: Sequence[Step], choices: Sequence[int], repeats: bool
) -> None:
    """With each record, what became whole is what a look through all records finds."""
    twin, told = Twin(), Told(PlainShelf())
    for record in interleaved(History.of(steps).lines, choices, repeats):
        assert told.take(record) == twin.take(record)


@LAW
@given(STEPS, CHOICES)
def test_the_shelf_on_disk_is_the_plain_one(steps: Sequence[Step], choices: Sequence[int]) -> None:
    """In SQLite is remembered what dicts remember, summaries that wait included."""
    plain = PlainShelf()
    with memory() as disk:
        first, second = Told(disk), Told(plain)
        for record in interleaved(History.of(steps).lines, choices):
            assert first.take(record) == second.take(record)
            assert sorted(disk.waiting()) == sorted(plain.waiting())
            for group in (one.key for one in GROUPS):
                assert disk.held_ids(group) == plain.held_ids(group)
                assert disk.seen(group) == plain.seen(group)


@LAW
@given(STEPS, CHOICES, st.randoms(use_true_random=False))
def test_what_is_whole_is_never_mixed(
    steps: Sequence[Step], choices: Sequence[int], chance: Random
) -> None:
    """Compacted or not, a whole revision has the very models that it was published with."""
    history = History.of(steps)
    lines = history.compacted(lambda: chance.random() < 0.5)
    with memory() as shelf:
        told = Told(shelf)
        for record in interleaved(lines, choices):
            found = told.intake.take(record)
            if found is not None:
                models = Models(found, shelf.value)
                said = {visit: model.fit_rms for visit, model in models.items()}
                assert said == history.truth[found.group.key, found.revision]
                assert {v: model.model_id for v, model in models.items()} == {
                    member.visit: member.model_id for member in found.members
                }


@LAW
@given(STEPS, CHOICES, st.booleans())
def test_the_newest_comes_and_none_twice(
    steps: Sequence[Step], choices: Sequence[int], compacted: bool
) -> None:
    """Each group's newest revision is told in the end, none is told twice, and they ascend."""
    history = History.of(steps)
    lines = history.compacted(lambda: False) if compacted else history.lines
    told = tell(interleaved(lines, choices))
    assert set(told) >= history.newest
    assert not [one for one, count in Counter(told).items() if count > 1]
    for group in GROUPS:
        mine = [revision for key, revision in told if key == group.key]
        assert mine == sorted(mine)


@LAW
@given(STEPS, CHOICES)
def test_duplicates_change_nothing(steps: Sequence[Step], choices: Sequence[int]) -> None:
    """Records that come again, at any time, add nothing and hide nothing."""
    lines = History.of(steps).lines
    repeated = list(interleaved(lines, choices, repeats=True))
    once: dict[tuple[str, int, int], Record] = {}
    for one in repeated:
        once.setdefault((one.topic, one.partition, one.offset), one)
    assert tell(repeated) == tell(once.values())


@LAW
@given(STEPS, CHOICES)
def test_written_twice_is_written_once(steps: Sequence[Step], choices: Sequence[int]) -> None:
    """What a publisher without transactions wrote twice, at new offsets, is told once."""
    history = History.of([step for step in steps if step.kind != "dead"])
    doubled = {
        place: [replace(one, offset=at) for at, one in enumerate([*line, *line])]
        for place, line in history.lines.items()
    }
    told = tell(interleaved(doubled, choices))
    assert set(told) >= history.newest
    assert not [one for one, count in Counter(told).items() if count > 1]


# -- what cannot be read ---------------------------------------------------------------------------


def line(history: History, topic: str, group: int = 0) -> list[Record]:
    """Return the records of a group's partition."""
    return history.lines[topic, group % PARTITIONS]


UPDATE = Step(0, "update", {1: 1, 2: 2})
LATER = Step(0, "update", {2: 0})

SPOILED: dict[str, dict[str, Any]] = {
    "no msgpack": {"value": b"\xc1"},
    "no headers": {"headers": ()},
    "another key": {"key": b"live/map/1/7/r"},
    "no key": {"key": None},
    "a tombstone without a name": {"key": b"\xff", "value": None},
    "a tombstone of nobody": {"key": b"what", "value": None},
}


@pytest.mark.parametrize("spoiled", SPOILED)
@pytest.mark.parametrize("topic", [TOPICS.models, TOPICS.groups])
def test_a_bad_record_is_told_and_stops_nothing(topic: str, spoiled: str) -> None:
    """Whatever is wrong with it, the hook gets it, its revision stays away, the next one comes."""
    history = History.of([UPDATE, Step(2, "update", {1: 1}), Step(0, "update", {1: 0, 2: 0})])
    line(history, topic)[0] = replace(line(history, topic)[0], **SPOILED[spoiled])
    told = Told(PlainShelf())
    for record in interleaved(history.lines, [0, 1]):
        told.take(record)
    assert set(told.whole) == {(GROUPS[0].key, 2), (GROUPS[2].key, 1)}
    (bad,) = told.bad
    assert bad.record == line(history, topic)[0]
    assert f"{topic} [0] 0 cannot be read" in str(bad)


def test_a_message_of_another_topic_is_bad() -> None:
    """A summary among the models, or a model among the summaries, is told and not used."""
    history = History.of([UPDATE])
    model, summary = line(history, TOPICS.models)[0], line(history, TOPICS.groups)[0]
    told = Told(PlainShelf())
    assert told.take(replace(summary, topic=TOPICS.models)) is None
    assert told.take(replace(model, topic=TOPICS.groups)) is None
    assert [bad.error.reason for bad in told.bad] == [schemas.DeadReason.UNKNOWN_TYPE] * 2


def test_a_summary_whose_model_is_bad_waits_for_the_next_revision() -> None:
    """It stays open, holds up nobody, and is settled by the revision after it."""
    history = History.of([UPDATE, LATER])
    models, groups = line(history, TOPICS.models), line(history, TOPICS.groups)
    models[1] = replace(models[1], value=b"\xc1")
    shelf = PlainShelf()
    told = Told(shelf)
    for record in (*models[:2], groups[0]):
        assert told.take(record) is None
    assert shelf.waiting() == [(0, 0)]
    assert [told.take(one) for one in (models[2], groups[1])] == [None, (GROUPS[0].key, 2)]
    assert shelf.waiting() == []


# -- one by one ------------------------------------------------------------------------------------


def test_models_of_a_later_revision_hide_the_earlier_one() -> None:
    """With one model newer than the summary, the revision is passed over, not told torn."""
    history = History.of([UPDATE, LATER])
    models, groups = line(history, TOPICS.models), line(history, TOPICS.groups)
    told = tell([*models, *groups])
    assert told == [(GROUPS[0].key, 2)]


def test_an_unchanged_model_belongs_to_later_revisions() -> None:
    """A revision is whole with models that an earlier one sent."""
    history = History.of([UPDATE, LATER])
    with memory() as shelf:
        told = Told(shelf)
        found = [told.intake.take(one) for one in interleaved(history.lines, [1])]
        last = found[-1]
        assert last is not None
        models = Models(last, shelf.value)
        assert {visit: model.revision for visit, model in models.items()} == {1: 1, 2: 2}


def test_a_model_that_says_again_what_it_said_is_the_same() -> None:
    """Sent again by a later revision it makes the earlier one whole, by the name that both give."""
    history = History.of([UPDATE, LATER, Step(0, "update", {2: 2})])
    models, groups = line(history, TOPICS.models), line(history, TOPICS.groups)
    assert tell([*models, *groups]) == [(GROUPS[0].key, 1), (GROUPS[0].key, 3)]


@pytest.mark.parametrize("kind", ["incomplete", "retraction"])
def test_revisions_without_models_are_whole_at_once(kind: str) -> None:
    """An incomplete revision and a retraction are told as soon as their summary is read."""
    history = History.of([UPDATE, Step(0, kind, {1: 1})])
    assert tell(line(history, TOPICS.groups)) == [(GROUPS[0].key, 2)]


def test_a_tombstone_ends_the_waiting() -> None:
    """A group that was buried is not told any more, though its models come at last."""
    history = History.of([UPDATE, Step(0, "dead", {1: 1})])
    models, groups = line(history, TOPICS.models), line(history, TOPICS.groups)
    assert tell([*groups, *models]) == []
    assert tell([*groups[:1], *models[:2], *groups[1:], *models[2:]]) == [(GROUPS[0].key, 1)]


def test_a_model_that_was_taken_back_is_missing() -> None:
    """A tombstone of a model makes a waiting summary wait for that model again."""
    history = History.of([UPDATE])
    first, second = line(history, TOPICS.models)
    (summary,) = line(history, TOPICS.groups)
    gone = replace(first, offset=1, value=None)
    again = replace(first, offset=3)
    second = replace(second, offset=2)
    assert tell([first, gone, second, summary]) == []
    assert tell([first, summary, gone, second]) == []
    assert tell([first, summary, gone, second, again]) == [(GROUPS[0].key, 1)]


def test_a_model_that_comes_late_does_not_hide_the_newer_one() -> None:
    """An earlier revision's model, written again behind the later one, is passed over."""
    history = History.of([UPDATE, LATER])
    models, groups = line(history, TOPICS.models), line(history, TOPICS.groups)
    late = replace(models[1], offset=3)
    assert tell([*models, late, *groups]) == [(GROUPS[0].key, 2)]


def test_a_tombstone_that_comes_again_takes_nothing_away() -> None:
    """Delivered twice, it does not remove what was written after it."""
    history = History.of([UPDATE])
    first, second = line(history, TOPICS.models)
    gone, again = replace(first, offset=2, value=None), replace(first, offset=3)
    told = tell([first, second, gone, again, gone, *line(history, TOPICS.groups)])
    assert told == [(GROUPS[0].key, 1)]
