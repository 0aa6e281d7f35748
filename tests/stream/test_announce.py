"""Announcing: the sets and closings of files, and records at their right place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import schemas
from stream.announce import Announcer, closings, folders, manifests
from stream.describe import Described
from stream.log.seam import Outgoing
from stream.log.topics import Topics
from tests.schemas import examples


class Shelf:
    """A publisher that keeps what it is given."""

    partitions = 8

    def __init__(self) -> None:
        self.batches: list[Sequence[Outgoing]] = []

    async def start(self) -> None:
        """Begin nothing."""

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Keep records."""
        self.batches.append(records)

    async def close(self) -> None:
        """End nothing."""


def _described(visit: int, band: str = "r", folder: str = "/night") -> Described:
    return Described(Path(folder, f"{visit}.fits"), examples.arrived(visit=visit, band=band))


_WHO = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("gr")), max_size=12)


@given(_WHO)
def test_manifests_name_exactly_what_there_is(who: list[tuple[int, str]]) -> None:
    """There is one set and one closing a group, and together they name every warp once."""
    described = [_described(visit, band) for visit, band in who]
    sets = list(manifests(described))
    named = [(visit, one.band) for one in sets for visit in one.visits]
    assert sorted(named) == sorted(set(who))
    assert [one.group for one in sets] == [one.group for one in closings(described)]


async def test_records_lie_where_their_key_belongs() -> None:
    """Each record is on the partition of its key, names its sender, and has an id of its own."""
    shelf = Shelf()
    announcer = Announcer(shelf, Topics("x"), lambda: 1_772_341_567.25)
    await announcer.send([examples.arrived(visit=v, patch=v) for v in range(20)])
    await announcer.send_over([examples.arrived(visit=30)], 0.0)
    records = [record for batch in shelf.batches for record in batch]
    assert {record.topic for record in records} == {"x.warps"}
    read = [schemas.decode(r.key, r.headers, r.value) for r in records]
    assert len({attributes.id for attributes, _ in read}) == len(records)
    assert {attributes.source for attributes, _ in read} == {"evensky/announce"}
    assert {a.time for a, _ in read} == {"2026-03-01T05:06:07.250000Z"}
    for record in records:
        assert record.partition == schemas.partition_of(record.key or b"", 8)


def test_folders() -> None:
    """The folders are those of the files, each once."""
    files = [_described(1), _described(2), _described(3, folder="/other")]
    assert folders(files) == {Path("/night"), Path("/other")}
