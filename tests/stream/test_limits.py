"""What is bounded so that whatever is taken in can also be published."""

from __future__ import annotations

import schemas
from core import groups
from stream.ingest import Batch
from stream.log.seam import Record

GROUP = schemas.GroupId("live", "rings", 1, 2, "r")


def record(offset: int, visit: int) -> Record:
    """Return the record of an arrival."""
    message = schemas.WarpArrived(
        **GROUP.fields, visit=visit, uri="/w", checksum=f"{visit:064x}", expected=None
    )
    encoded = schemas.encode(message, id=str(offset), source="test", time="2026-11-23T00:00:00Z")
    return Record("evensky.warps", 0, offset, 1000, encoded.key, encoded.value, encoded.headers)


def test_a_group_has_at_most_what_a_summary_can_name() -> None:
    """One visit too many is a dead letter; others are replaced, until a seal refuses all."""
    state = groups.Partition(lambda _: groups.Policy())
    batch = Batch(state, 1)
    for visit in range(schemas.MAX_VISITS):
        batch.take(record(visit, visit))
    assert batch.dead == []
    batch.take(record(20_000, schemas.MAX_VISITS))
    batch.take(record(20_001, 0))
    ((refused, dead),) = batch.dead
    assert refused.offset == 20_000
    assert dead.error.reason is schemas.DeadReason.TOO_LARGE
    assert str(schemas.MAX_VISITS) in str(dead.error)
    assert len(state.groups[GROUP.key].members) == schemas.MAX_VISITS
    state.feed(GROUP.key, groups.Sealed(0, 1))
    batch.take(record(20_002, schemas.MAX_VISITS + 1))
    assert batch.dead[-1][1].error.reason is schemas.DeadReason.SEALED
