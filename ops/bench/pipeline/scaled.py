"""Whether the service on two cores is as much faster than on one as its kernels are."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import schemas
from ops.bench.cores import Tasks, gains
from ops.bench.pipeline.price import kernels
from ops.bench.pipeline.serving import serving
from ops.bench.pipeline.warps import FORMS, Stock, manifest, path_of
from ops.bench.report import Row, Section

__all__ = ["cores", "told"]

_TO_REACH: Final = 0.95
_FIRST: Final = 1001
_TASK: Final = "decode, measure, match"
_TITLE: Final = "Two cores over one"


def cores(side: int, warps: int, rounds: int) -> Section:
    """Time a service with a worker on one core, then with two on two; and the kernels so.

    Parameters
    ----------
    side : int
        Width and height of the warps, pixels.
    warps : int
        In a group.
    rounds : int
    """
    ours = sorted(os.sched_getaffinity(0))[:2]
    if len(ours) < 2 or shutil.which("taskset") is None:  # noqa: PLR2004 - two cores
        return Section(_TITLE, [], ["Not measured: it needs two cores, and taskset."])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stock = Stock.pair(folder / "warps", side, "gzip2")
        arrivals = [stock.made(number) for number in range(_FIRST, _FIRST + warps)]
        found = [
            tuple(_seconds(folder / f"{n}-{many}", arrivals, ours[:many]) for many in (1, 2))
            for n in range(rounds)
        ]
        pair = [path_of(one) for one in arrivals[:2]]
        bare = gains(partial(_tasks, pair), [_TASK], rounds, ours)[_TASK]
    note = f"{FORMS['gzip2']}, a group of {warps} of {side} x {side}; medians of {rounds} rounds."
    return told(median(one / two for one, two in found), bare, note)


def told(service: float, bare: float, note: str) -> Section:
    """Return the table: gain of the service and of the bare kernels."""
    goal = {"over the kernels'": service / bare, "to reach": _TO_REACH}
    met = service / bare >= _TO_REACH
    rows = [
        Row(f"kernels: {_TASK}", {"gain": bare}),
        Row("service", {"gain": service, **goal}, met),
    ]
    notes = [note, "Gain: warps a second on two cores over those on one; a worker a core."]
    return Section(_TITLE, rows, notes)


def _seconds(folder: Path, arrivals: Sequence[schemas.WarpArrived], where: Sequence[int]) -> float:
    """Return the time from the announcement to the publication."""
    pinned = ("taskset", "-c", ",".join(map(str, where)))
    with serving(folder, "--workers", str(len(where)), before=pinned) as served:
        began = served.announce([manifest(arrivals), *arrivals], path_of(arrivals[0]).parent)
        last: float = served.until_published(1)["ended"]
        return last - began


def _tasks(files: Sequence[Path]) -> Tasks:
    return {_TASK: partial(kernels, files)}
