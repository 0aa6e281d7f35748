"""A group folded alone says what it says among all others; a plain twin folds them together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from random import Random

import pytest

import schemas
from core import groups
from stream.audit.facts import Letter, group_of_key, of_input
from stream.audit.fold import Fold
from stream.audit.reading import Stand
from stream.ingest import Batch
from stream.log.seam import Outgoing, Record
from tests.stream.audit.conftest import reopened, sealed, suspected
from tests.stream.chaos import PARTITIONS, Script
from tests.stream.night import FAST, START_S

POLICY = groups.Policy(
    quorum=2,
    quiet_ms=60_000,
    deadline_ms=600_000,
    update_quiet_ms=10_000,
    update_max_ms=30_000,
    seal_after_ms=400_000,
    seal_retention_ms=300_000,
)


def _policy(_: str) -> groups.Policy:
    return POLICY


def _input(seed: int) -> list[Record]:
    """Return what upstream says, out of a seed, with the stamps of a log that is slow at times."""
    chance, script = Random(seed), Script(Random(seed), PARTITIONS)  # noqa: S311 - a seed
    now, ends, made = START_S, Counter[int](), list[Record]()
    for _ in range(40):
        said: Sequence[Outgoing] = script.batch(now)
        ending = chance.choice((None, None, sealed, reopened, lambda p: suspected(p, 1)))
        for one in [*said, *([ending(chance.randrange(4))] if ending else ())]:
            at, offset = one.partition, ends[one.partition]
            stamp = round(1000 * now) - chance.choice((0, 0, 500))
            made.append(Record(one.topic, at, offset, stamp, one.key, one.value, one.headers))
            ends[at] += 1
        now += chance.choice((0, 1, 15, 70, 300))
    return made


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_group_alone_is_as_among_others(seed: int, share: float) -> None:
    """Each group's members, sets, header and revisions, and each dead record, are the twin's."""
    records = _input(seed)
    records = records[: round(share * len(records))]
    for partition in range(PARTITIONS):
        line = [one for one in records if one.partition == partition]
        state, frozen, dead = _together(line)
        folds, found = _apart(line)
        assert found == dead
        for key, fold in folds.items():
            assert fold.now == state.groups.get(key, groups.Group())
            assert fold.frozen == frozen[key]
    assert any(one.timestamp for one in records)


def _together(
    line: Sequence[Record],
) -> tuple[groups.Partition, dict[str, dict[int, groups.Frozen]], list[int]]:
    state, batch = groups.Partition(_policy), None
    frozen: dict[str, dict[int, groups.Frozen]] = defaultdict(dict)
    batch = Batch(state, PARTITIONS)
    for record in line:
        batch.take(record)
    for key, one in batch.frozen:
        frozen[key][one.revision] = one
    return state, frozen, [record.offset for record, _ in batch.dead]


def _apart(line: Sequence[Record]) -> tuple[dict[str, Fold], list[int]]:
    """Fold each key's records by themselves, then let time pass to the end."""
    position = schemas.Position(next_offset=len(line), partitions=PARTITIONS)
    folds: dict[str, Fold] = {}
    clock, dead = 0, []
    for record in line:
        clock = max(clock, record.timestamp)
        key = group_of_key(record.key).decode()
        fold = folds.setdefault(
            key,
            Fold(key, _policy, position, record.topic, record.partition, published=False),
        )
        if fold.take(of_input(record, clock), [], whole=True) is not None:
            dead.append(record.offset)
    for fold in folds.values():
        fold.advance_to(Stand(position, line[-1].offset, clock))
    return folds, dead


def test_what_an_earlier_release_put_aside_stays_aside() -> None:
    """A record whose letter says that its type was unknown then is not folded in now."""
    record = next(one for one in _input(3) if (one.key or b"").startswith(b"live"))
    row = of_input(record, record.timestamp)
    position = schemas.Position(next_offset=1, partitions=PARTITIONS)
    key = group_of_key(record.key).decode()
    fold = Fold(key, lambda _: FAST, position, record.topic, record.partition, published=False)
    letter = Letter(0, 0, "unsupported_type", "group")
    assert fold.take(row, [letter], whole=True) is schemas.DeadReason.UNSUPPORTED_TYPE
    assert fold.now == groups.Group()
