"""The owner of a partition, step by step, on a log in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from threading import Event
from typing import Any

import pytest

import core
import schemas
from stream.log.seam import LogRefusedError, Outgoing, PartitionLostError
from stream.owner import Owner, Status
from stream.revision import Unfolding
from tests.stream.night import FAST, START_S
from tests.stream.ownerbench import Bench, arrived, whole


@pytest.fixture
async def bench() -> Bench:
    """Take an empty partition over."""
    bench = Bench()
    await bench.owner.take_over()
    assert bench.owner.status is Status.ACTIVE
    return bench


async def test_one_transaction_holds_all_of_a_revision(bench: Bench) -> None:
    """Models, summary, metrics and the state that says so are written together or not at all."""
    written: list[Sequence[Outgoing]] = []
    bench.log.after = written.append
    bench.say(*whole())
    await bench.hear()
    await bench.done()
    topics = bench.log.topics
    (publish,) = [one for one in written if any(r.topic == topics.groups for r in one)]
    assert [r.topic for r in publish][:6] == [
        *[topics.models] * 2,
        topics.groups,
        *[topics.metrics] * 3,
    ]
    state = {r.key: r.value for r in publish if r.topic == topics.state}
    assert state[schemas.frozen_key("live/s/1/0/r", 1)] is None
    assert schemas.header_key("live/s/1/0/r") in state


async def test_the_loop_is_free_while_the_models_of_a_revision_are_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making messages waits for the loop here, and the loop for nothing."""
    loop, make, moved = asyncio.get_running_loop(), bench.shared.assembler.unfold, Event()

    def make_slowly(*args: Any, **more: Any) -> Unfolding:
        loop.call_soon_threadsafe(moved.set)
        assert moved.wait(60), "the loop stands still"
        return make(*args, **more)

    monkeypatch.setattr(bench.shared.assembler, "unfold", make_slowly)
    await bench.live(*whole())
    assert bench.owner.due == 0


async def test_what_is_lost_while_its_models_are_made_is_not_published(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner that loses its partition meanwhile writes nothing: it may be another's by then."""
    make = bench.shared.assembler.unfold
    loop = asyncio.get_running_loop()

    def make_too_late(*args: Any, **more: Any) -> Unfolding:
        lost = Event()
        loop.call_soon_threadsafe(bench.owner.lose, "a test")
        loop.call_soon_threadsafe(lost.set)
        assert lost.wait(60)
        return make(*args, **more)

    monkeypatch.setattr(bench.shared.assembler, "unfold", make_too_late)
    written: list[Sequence[Outgoing]] = []
    bench.log.after = written.append
    await bench.live(*whole())
    assert not [r for one in written for r in one if r.topic == bench.log.topics.groups]


async def test_what_is_lost_while_it_is_written_is_not_published(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records are made while the first are written; a loss in between ends the transaction."""
    transact, topics = bench.log.transact, bench.log.topics

    async def lose_midway(
        partition: int, records: Iterable[Outgoing], next_offset: int | None = None
    ) -> int:
        making = iter(records)
        first = list(islice(making, 1))
        if first[0].topic == topics.models:
            bench.owner.lose("a test")
        return await transact(partition, chain(first, making), next_offset)

    monkeypatch.setattr(bench.log, "transact", lose_midway)
    await bench.live(*whole())
    assert bench.owner.status is Status.LOST
    assert bench.log.kept[topics.models, 0] == bench.log.kept[topics.groups, 0] == []
    (group,) = bench.owner.state.groups.values()
    assert (group.header.frozen, group.header.published) == (1, 0)
    assert bench.owner.left is None, "memory may be ahead of the log in the midst of a transaction"
    monkeypatch.undo()
    await bench.anew().take_over()
    await bench.done()
    assert bench.revisions() == [(0, 1)]


@pytest.mark.parametrize("state_format", [1, 2])
async def test_a_freeze_writes_no_member_that_it_leaves_as_it_was(state_format: int) -> None:
    """What a revision holds is its own record's; only format 1 keeps it with the members, too."""
    bench = Bench(state_format=state_format)
    await bench.owner.take_over()
    key, written = "live/s/1/0/r", list[Sequence[Outgoing]]()
    first, last = whole()
    await bench.live(first)
    bench.log.after = written.append
    await bench.live(last)
    members = [schemas.member_key(key, visit) for visit in (1, 2)]
    puts = [{r.key for r in one if r.topic == bench.log.topics.state} for one in written]
    frozen = {schemas.header_key(key), schemas.frozen_key(key, 1), schemas.POSITION_KEY}
    assert puts[0] == frozen | set(members if state_format == 1 else members[1:])
    assert puts[-1] & set(members) == (set() if state_format == 1 else set(members))


async def test_a_batch_is_cut_into_transactions_of_bounded_size() -> None:
    """No ingest transaction holds more records than allowed, and each moves the position."""
    bench = Bench(ingest_max_records=3)
    await bench.owner.take_over()
    offsets: list[int | None] = []
    bench.log.after = lambda _: offsets.append(bench.log.committed.get(0))
    bench.say(*[arrived(visit) for visit in range(1, 8)])
    await bench.hear()
    assert offsets == [3, 6, 7]
    assert bench.owner.position.next_offset == 7


async def test_after_a_doubt_nothing_more_is_written(bench: Bench) -> None:
    """When the outcome of a commit is unknown, the owner touches the partition no more."""
    bench.say(*whole())

    def doubt(_: Sequence[Outgoing]) -> None:
        raise PartitionLostError(0, "nobody knows")

    bench.log.after = doubt
    await bench.hear()
    assert bench.owner.status is Status.LOST
    bench.log.after = lambda _: None
    size = len(bench.log.order)
    bench.say(arrived(3))
    await bench.hear()
    bench.clock.now += 10_000
    await bench.owner.tick({0: bench.owner.position.next_offset})
    await bench.done()
    assert len(bench.log.order) == size + 1
    assert bench.owner.due == 0
    assert 'transactions_total{kind="ingest",outcome="unknown"} 1.0' in _exposed(bench)


def _exposed(bench: Bench) -> str:
    return bench.telemetry.exposition().decode()


@pytest.mark.parametrize("error", [asyncio.CancelledError(), LogRefusedError("no"), OSError()])
async def test_a_commit_that_breaks_loses_the_partition(bench: Bench, error: BaseException) -> None:
    """Whatever else ends a commit goes on to the caller, and memory is trusted no more."""
    bench.say(*whole())

    def fail(_: Sequence[Outgoing]) -> None:
        raise error

    bench.log.before = fail
    with pytest.raises(type(error)):
        await bench.hear()
    assert bench.owner.status is Status.LOST


async def test_a_lost_owner_ends_its_work(bench: Bench) -> None:
    """Losing a partition cancels the jobs that run for it, and none of them writes."""
    bench.say(*whole())
    await bench.hear()
    assert bench.owner.tasks
    size = len(bench.log.order)
    bench.owner.lose("it was revoked")
    await bench.done()
    assert all(task.cancelled() for task in bench.tasks)
    assert (len(bench.log.order), bench.owner.tasks, bench.owner.due) == (size, (), 0)


async def test_the_next_owner_goes_on(bench: Bench) -> None:
    """What was due when an owner went is published by the next one, from the state alone."""
    bench.say(*whole(), *whole(1))
    await bench.hear()
    bench.owner.lose("it was revoked")
    await bench.done()
    assert bench.revisions() == []
    await bench.anew().take_over()
    assert (bench.owner.due, bench.owner.position.next_offset) == (2, 4)
    assert bench.log.positions[0] == 4
    await bench.done()
    assert sorted(bench.revisions()) == [(0, 1), (1, 1)]
    assert bench.owner.due == 0


async def test_an_owner_lost_in_its_restore_resumes_nothing(bench: Bench) -> None:
    """Whoever was overtaken while it read the state back leaves the input to its successor."""
    stale = bench.anew()
    taking = asyncio.create_task(stale.take_over())
    bench.log.positions.clear()
    stale.lose("it was revoked")
    await taking
    assert bench.log.positions == {}
    assert stale.status is Status.LOST


async def test_revisions_in_line_are_published_in_order(bench: Bench) -> None:
    """A group whose next revision freezes before the first is done publishes both, in order."""
    bench.say(*whole())
    await bench.hear()
    for number, name in enumerate(("bb", "cc"), 1):
        bench.clock.now += 1
        bench.say(arrived(1, name=name, version=number))
        bench.clock.now += 40
        bench.say(schemas.ClockTick(partition=0))
        await bench.hear()
    assert (bench.owner.due, bench.owner.due_groups) == (3, 1)
    await bench.done()
    assert bench.revisions() == [(0, 1), (0, 2), (0, 3)]


@pytest.mark.parametrize("profile", list(core.VerdictProfile))
async def test_each_published_match_has_its_verdict_counted(profile: core.VerdictProfile) -> None:
    """As many verdicts of each kind are counted as the models of matches that were sent have."""
    bench = Bench(profile)
    await bench.owner.take_over()
    bench.say(*[arrived(visit, expected=3) for visit in (3, 4, 5)])
    await bench.hear()
    await bench.done()
    bench.say(arrived(4, name="bb", version=1))
    bench.clock.now += 40
    bench.say(schemas.ClockTick(partition=0))
    await bench.hear()
    await bench.done()
    assert bench.revisions() == [(0, 1), (0, 2)]
    models = bench.messages(bench.log.topics.models)
    sent = Counter(one.verdict for one in models if one.status == "matched")
    assert sent.total() == 3
    for verdict in core.Verdict:
        counted = f'verdicts_total{{band="r",verdict="{verdict}"}} {sent[verdict]:.1f}\n'
        assert counted in _exposed(bench)


async def test_only_so_many_groups_are_worked_on_at_once() -> None:
    """Beyond the bound groups wait, and each that ends lets the next one begin."""
    bench = Bench(max_due_groups=2)
    await bench.owner.take_over()
    most = 0
    bench.log.before = lambda _: _note(len(bench.owner.tasks))

    def _note(running: int) -> None:
        nonlocal most
        most = max(most, running)

    bench.say(*[one for patch in range(5) for one in whole(patch)])
    await bench.hear()
    assert (len(bench.owner.tasks), bench.owner.due_groups) == (2, 5)
    await bench.done()
    assert sorted(bench.revisions()) == [(patch, 1) for patch in range(5)]
    assert most == 2


async def test_whoever_takes_over_begins_no_more_than_keeps_workers_busy() -> None:
    """Of many groups that are due, so many as have enough members; in the end all are published."""
    bench = Bench(enough_members=5)
    await bench.owner.take_over()
    bench.say(*[one for patch in range(6) for one in whole(patch)])
    await bench.hear()
    assert (len(bench.owner.tasks), bench.owner.due_groups) == (3, 6)
    bench.owner.lose("it was revoked")
    await bench.done()
    await bench.anew().take_over()
    assert (len(bench.owner.tasks), bench.owner.due_groups) == (3, 6)
    await bench.done()
    assert sorted(bench.revisions()) == [(patch, 1) for patch in range(6)]


async def test_a_group_that_waits_for_a_storage_holds_up_no_other() -> None:
    """At the next tick another is begun in its stead."""
    bench = Bench(enough_members=1)
    await bench.owner.take_over()
    bench.say(*whole(0), *whole(1))
    await bench.hear()
    (first,) = bench.owner.tasks
    bench.shared.workshop.away = lambda: {first.get_name().removeprefix("work on "): {"s3": 2}}  # type: ignore[method-assign]  # no storage is there to be away
    await bench.owner.tick({0: bench.end})
    assert len(bench.tasks) == 2
    await bench.done()
    assert sorted(bench.revisions()) == [(0, 1), (1, 1)]


async def test_draining_begins_nothing_new() -> None:
    """A drained owner finishes what runs; what waits, or would be next in line, stays due."""
    bench = Bench(max_due_groups=1)
    await bench.owner.take_over()
    bench.say(*whole(), *whole(1), arrived(1, patch=2))
    await bench.hear()
    bench.clock.now += 1
    bench.say(arrived(1, name="bb", version=1))
    bench.clock.now += 40
    bench.say(schemas.ClockTick(partition=0))
    await bench.hear()
    await asyncio.sleep(0)
    bench.owner.drain()
    await bench.done()
    assert bench.revisions() == [(0, 1)]
    assert (bench.owner.due, bench.owner.due_groups) == (2, 2)
    assert bench.owner.state.next_due() is not None
    assert await _tick(bench, 10_000) == 0


async def test_work_that_follows_at_once_is_not_forgotten(bench: Bench) -> None:
    """A group that is due anew in the very moment its work ends is still known to be at work."""
    hearing: list[asyncio.Task[None]] = []

    def go_on(records: Sequence[Outgoing]) -> None:
        if not hearing and any(r.topic == bench.log.topics.groups for r in records):
            bench.clock.now += 1
            bench.say(arrived(1, name="bb", version=1))
            bench.clock.now += 40
            bench.say(schemas.ClockTick(partition=0))
            hearing.append(asyncio.create_task(bench.hear()))

    bench.log.after = go_on
    bench.say(*whole())
    await bench.hear()
    await asyncio.gather(*bench.tasks)
    await asyncio.gather(*hearing)
    await asyncio.sleep(0)
    while bench.owner.due:
        assert bench.owner.tasks
        await asyncio.sleep(0)
    assert bench.revisions() == [(0, 1), (0, 2)]


async def _tick(bench: Bench, seconds: float) -> int:
    """Let wall time pass, offer a tick, and tell how many were appended."""
    before = bench.end
    bench.clock.now += seconds
    await bench.owner.tick({0: before})
    return bench.end - before


async def test_a_tick_is_appended_once_a_timer_is_due(bench: Bench) -> None:
    """Not before, and not again while the first is on its way."""
    bench.say(arrived(1), arrived(2))
    await bench.hear()
    quiet_s = (FAST.quiet_ms or 0) / 1000
    assert await _tick(bench, quiet_s - 0.001) == 0
    assert await _tick(bench, 0.001) == 1
    assert await _tick(bench, 1) == 0
    await bench.hear()
    await bench.done()
    (summary,) = bench.messages(bench.log.topics.groups)
    assert (summary.trigger, summary.completed_at) == ("quiet", START_S + quiet_s)


async def test_no_tick_while_records_wait(bench: Bench) -> None:
    """An owner that has not caught up lets the records bring the time."""
    bench.say(arrived(1), arrived(2))
    await bench.hear()
    bench.clock.now += 10_000
    bench.say(arrived(3))
    await bench.owner.tick({0: bench.end})
    assert bench.end == 3
    await bench.hear()
    assert bench.owner.due == 1


async def test_no_tick_while_the_end_is_unknown(bench: Bench) -> None:
    """An owner that does not know where the input ends has not caught up."""
    bench.say(arrived(1), arrived(2))
    await bench.hear()
    bench.clock.now += 10_000
    await bench.owner.tick({})
    assert bench.end == 2


async def test_a_lost_tick_is_sent_again(bench: Bench) -> None:
    """A tick that does not come back is sent again after a while, not at every poll."""
    bench.say(arrived(1), arrived(2))
    await bench.hear()
    topic = bench.log.topics.warps
    assert await _tick(bench, 100) == 1
    bench.log.kept[topic, 0].pop()
    assert [await _tick(bench, 1) for _ in range(6)] == [0, 0, 0, 0, 1, 0]


async def test_an_early_stamp_is_waited_out_by_the_logs_clock(bench: Bench) -> None:
    """When the log's clock is behind ours, one tick shows by how much, and the next fits."""
    behind_s = 30.0
    bench.log.clock = lambda: bench.clock.ms() - round(1000 * behind_s)
    bench.log.stamp = 0
    bench.say(arrived(1), arrived(2))
    await bench.hear()
    ticks = await _tick(bench, 60 - behind_s)
    assert ticks == 1
    await bench.hear()
    assert bench.owner.due == 0
    sent = []
    for _ in range(60):
        sent.append(await _tick(bench, 1))
        await bench.hear()
    assert sum(sent) == 1
    assert sent.index(1) == behind_s - 1
    await bench.done()
    assert bench.revisions() == [(0, 1)]


async def test_a_measurement_of_another_warp_is_not_used(bench: Bench) -> None:
    """What was measured of a warp is kept for it; the warp that replaced it is measured itself."""
    bench.say(*whole())
    await bench.hear()
    await bench.done()
    bench.clock.now += 1
    bench.say(arrived(2, name="bb", version=1))
    bench.clock.now += 40
    bench.say(schemas.ClockTick(partition=0))
    await bench.anew().take_over()
    await bench.owner.ingest(bench.log.kept[bench.log.topics.warps, 0][2:])
    await bench.done()
    measured = [checksum for name, checksum in bench.pool.jobs if name == "measure"]
    assert measured == [arrived(v, name=n).checksum for v, n in ((1, "aa"), (2, "aa"), (2, "bb"))]
    assert bench.revisions() == [(0, 1), (0, 2)]


async def test_a_warp_replaced_while_it_is_measured(bench: Bench) -> None:
    """The numbers of the earlier file are not taken for those of the later one."""
    bench.say(*whole())
    await bench.hear()
    bench.say(arrived(2, name="bb", version=1))
    await bench.hear()
    await bench.done()
    members = bench.owner.state.groups["live/s/1/0/r"].members
    assert members[1].measurement is not None
    assert members[2].measurement is not None  # it was measured ahead
    assert members[2].measurement.variance == 1 + 0xBB / 256
    (model,) = [m for m in bench.messages(bench.log.topics.models) if m.visit == 2]
    first = arrived(2)
    assert model.input_digest == schemas.input_digest(first.checksum, 1.0, None, "unknown")


async def test_memory_is_the_fold_of_what_was_written(bench: Bench) -> None:
    """After each step another owner, reading the state back, stands where this one does."""
    for patch in (0, 1):
        bench.say(*whole(patch))
        await bench.hear()
        await bench.done()
        other = Owner(0, bench.shared, bench._spawn)  # noqa: SLF001 - a helper of ours
        await other.take_over()
        assert other.state.groups == bench.owner.state.groups
        assert (other.position, other.due) == (bench.owner.position, 0)
