"""How long a group waits from its last arrival until its publication begins."""

from __future__ import annotations

import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import schemas
from ops.bench.pipeline.serving import BenchError, Note, Served, serving
from ops.bench.pipeline.warps import Stock, encoded, manifest, path_of
from ops.bench.planes import pair
from ops.bench.report import Row, Section

__all__ = ["Wait", "groups", "matched_but_last", "small_stock", "told", "wait"]

_TO_REACH: Final = 1.2
_SIDE: Final = 96
_BIN: Final = 32
_SERVICE: Final = ("--workers", "2", "-c", f"bin_size={_BIN}", "--max-warp-side-px", "1024")
_MS: Final = 1e3
_APART: Final = 100_000


@dataclass(frozen=True, slots=True)
class Wait:
    """What one group has shown, in seconds.

    Attributes
    ----------
    wait : float
        From when the last arrival was durable to the begin of the transaction that publishes.
    publish : float
        What that transaction took.
    """

    wait: float
    publish: float


def wait(sizes: Sequence[int], shuffles: int) -> Section:
    """Measure the wait of groups of several sizes, the last arrival changing nothing or all.

    Parameters
    ----------
    sizes : sequence of int
        Warps of a group; the largest is compared with the smallest.
    shuffles : int
        Groups of each size, each of other warps that come in another order.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stock = small_stock(folder / "warps")
        same = {n: groups(stock, folder / f"same-{n}", n, shuffles, best=False) for n in sizes}
        best = {n: groups(stock, folder / f"best-{n}", n, shuffles, best=True) for n in sizes}
    return told(same, best)


def told(same: dict[int, list[Wait]], best: dict[int, list[Wait]]) -> Section:
    """Return the table of what was found, by the size of the group.

    Parameters
    ----------
    same, best : dict of int to list of Wait
        The last arrival leaves the reference as it is; it becomes the reference.
    """
    rows = [_row(f"N = {n}", found) for n, found in same.items()]
    rows += [_row(f"N = {n}, the last becomes the reference", best[n]) for n in best]
    ratio = _middle(same[max(same)]) / _middle(same[min(same)])
    values: dict[str, float | str] = {"ratio": ratio, "to reach": _TO_REACH}
    rows.append(Row(f"N = {max(same)} over N = {min(same)}", values, ratio <= _TO_REACH))
    notes = [
        f"Warps of {_SIDE} x {_SIDE}, bins of {_BIN}; medians of {len(same[min(same)])} shuffles.",
        "All but the last are matched ahead when the last one comes.",
        "Wait: from when the last arrival is durable to the begin of the transaction.",
        "Publish: to its end; in it is the making of messages, but for the models.",
    ]
    return Section("From the last arrival to the publication", rows, notes)


def _row(name: str, found: Sequence[Wait]) -> Row:
    waits = sorted(one.wait for one in found)
    values: dict[str, float | str] = {
        "wait, ms": median(waits) * _MS,
        "longest, ms": waits[-1] * _MS,
        "publish, ms": median(one.publish for one in found) * _MS,
        "both, ms": median(one.wait + one.publish for one in found) * _MS,
    }
    return Row(name, values)


def _middle(found: Sequence[Wait]) -> float:
    return median(one.wait for one in found)


def small_stock(folder: Path) -> Stock:
    """Make small warps: first the one that is the best of all, then one like all others."""
    bright, dark = pair(_SIDE)  # a dark sky has less noise, and so costs less in both
    return Stock.of(folder, [encoded(warp, "plain") for warp in (dark, bright)])


def groups(stock: Stock, folder: Path, size: int, count: int, *, best: bool) -> list[Wait]:
    """Have groups published one after the other, and return how long each waited.

    Parameters
    ----------
    stock : Stock
    folder : Path
        Of the service.
    size, count : int
        Warps of a group, and groups.
    best : bool
        Whether the last warp is the best, and so the reference.
    """
    chance = random.Random(size)  # noqa: S311 - an order
    with serving(folder, *_SERVICE) as served:
        return [
            _group(served, _arrivals(stock, size, patch, chance, best=best), patch)
            for patch in range(1, count + 1)
        ]


def _arrivals(
    stock: Stock, size: int, patch: int, chance: random.Random, *, best: bool
) -> list[schemas.WarpArrived]:
    """Write the warps of a group, in the order in which they come."""
    first = patch * _APART + size
    good, *others = [stock.made(first + n, patch, base=min(n, 1)) for n in range(size)]
    chance.shuffle(others)
    place = size - 1 if best else chance.randrange(size - 1)
    return [*others[:place], good, *others[place:]]


def _group(served: Served, arrivals: Sequence[schemas.WarpArrived], number: int) -> Wait:
    *before, last = arrivals
    jobs = len(served.notes("job"))
    served.announce([manifest(arrivals), *before], path_of(last).parent)
    served.until(lambda: matched_but_last(served.notes("job")[jobs:], len(before)))
    announced = served.announce([last])
    published = served.until_published(number)
    best = min(one.visit for one in arrivals)
    if len(_matched(served.notes("job")[jobs:])[best]) != len(before):
        raise BenchError(f"visit {best} should be the reference: {served.running.text()[-2000:]}")
    for one in arrivals:
        path_of(one).unlink()
    return Wait(published["began"] - announced, published["ended"] - published["began"])


def matched_but_last(notes: Sequence[Note], count: int) -> bool:
    """Tell whether some of so many warps is the one that all others have been matched to."""
    return any(len(visits) == count - 1 for visits in _matched(notes).values())


def _matched(notes: Sequence[Note]) -> dict[int, set[int]]:
    """Return who was matched to each reference."""
    matched: dict[int, set[int]] = defaultdict(set)
    for one in notes:
        if one["job"] == "match":
            reference, visit = one["visits"]
            matched[reference].add(visit)
    return matched
