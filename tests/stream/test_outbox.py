"""Records on their way out."""

from __future__ import annotations

import schemas
from stream.log.topics import Topics
from stream.outbox import Outbox


def _ids(outbox: Outbox, dues: list[int], now: float) -> list[str]:
    ticks = [outbox.tick(due, now) for due in dues]
    return [schemas.decode(t.key, t.headers, t.value)[0].id for t in ticks]


def test_ticks_have_ids_of_their_own() -> None:
    """No two ticks share an id: not of two partitions, two times, or two tries."""
    first, second = Outbox(Topics(), 0, "test"), Outbox(Topics(), 1, "test")
    ids = [*_ids(first, [1, 2], 5.0), *_ids(first, [1], 6.0), *_ids(second, [1], 5.0)]
    assert len(set(ids)) == len(ids)


def test_everything_goes_to_its_own_partition() -> None:
    """Whatever comes of a partition is written to that partition, of the topic it belongs to."""
    outbox, topics = Outbox(Topics("x"), 3, "test"), Topics("x")
    position = schemas.Position(next_offset=1, partitions=4)
    records = [
        outbox.tick(1, 2.0),
        outbox.position(position),
        *outbox.state([(b"k", b"v"), (b"gone", None)]),
    ]
    assert {record.partition for record in records} == {3}
    assert [r.topic for r in records] == [topics.warps, *[topics.state] * 3]
    assert schemas.unpack_position(records[1].value or b"") == position
    assert records[3].value is None
