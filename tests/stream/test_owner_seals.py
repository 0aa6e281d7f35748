"""Groups whose history ends, is taken up again, and is forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import core
import schemas
from core import groups
from stream.log.seam import Outgoing
from tests.stream.night import FAST
from tests.stream.ownerbench import GROUP, KEY, Bench, arrived

SHORT = replace(FAST, seal_retention_ms=600_000)


def sealed(version: int = 0) -> schemas.GroupSealed:
    """Return a seal."""
    return schemas.GroupSealed(**GROUP, version=version)


def reopened(version: int = 0) -> schemas.GroupReopened:
    """Return a reopening."""
    return schemas.GroupReopened(**GROUP, version=version)


LATER: tuple[schemas.Message, ...] = (
    arrived(6),
    arrived(4, expected=2),
    schemas.WarpWithdrawn(**GROUP, visit=4, reason="clouds"),
    schemas.GroupManifest(**GROUP, visits=(4, 5, 6)),
    schemas.GroupClosed(**GROUP),
)
"""Whatever upstream may say of a group; the second of it was said before."""


@pytest.fixture
async def bench() -> Bench:
    """Publish a group of two, and seal it."""
    bench = Bench(core.VerdictProfile.NONE, SHORT)
    await bench.owner.take_over()
    await bench.live(*[arrived(visit, expected=2) for visit in (4, 5)])
    await bench.live(sealed())
    assert bench.summaries[0].reference is not None
    return bench


def header(bench: Bench) -> groups.Header:
    """Return the group's header in memory."""
    return bench.owner.state.groups[KEY].header


async def test_what_is_pending_is_frozen_first() -> None:
    """A seal ends the wait: what had come is published, under the name of the seal."""
    bench = Bench()
    await bench.owner.take_over()
    await bench.live(arrived(4), arrived(5), sealed(), arrived(6))
    (summary,) = bench.summaries
    assert (summary.trigger, len(summary.members)) == ("sealed", 2)
    assert len(bench.letters) == 1


@pytest.mark.parametrize("message", LATER)
async def test_what_comes_later_is_a_dead_letter(bench: Bench, message: schemas.Message) -> None:
    """It changes nothing, and its letter says why, since when, and what to do."""
    before = bench.owner.state.groups[KEY]
    state = (before.header, dict(before.members), before.expected)
    await bench.update(message)
    (letter,) = bench.letters
    assert (letter.reason, letter.stage) == ("sealed", "group")
    assert f"`evensky reopen {KEY}`" in letter.message
    assert "sealed since 2026-" in letter.message
    after = bench.owner.state.groups[KEY]
    assert (after.header, dict(after.members), after.expected) == state
    assert bench.revisions() == [(0, 1)]
    assert bench.told('evensky_dead_letters_total{reason="sealed"}') == 1.0
    assert bench.told('evensky_events_total{outcome="dead"}') == 1.0
    assert bench.told('evensky_events_total{outcome="sealed"}') == 1.0


async def test_the_letter_is_in_the_transaction_that_reads_on(bench: Bench) -> None:
    """A refused event has its letter exactly once: with the position behind it."""
    written: list[list[Outgoing]] = []
    bench.log.after = lambda records: written.append(list(records))
    bench.say(arrived(6))
    await bench.hear()
    ((position, letter),) = written
    assert (position.key, letter.topic) == (schemas.POSITION_KEY, bench.log.topics.dead_letters)


async def test_a_reopened_group_takes_events_again(bench: Bench) -> None:
    """A reopening of the seal's version counts; what then comes is an update of one model."""
    await bench.live(arrived(6))
    await bench.live(reopened())
    assert header(bench).sealed_at is None
    assert bench.told('evensky_events_total{outcome="reopened"}') == 1.0
    bench.jobs()
    await bench.update(arrived(6))
    assert [one.revision for one in bench.models if one.visit == 6] == [2]
    assert len(bench.models) == 3
    assert len(bench.letters) == 1


async def test_a_seal_outlives_its_owner(bench: Bench) -> None:
    """The next owner refuses what this one would have refused."""
    await bench.anew().take_over()
    await bench.live(arrived(6))
    assert [one.reason for one in bench.letters] == ["sealed"]


async def test_a_group_is_sealed_by_its_policy() -> None:
    """So long after its newest revision a group takes no more, by the clock of the log alone."""
    bench = Bench(policy=replace(SHORT, seal_after_ms=50_000))
    await bench.owner.take_over()
    await bench.live(*[arrived(visit, expected=2) for visit in (4, 5)])
    due = bench.clock.ms() + 50_000
    for early_ms in (1, 0):
        assert header(bench).sealed_at is None
        bench.clock.now = (due - early_ms) / 1000
        await bench.owner.tick({0: bench.end})
        await bench.hear()
    assert header(bench).sealed_at == due
    await bench.live(arrived(6))
    assert [one.reason for one in bench.letters] == ["sealed"]


async def test_a_sealed_group_is_forgotten(bench: Bench) -> None:
    """Members and expected set get tombstones, what is read back has none, the header stays."""
    written: list[Any] = []
    bench.log.after = written.extend
    bench.clock.now += 600
    await bench.live(schemas.ClockTick(partition=0))
    state = {r.key: r.value for r in written if r.topic == bench.log.topics.state}
    for visit in (4, 5):
        assert state[schemas.member_key(KEY, visit)] is None
    assert state[schemas.expected_key(KEY)] is None
    assert header(bench).forgotten
    lived = bench.owner.state.groups[KEY]
    assert (lived.members, lived.expected) == ({}, None)
    await bench.anew().take_over()
    assert bench.owner.state.groups[KEY] == lived


async def test_what_is_forgotten_stays_ended(bench: Bench) -> None:
    """After its retention a group is not reopened, and the letter says so."""
    bench.clock.now += 600
    await bench.live(reopened(7), arrived(6))
    assert header(bench).sealed_at is not None
    for letter in bench.letters:
        assert letter.reason == "sealed"
        assert "too long ago to be reopened" in letter.message
    assert len(bench.letters) == 2
    assert bench.revisions() == [(0, 1)]


async def test_versions_of_seals_never_go_back(bench: Bench) -> None:
    """Of seals and reopenings the highest version stands, however they come."""
    await bench.live(reopened(5), sealed(4), sealed(5), reopened(5))
    assert header(bench).sealed_at is None
    assert bench.told('evensky_events_total{outcome="superseded"}') == 2.0
    await bench.live(sealed(6), reopened(3))
    assert header(bench).sealed_at is not None
    assert bench.letters == []
