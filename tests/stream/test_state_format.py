"""The state's format: what release 0.1 wrote, what it can read, and how it is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgpack
import pytest

import core
import schemas
from core import groups
from stream.changelog import puts
from stream.log.seam import LogRefusedError, Outgoing, PartitionLostError
from stream.owner import Status
from tests.stream.ownerbench import GROUP, KEY, Bench, arrived, whole

GOLDEN = Path(__file__).with_name("golden") / "state.1.msgpack"
"""What release 0.1 read, and the state that it wrote of it: one group, whose revision 3 is due."""


def golden() -> dict[str, list[Any]]:
    """Return the records that release 0.1 read and wrote: stamp, key, headers and value."""
    found: dict[str, list[Any]] = msgpack.unpackb(GOLDEN.read_bytes())
    return found


def bench_in(state_format: int | None) -> Bench:
    """Return a bench whose owners write a format."""
    return Bench(core.VerdictProfile.NONE, state_format=state_format)


def again(bench: Bench, state_format: int | None) -> None:
    """Let the next owner write another format."""
    bench.shared = bench.shared_with(state_format=state_format)
    bench.anew()


def put(bench: Bench, topic: str, records: list[Any]) -> None:
    """Put records into a topic with the stamps that they had."""
    for stamp, key, headers, value in records:
        bench.log.stamp = stamp
        plain = tuple((name, text) for name, text in headers)
        bench.log.append([Outgoing(topic, 0, key, value, plain)])


def formats(bench: Bench) -> list[int]:
    """Return the formats of the positions that were written, in order."""
    written = bench.log.kept[bench.log.topics.state, 0]
    found = [one.value for one in written if one.key == schemas.POSITION_KEY]
    return [schemas.unpack_position(value).state_format for value in found if value is not None]


def fields_of(bench: Bench) -> dict[bytes, set[str]]:
    """Return the fields of the headers and members that stand in the state."""
    written = {one.key: one.value for one in bench.log.kept[bench.log.topics.state, 0]}
    return {
        key: set(msgpack.unpackb(value, strict_map_key=False))
        for key, value in written.items()
        if key is not None and value is not None and key[:1] in {b"G", b"M"}
    }


def plain(record: tuple[bytes, bytes | None]) -> tuple[bytes, object]:
    """Return a record of the state in plain values, but for the warp's own message."""
    key, value = record
    body = None if value is None else msgpack.unpackb(value, strict_map_key=False)
    if isinstance(body, dict):
        body.pop("payload", None)
        body["members"] = [one["digest"] for one in body.get("members", ())]
    return key, body


async def test_format_1_is_what_release_0_1_writes() -> None:
    """Of the same input this version writes the records that release 0.1 wrote, field by field."""
    bench = bench_in(1)
    await bench.owner.take_over()
    read, written = golden()["warps"], golden()["state"]
    topics = bench.log.topics
    put(bench, topics.warps, read[:5])
    await bench.hear()
    await bench.done()
    for first, last in ((5, 8), (8, 10)):
        put(bench, topics.warps, read[first:last])
        await bench.hear()
        if last < len(read):
            await bench.done()
    ours = [(one.key or b"", one.value) for one in bench.log.kept[topics.state, 0]]
    bench.owner.lose("the end")
    await bench.done()
    assert [plain(one) for one in ours] == [plain((key, value)) for _, key, _, value in written]


@pytest.mark.parametrize("state_format", [None, 1, 2])
async def test_what_release_0_1_wrote_is_gone_on_from(state_format: int | None) -> None:
    """Its state is read back, what is due is published, and what comes is taken up."""
    bench = bench_in(state_format)
    topics = bench.log.topics
    put(bench, topics.state, golden()["state"])
    put(bench, topics.warps, golden()["warps"])
    bench.clock.now = bench.log.stamp / 1000
    await bench.owner.take_over()
    await bench.done()
    assert [one.revision for one in bench.summaries] == [3]
    assert [one.visit for one in bench.models] == [3, 4, 16]
    await bench.update(arrived(5, version=1))
    assert bench.summaries[-1].revision == 4
    sent = [one.visit for one in bench.models if one.revision == 4]
    assert sent == ([5] if state_format == 2 else [3, 4, 5, 16])


async def test_a_new_partition_has_the_newest_format() -> None:
    """Where nothing was told and nothing is there, the newest is written."""
    bench = bench_in(None)
    await bench.owner.take_over()
    await bench.live(*whole())
    assert set(formats(bench)) == {schemas.STATE_FORMAT}


async def test_a_partition_keeps_its_format_until_it_is_told() -> None:
    """An upgrade alone changes nothing that an older release could not read."""
    bench = bench_in(1)
    await bench.owner.take_over()
    await bench.live(*whole())
    again(bench, None)
    await bench.owner.take_over()
    await bench.update(arrived(6))
    assert set(formats(bench)) == {1}
    assert not {name for names in fields_of(bench).values() for name in names} & {
        *("sent", "suspicion", "reference_digest", "sealing", "reopened", "sealed_at"),
        *("settled_at", "forgotten"),
    }


@pytest.mark.parametrize("state_format", [1, 2])
async def test_format_1_keeps_no_boxes_and_judges_by_none(state_format: int) -> None:
    """Where warps lie is kept from format 2 on; the next owner refuses the same as this one."""
    bench = bench_in(state_format)
    await bench.owner.take_over()
    await bench.live(*whole())
    members = bench.owner.state.groups[KEY].members.values()
    box = None if state_format == 1 else (0, 0, 8, 8)
    assert {one.measurement.box for one in members if one.measurement} == {box}
    again(bench, None)
    await bench.owner.take_over()
    members = bench.owner.state.groups[KEY].members.values()
    assert {one.measurement.box for one in members if one.measurement} == {box}


async def test_under_format_1_nothing_is_done_that_it_cannot_remember() -> None:
    """All models are sent at each revision, the reference is chosen anew, no group is sealed."""
    bench = bench_in(1)
    await bench.owner.take_over()
    await bench.live(*[arrived(visit, name="80", expected=2) for visit in (3, 4)])
    await bench.update(arrived(5, name="70"))
    assert [one.reference for one in bench.summaries] == [3, 5]
    assert [one.visit for one in bench.models] == [3, 4, 3, 4, 5]
    suspicion = schemas.JobSuspected(**GROUP, visit=3, job="a" * 64, alone=True)
    events = (schemas.GroupSealed(**GROUP), schemas.GroupReopened(**GROUP), suspicion)
    await bench.live(*events)
    assert [one.reason for one in bench.letters] == ["unsupported_type"] * 3
    assert all("raise state_format" in one.message for one in bench.letters)
    group = bench.owner.state.groups[KEY]
    assert (group.header.sealed_at, group.members[3].suspicion) == (None, None)


async def test_raising_comes_before_anything_is_written_in_the_new_format() -> None:
    """The position says the new format first, so that no older release reads on beside it."""
    bench = bench_in(1)
    await bench.owner.take_over()
    await bench.live(*whole())
    again(bench, 2)
    before = len(bench.log.order)
    await bench.owner.take_over()
    (first,) = bench.log.order[before:]
    assert first.key == schemas.POSITION_KEY
    assert formats(bench)[-1] == 2
    assert bench.owner.position.next_offset == 2
    await bench.update(arrived(6))
    assert "sent" in fields_of(bench)[schemas.member_key(KEY, 6)]


async def test_a_doubt_while_raising_loses_the_partition() -> None:
    """When nobody knows whether the new format is durable, the partition is taken anew."""
    bench = bench_in(1)
    await bench.owner.take_over()
    await bench.live(*whole())
    again(bench, 2)

    def doubt(_: object) -> None:
        raise PartitionLostError(0, "nobody knows")

    bench.log.after = doubt
    await bench.owner.take_over()
    assert bench.owner.status is Status.LOST
    bench.log.after = lambda _: None
    await bench.anew().take_over()
    assert (bench.owner.status, bench.owner.position.state_format) == (Status.ACTIVE, 2)


async def test_a_raised_state_is_refused_by_who_is_to_write_the_old_one() -> None:
    """There is no way back, and it is said what to set instead."""
    bench = bench_in(2)
    await bench.owner.take_over()
    await bench.live(*whole())
    again(bench, 1)
    with pytest.raises(LogRefusedError, match="set state_format to 2, or leave it out"):
        await bench.owner.take_over()


async def test_rolling_on_and_back_before_raising_loses_nothing() -> None:
    """Format 1 written in turns, with what is due at each change of hands, is one history."""
    bench = bench_in(1)
    for number, visit in enumerate((6, 7, 8, 9)):
        again(bench, None if number % 2 else 1)
        await bench.owner.take_over()
        await bench.done()
        bench.clock.now += 1
        bench.say(arrived(visit, expected=1))
        bench.clock.now += 40
        bench.say(schemas.ClockTick(partition=0))
        await bench.hear()
        bench.owner.lose("it was revoked")
        await bench.done()
    again(bench, 2)
    await bench.owner.take_over()
    await bench.done()
    assert [one.revision for one in bench.summaries] == [1, 2, 3, 4]
    assert [one.visit for one in bench.summaries[-1].members] == [6, 7, 8, 9]
    assert set(formats(bench)[:-1]) == {1}


# -- what stands in the state, to the byte ---------------------------------------------------------

WARP = arrived(7)
PAYLOAD = schemas.pack_payload(WARP)
SENT = {"basis": "b", "model_id": "m", "status": "matched", "verdict": "accept", "reason": None}
SUSPICION = {"job": "j", "deaths": 1, "last": 1_790_000_000_000_000}
MEASUREMENT = {"mean": 100.5, "variance": 4.0, "count": 15e6}
BOX = {"box": [4000, 8000, 4200, 4100]}
MEMBER = {
    "visit": 7,
    "version": 2,
    "event_time": 1_790_000_000_000_000,
    "digest": "d",
    "withdrawn": False,
    "payload": PAYLOAD,
    "measurement": MEASUREMENT | BOX,
    "at": 1_790_000_000_000,
    "frozen": "d",
    "sent": SENT,
    "suspicion": SUSPICION,
}
HEADER = {
    "opened_at": None,
    "last_arrival": 1_790_000_000_000,
    "first_change": None,
    "last_change": None,
    "heard": 3,
    "accounted": 2,
    "present": 1,
    "changed": 0,
    "count": None,
    "closed": 1,
    "frozen": 2,
    "published": 1,
    "size": 1,
    "named": None,
    "reference": 7,
    "reference_digest": "d",
    "sealing": 5,
    "reopened": True,
    "sealed_at": None,
    "settled_at": 1_790_000_000_000,
    "forgotten": False,
}
EXPECTED = {"version": 1, "visits": [7, 8], "reference": None, "deadline_ms": 9, "at": 10}
FROZEN = {
    "revision": 2,
    "kind": "update",
    "trigger": "quiet",
    "members": [{"visit": 7, "digest": "d", "payload": PAYLOAD}],
    "withdrawn": [3],
    "missing": [8],
    "expected": 2,
    "completeness": 0.5,
    "incomplete": True,
    "reference": None,
    "since": 1_790_000_000_000,
    "at": 1_790_000_000_001,
    "fresh": [3, 7],
}
SINCE_FORMAT_2 = {
    *("sent", "suspicion", "reference_digest", "sealing", "reopened", "sealed_at"),
    *("settled_at", "forgotten", "fresh"),
}
RECORDS: list[tuple[str, dict[str, Any], type[object]]] = [
    ("members", MEMBER, groups.Member),
    ("header", HEADER, groups.Header),
    ("expected", EXPECTED, groups.Expected),
    ("frozen", FROZEN, groups.Frozen),
]


def packed(record: dict[str, Any]) -> bytes:
    """Return the bytes of a record, field by field."""
    return cast("bytes", msgpack.packb(record))


def of_format_1(record: dict[str, Any]) -> dict[str, Any]:
    """Return what release 0.1 had of a record."""
    older = {name: value for name, value in record.items() if name not in SINCE_FORMAT_2}
    if "payload" in older:
        older["payload"] = schemas.pack_state(WARP)  # with its names and its group
    if "measurement" in older:
        older["measurement"] = MEASUREMENT
    if "trigger" in older:
        older["members"] = [of_format_1(member) for member in older["members"]]
    return older


@pytest.mark.parametrize("state_format", [1, 2])
@pytest.mark.parametrize(("field", "record", "kind"), RECORDS)
def test_a_record_of_the_state_is_these_bytes(
    field: str, record: dict[str, Any], kind: type[Any], state_format: int
) -> None:
    """A record has all fields of its format in their order, those at their defaults too."""
    value = schemas.unpack_state(packed(record), kind)
    put: Any = (value,) if field in {"members", "frozen"} else value
    transition = groups.Transition(groups.Outcome.TICK, **{field: put})
    ((_, written),) = puts(KEY, transition, state_format)
    assert written == packed(record if state_format == 2 else of_format_1(record))
