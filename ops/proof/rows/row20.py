"""Row 20: a soak."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final, NamedTuple

import numpy as np
import psutil

from ops.proof.fleet import Fleet
from ops.proof.judge import Progress, judge
from ops.proof.load import Load, Said, records, wanted
from ops.proof.processes import Running
from ops.proof.row import Context, Figure, Row, RowResult, Terms

__all__ = ["ROW"]

_PARTITIONS: Final = 4
_RUBIN_A_S: Final = 12.0
_TIMES: Final = 10.0
_GROUPS: Final = 100
_MEMBERS: Final = 20
_LOOK_S: Final = 1.0
_WARM: Final = 1.0
"""As much of the stated time passes before it. What has a bound reaches it within minutes, but the
interpreter keeps the pages of its busiest moment so far, and such moments become rarer slowly."""

_SLOPE_MB_H: Final = 1.0
_PATIENCE_S: Final = 1800.0
_OPTIONS: Final = (
    *("--update-quiet-s", "5", "--update-max-s", "20"),
    *("--results-max-bytes", "64MiB"),  # a bound that is reached within minutes
)
_MB: Final = 1e6


def run(terms: Terms, context: Context) -> RowResult:
    """Replace visits of the same groups, steadily, and look at memory and descriptors."""
    rate = _TIMES * _RUBIN_A_S * terms.scale
    load = Load(context.warps, _GROUPS, _MEMBERS, terms.seed)
    with (
        context.kafka(_PARTITIONS, *_OPTIONS) as place,
        Fleet(place, context.folder, "--workers", "2") as fleet,
    ):
        fleet.start_all("one")
        said = load.plain()
        place.publish(records(said, place.topics, _PARTITIONS))
        samples: list[_Held] = []
        changes = _changes(load, Random(terms.seed))  # noqa: S311 - chance that can be had again
        began = time.monotonic()
        while (passed := time.monotonic() - began) < (1 + _WARM) * terms.rounds:
            new = [next(changes) for _ in range(round(rate * _LOOK_S))]
            place.publish(records(new, place.topics, _PARTITIONS))
            said += new
            samples.append(_held(passed, fleet["one"]))
            fleet.tend_for(max(0.0, _LOOK_S - (time.monotonic() - began - passed)))
        fleet.until(
            Progress(place, wanted((one.message, one.time_us) for one in said)).done,
            _PATIENCE_S,
            2.0,
        )
        found = judge(place)
        violations = [*found.violations, *fleet.complaints()]
        starts = fleet.copies["one"].starts
    if starts > 1:
        violations.append(f"the service ended {starts - 1} times by itself")
    return RowResult(*_judged(terms, samples, violations, {"events/s": rate, **found.figures}))


def _changes(load: Load, random: Random) -> Iterator[Said]:
    """Yield new versions of visits that are there already, for ever."""
    version = 0
    while True:
        version += 1
        places = [(g, v) for g in range(load.groups) for v in range(1, load.members + 1)]
        random.shuffle(places)
        yield from (load.arrival(group, visit, version) for group, visit in places)


class _Held(NamedTuple):
    """What a service holds, in the time since the beginning, seconds."""

    passed: float
    service_mb: float
    workers_mb: float
    descriptors: int

    @property
    def memory_mb(self) -> float:
        return self.service_mb + self.workers_mb


def _held(passed: float, running: Running) -> _Held:
    service = psutil.Process(running.process.pid)
    workers = sum(one.memory_info().rss for one in running.family())
    return _Held(passed, service.memory_info().rss / _MB, workers / _MB, service.num_fds())


def _judged(
    terms: Terms, samples: Sequence[_Held], violations: list[str], figures: dict[str, Figure]
) -> tuple[dict[str, Figure], tuple[str, ...]]:
    """Fit lines through what was held once all was warm."""
    warm = [one for one in samples if one.passed >= _WARM * terms.rounds]
    descriptors = [one.descriptors for one in warm]
    slope = _slope(warm, [one.memory_mb for one in warm])
    figures |= {
        "memory slope MB/h": slope,
        "memory slope of the service MB/h": _slope(warm, [one.service_mb for one in warm]),
        "memory slope of its workers MB/h": _slope(warm, [one.workers_mb for one in warm]),
        "memory MB": float(np.median([one.memory_mb for one in warm])),
        "memory of the service MB": float(np.median([one.service_mb for one in warm])),
        "descriptors, fewest": min(descriptors),
        "descriptors, most": max(descriptors),
    }
    # A line through minutes tells nothing of hours.
    if terms.rounds >= ROW.rounds and slope > _SLOPE_MB_H:
        violations.append(f"memory grows by {slope:.2f} MB/h, more than {_SLOPE_MB_H:g}")
    half = len(descriptors) // 2
    if max(descriptors[half:]) > max(descriptors[:half], default=0) + 2:
        violations.append(f"descriptors grow: {max(descriptors[:half])}, {max(descriptors[half:])}")
    return figures, tuple(violations)


def _slope(warm: Sequence[_Held], memory: Sequence[float]) -> float:
    """Return by how many MB an hour memory grows."""
    return float(np.polyfit([one.passed / 3600 for one in warm], memory, 1)[0])


ROW: Final = Row(
    number=20,
    title="soak",
    hold="an hour at 10 times Rubin's rate of events, after an hour of the same: memory grows by "
    "less than 1 MB/h, descriptors not at all, no violation",
    rounds=3600,
    counted="s",
    run=run,
)
