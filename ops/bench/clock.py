"""Times that can be compared: every run of a task stands beside a run of the read floor."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from core import MaskedImage
from ops.bench.planes import planes

__all__ = ["Timing", "race", "read_floor", "seconds_of"]


@dataclass(frozen=True, slots=True)
class Timing:
    """The runs of a task, each with that of the read floor right before it.

    Attributes
    ----------
    seconds, floors : tuple of float
        One a run.
    """

    seconds: tuple[float, ...]
    floors: tuple[float, ...]

    @property
    def least(self) -> float:
        """Shortest run, seconds."""
        return min(self.seconds)

    @property
    def middle(self) -> float:
        """Median run, seconds."""
        return median(self.seconds)

    @property
    def ratio(self) -> float:
        """Shortest run over the shortest of the read floor."""
        return self.least / min(self.floors)

    @property
    def middle_ratio(self) -> float:
        """Median of each run over its own read floor."""
        return median(run / floor for run, floor in zip(self.seconds, self.floors, strict=True))


def race(
    floor: Callable[[], object], tasks: Mapping[str, Callable[[], object]], runs: int
) -> dict[str, Timing]:
    """Run tasks in turns, the read floor before each, so that what slows one slows all.

    Parameters
    ----------
    floor : callable
        The read floor.
    tasks : mapping of str to callable
        The tasks.
    runs : int
        Turns; one more is made before them, and not counted.

    Returns
    -------
    timings : dict
        A timing for each task.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for run in range(runs + 1):
        for name, task in tasks.items():
            beside = seconds_of(floor)
            taken = seconds_of(task)
            if run:
                found[name].append((taken, beside))
    return {name: Timing(*zip(*pairs, strict=True)) for name, pairs in found.items()}


def seconds_of(task: Callable[[], object]) -> float:
    """Run a task once, undisturbed by the collector, and return what it took, in seconds.

    Parameters
    ----------
    task : callable
        The task.
    """
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    try:
        task()
        return time.perf_counter() - began
    finally:
        gc.enable()


def read_floor(*exposures: MaskedImage) -> Callable[[], object]:
    """Return what reads each pixel of the exposures once: numpy's sum of every plane.

    Parameters
    ----------
    *exposures : core.MaskedImage
        The exposures, of three planes each.
    """
    return lambda: [float(plane.sum()) for plane in planes(*exposures)]
