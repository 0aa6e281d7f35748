"""The most memory that a match takes beside what it is given and what it returns."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import core
from core import MatchConfig
from ops.bench.planes import pair
from ops.bench.report import Row, Section
from ops.bench.speed import STATISTICS

__all__ = ["peaks"]

_ROOT = Path(__file__).resolve().parents[2]
_FLOAT_BYTES = 4
_KIB = 1024

_SLACK = 0.1
"""Planes: the moments of every column of a band of rows, rows, cells, and Python's own objects."""


def peaks(side: int) -> Section:
    """Measure the peak of resident memory over what was resident before, in planes of float32.

    It is the system's own count, so that what machine code allocates is in it. Each task runs once
    before, so that code and tables are not counted.

    Parameters
    ----------
    side : int
        Width and height of the exposures in pixels.
    """
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", __name__, str(side)],
        # memory that was let go of must go back to the system, or its next use is not seen
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        cwd=_ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    rows = []
    for name, planes in json.loads(done.stdout).items():
        goal = 0.0 if name == "selection_statistics" else 1.0
        rows.append(Row(name, {"planes": planes, "to reach": goal}, planes <= goal + _SLACK))
    title = f"Peak of memory beside the inputs, {side} x {side}, in planes of float32"
    return Section(title, rows, ["Of image() the output itself is the one plane."])


def _measured(side: int) -> dict[str, float]:
    plane = side * side * _FLOAT_BYTES
    return {name: _peak(task) / plane for name, task in _tasks(side)}


def _tasks(side: int) -> Iterator[tuple[str, Callable[[], object]]]:
    reference, science = pair(side)
    configs = {str(name): MatchConfig(grid_statistic=name) for name in STATISTICS}
    configs["Chebyshev"] = MatchConfig(use_polynomial=True, order=0)
    for name, config in configs.items():
        match = partial(core.match_background, reference, science, config)
        yield f"{name}: match_background", match
        yield f"{name}: image()", match().model.image
    yield (
        "MEAN with quality: match_background",
        partial(core.match_background, reference, science, MatchConfig(), quality=True),
    )
    yield "selection_statistics", partial(core.selection_statistics, science, MatchConfig())


def _peak(task: Callable[[], object]) -> int:
    task()
    gc.collect()
    # what the kernel calls the high-water mark starts again from what is resident now
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    task()
    return _resident("VmHWM") - before


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(value) * _KIB


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measured(int(sys.argv[1]))))
