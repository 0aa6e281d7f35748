"""Row 15: a partition of very many members is read back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from ops.proof.fleet import Fleet
from ops.proof.hooks import Hooks
from ops.proof.load import Load, Said, records
from ops.proof.place import Place
from ops.proof.row import Context, Figure, Row, RowResult, Terms

__all__ = ["ROW", "fill", "still", "waiting"]

_MEMBERS_ALL: Final = 500_000
_MEMBERS: Final = 200
_LIMIT_S: Final = 15.0
_PATIENCE_S: Final = 3600.0
_CHUNK: Final = 20_000
_NAME: Final = "one"
_OPTIONS: Final = ("--quiet-s", "off", "--deadline-s", "86400", "--session-timeout-s", "10")


def waiting(load: Load) -> Iterator[Said]:
    """Yield arrivals of groups that are never complete: nobody works on them."""
    for number in range(load.groups):
        for visit in range(1, load.members + 1):
            yield load.arrival(number, visit)


def fill(context: Context, place: Place, load: Load, partitions: int) -> int:
    """Publish arrivals of groups that stay open; return how many."""
    said = waiting(load)
    count = 0
    while chunk := list(islice(said, _CHUNK)):
        place.publish(records(chunk, place.topics, partitions))
        count += len(chunk)
        context.say(f"{count} events published")
    return count


def still(ingest: Sequence[float], ends: list[float], quiet_s: float = 5.0) -> bool:
    """Note when the last transaction was seen; tell when there was none for a while."""
    now = time.monotonic()
    if not ends or len(ingest) != ends[1]:
        ends[:] = [now, len(ingest)]
    return bool(ingest) and now - ends[0] > quiet_s


def run(terms: Terms, context: Context) -> RowResult:
    """Take very many members in, kill the service, and read them back, several times."""
    groups = terms.load(_MEMBERS_ALL) // _MEMBERS
    load = Load(context.warps, max(1, groups), _MEMBERS, terms.seed)
    violations: list[str] = []
    took: list[float] = []
    with context.kafka(1, *_OPTIONS) as place, Fleet(place, context.folder) as fleet:
        count = fill(context, place, load, 1)
        running = fleet.start(_NAME, Hooks(timed=True))
        ends: list[float] = []
        fleet.until(lambda: still(running.took().get("ingest", []), ends), _PATIENCE_S, 0.5)
        for number in range(terms.rounds):
            fleet[_NAME].kill()
            running = fleet.restart(_NAME, Hooks(timed=True))
            running.until_it_says("took restore", _PATIENCE_S)
            took += running.took()["restore"]
            context.say(f"restore {number + 1}: {took[-1]:.1f} s")
        violations += fleet.complaints()
    if max(took) > _LIMIT_S:
        violations.append(f"a restore took {max(took):.1f} s, more than {_LIMIT_S:g}")
    figures: dict[str, Figure] = {
        "members": count,
        "longest restore s": max(took),
        "members a second": count / max(took),
    }
    return RowResult(figures, tuple(violations))


ROW: Final = Row(
    number=15,
    title="restore of 500,000 members",
    hold="one partition of 500,000 members is read back, from its fence to its first record, in "
    "at most 15 s",
    rounds=3,
    counted="restores",
    run=run,
)
