"""Row 23: the floor of speed, on one broker that shares the cores."""

from __future__ import annotations

import time
from typing import Final

from ops.proof.fleet import Fleet
from ops.proof.hooks import Hooks
from ops.proof.judge import Progress, judge
from ops.proof.load import Load, records, wanted
from ops.proof.processes import quantile
from ops.proof.row import Context, Figure, Row, RowResult, Terms
from ops.proof.rows.row15 import fill, still

__all__ = ["ROW"]

_PARTITIONS: Final = 4
_MEMBERS: Final = 100
_EVENTS_A_S: Final = 10_000
_PUBLISH_S: Final = 0.25
_PATIENCE_S: Final = 3600.0
_INGEST: Final = ("--quiet-s", "off", "--deadline-s", "86400")


def run(terms: Terms, context: Context) -> RowResult:
    """Take in what takes so many seconds at the floor; then publish groups of twenty."""
    violations: list[str] = []
    speed, count, ingest = _ingest(terms, context)
    publish = _publish(terms, context, violations)
    if speed < _EVENTS_A_S:
        violations.append(f"{speed:.0f} events/s, fewer than {_EVENTS_A_S}")
    p99 = quantile(publish, 0.99)
    if p99 > _PUBLISH_S:
        violations.append(f"publish p99 {p99:.3f} s, more than {_PUBLISH_S:g}")
    figures: dict[str, Figure] = {
        "events taken in": count,
        "events a second": speed,
        "ingest transaction p50 s": quantile(ingest, 0.5),
        "ingest transaction p99 s": quantile(ingest, 0.99),
        "revisions published": len(publish),
        "publish p50 s": quantile(publish, 0.5),
        "publish p99 s": p99,
    }
    return RowResult(figures, tuple(violations))


def _ingest(terms: Terms, context: Context) -> tuple[float, int, list[float]]:
    """Return events a second, how many there were, and what the transactions took."""
    groups = max(1, terms.load(_EVENTS_A_S * terms.rounds) // _MEMBERS)
    load = Load(context.warps, groups, _MEMBERS, terms.seed, "ingest")
    with context.kafka(_PARTITIONS, *_INGEST) as place, Fleet(place, context.folder) as fleet:
        count = fill(context, place, load, _PARTITIONS)
        running = fleet.start("ingest", Hooks(timed=True))
        running.until_it_says("took restore", _PATIENCE_S)
        began = time.monotonic()
        ends: list[float] = []
        fleet.until(lambda: still(running.took().get("ingest", []), ends), _PATIENCE_S, 0.25)
        seconds = ends[0] - began
        return count / seconds, count, running.took()["ingest"]


def _publish(terms: Terms, context: Context, violations: list[str]) -> list[float]:
    """Return what publishing took, each revision with twenty models."""
    load = Load(context.warps, terms.load(20 * terms.rounds), 20, terms.seed, "publish")
    with context.kafka(_PARTITIONS) as place, Fleet(place, context.folder) as fleet:
        said = load.plain()
        place.publish(records(said, place.topics, _PARTITIONS))
        progress = Progress(place, wanted((one.message, one.time_us) for one in said))
        running = fleet.start("publish", Hooks(timed=True))
        fleet.until(progress.done, _PATIENCE_S, 1.0)
        violations += [*judge(place).violations, *fleet.complaints()]
        return running.took()["publish"]


ROW: Final = Row(
    number=23,
    title="floor of speed",
    hold="at least 10,000 events a second taken in on one broker that shares the cores; publish "
    "p99 below 250 ms",
    rounds=20,
    counted="s of events at the floor",
    run=run,
)
