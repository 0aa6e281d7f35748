"""Processor time of the whole pipeline for a warp, beside one bare decode by astropy."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import core
import schemas
from ops.bench.decode import by_astropy
from ops.bench.pipeline.serving import BenchError, Served, serving
from ops.bench.pipeline.warps import FORMS, Form, Stock, manifest, path_of
from ops.bench.report import Row, Section
from stream import fits
from stream.spool.place import laid_bytes
from stream.worker import Broken, Worker

__all__ = [
    "Price",
    "bare",
    "kernels",
    "overhead",
    "overhead_row",
    "price",
    "price_row",
    "processor_s",
    "rounds_of",
]

_TO_REACH: Final[dict[Form, float]] = {"gzip2": 0.5, "rice": 1.5}
_OVERHEAD: Final = 0.1
_FIRST: Final = 1001
_WORKER_BYTES: Final = 2**31
_BEFORE: Final = 2
"""Groups before the one that is measured: the first has fresh pages, the second fresh files."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one round has shown, processor time in seconds a warp.

    Attributes
    ----------
    service : float
        Of the service's processes, from the announcement to the publication.
    decode : float
        Of one bare decode by astropy: the mean of one before and one after.
    kernels : float
        Of our decode, measurement and match, alone in a plain process.
    kept : float
        The same in a process that keeps its pages, as workers do.
    jobs : float
        Jobs of the service a warp.
    """

    service: float
    decode: float
    kernels: float
    kept: float
    jobs: float


def price(side: int, warps: int, rounds: int) -> Section:
    """Measure the price of each form.

    Parameters
    ----------
    side : int
        Width and height, pixels.
    warps : int
        In a group.
    rounds : int
        Each with a new log and a new service, that first has a group to warm up with.
    """
    rows = [price_row(form, rounds_of(form, side, warps, rounds)) for form in FORMS]
    notes = [
        f"{side} x {side} pixels, groups of {warps}, two workers, a file as log; {rounds} rounds.",
        "Processor time of all processes, from the announcement to the publication of a group, in",
        f"a service that has published {_BEFORE} groups before.",
    ]
    return Section("The whole pipeline for a warp, over one bare decode by astropy", rows, notes)


def overhead(side: int, warps: int, rounds: int) -> Section:
    """Compare the service with the kernels alone: decode, measure, match in one process."""
    rows = [overhead_row(form, rounds_of(form, side, warps, rounds, workers=1)) for form in FORMS]
    notes = [
        "Kernels: each warp decoded and measured once, and matched, in one process: a plain one,",
        "as a script is, and one that keeps its pages, as workers do. Overhead: over the plain.",
        "The service has one worker: two that work at the same time slow each other down.",
    ]
    return Section(f"The service over the bare kernels, {side} x {side}", rows, notes)


def price_row(form: Form, found: Sequence[Price]) -> Row:
    """Return the medians of some rounds, and their ratio to astropy's decode."""
    ratio = median(one.service / one.decode for one in found)
    values: dict[str, float | str] = {
        "astropy, s": median(one.decode for one in found),
        "service, s": median(one.service for one in found),
        "jobs a warp": median(one.jobs for one in found),
        "ratio": ratio,
    }
    goal = _TO_REACH.get(form)
    if goal is None:
        return Row(FORMS[form], values)
    return Row(FORMS[form], values | {"to reach": goal}, ratio <= goal)


def overhead_row(form: Form, found: Sequence[Price]) -> Row:
    """Return the medians of some rounds, and what the service adds to the kernels."""
    share = median(one.service / one.kernels - 1 for one in found)
    values: dict[str, float | str] = {
        "kernels, s": median(one.kernels for one in found),
        "keeping pages, s": median(one.kept for one in found),
        "service, s": median(one.service for one in found),
        "over those keeping pages": median(one.service / one.kept - 1 for one in found),
        "overhead": share,
    }
    return Row(FORMS[form], values | {"to reach": _OVERHEAD}, share <= _OVERHEAD)


def rounds_of(form: Form, side: int, warps: int, rounds: int, *, workers: int = 2) -> list[Price]:
    """Measure the price of a form so many times; see `price`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stock = Stock.pair(folder / "warps", side, form)
        groups = [
            [stock.made(number, patch) for number in range(patch * _FIRST, patch * _FIRST + warps)]
            for patch in range(1, 2 + _BEFORE)
        ]
        return [_round(folder / f"service-{n}", side, groups, workers) for n in range(rounds)]


def _round(
    folder: Path, side: int, groups: Sequence[Sequence[schemas.WarpArrived]], workers: int
) -> Price:
    """Measure the last of some groups, whose planes find the room that those before it had."""
    *before_it, group = groups
    files = [path_of(one) for one in group]
    decode = partial(by_astropy, files[0].read_bytes())
    room = (len(group) + 1) * laid_bytes((side, side))
    sizes = ("--spool-bytes", str(room), "--max-warp-side-px", str(side))
    before = processor_s(decode)
    with serving(folder, "--workers", str(workers), *sizes) as served:
        for one in before_it:
            _served(served, one)
        jobs = len(served.notes("job"))
        service = _served(served, group)
        count = len(served.notes("job")) - jobs
    after = processor_s(decode)
    many, decoded = len(files), (before + after) / 2
    alone, kept = bare(files) / many, _kept(files) / many
    return Price(service / many, decoded, alone, kept, count / many)


def _kept(files: Sequence[Path]) -> float:
    """Return what `bare` returns in a worker."""
    worker = Worker(_WORKER_BYTES)
    try:
        answer = worker.call(bare, (files,))
    finally:
        worker.kill()
        worker.reap()
    if isinstance(answer, Broken):
        raise BenchError(answer.message)
    return float(answer.value)


def _served(served: Served, arrivals: Sequence[schemas.WarpArrived]) -> float:
    before, published = served.processor_s(), len(served.notes("published"))
    served.announce([manifest(arrivals), *arrivals], path_of(arrivals[0]).parent)
    served.until_published(published + 1)
    return served.processor_s() - before


def bare(files: Sequence[Path]) -> float:
    """Return the processor time of the kernels alone, in seconds: all are matched to the first.

    Parameters
    ----------
    files : sequence of Path
    """
    kernels(files[:2])  # the first match has its machine code to load
    return processor_s(partial(kernels, files))


def kernels(files: Sequence[Path]) -> None:
    """Decode and measure each warp once, and match all to the first.

    Parameters
    ----------
    files : sequence of Path
    """
    config, reference = core.MatchConfig(), None
    for file in files:
        exposure = fits.decode(file.read_bytes())
        core.selection_statistics(exposure, config)
        if reference is None:
            reference = exposure
        else:
            core.match_background(reference, exposure, config, quality=True)


def processor_s(task: Callable[[], object]) -> float:
    """Run a task once in this process, and return its processor time, in seconds."""
    began = time.process_time()
    task()
    return time.process_time() - began
