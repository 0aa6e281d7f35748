"""What the pool's tests have its workers do; a module of its own, as workers import it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np
from numba.core import event
from numpy.typing import NDArray

import core

__all__ = [
    "add",
    "allocate",
    "die_first",
    "die_of",
    "exit_at_once",
    "fail",
    "faults",
    "hoard",
    "limits",
    "loop",
    "match_and_watch",
    "segfault",
    "sleep",
    "switches",
    "threads",
    "unpicklable",
]


def add(left: int, right: int) -> int:
    """Return the sum."""
    return left + right


def sleep(seconds: float) -> int:
    """Sleep, and return this worker's process id."""
    time.sleep(seconds)
    return os.getpid()


def die_of(number: int) -> None:
    """End this worker by a signal."""
    os.kill(os.getpid(), number)
    time.sleep(60)


def die_first(tally: str, deaths: int) -> int:
    """End the worker as often as `deaths` says, noted in a file, then return the attempt."""
    path = Path(tally)
    attempt = (int(path.read_text()) if path.exists() else 0) + 1
    path.write_text(str(attempt))
    if attempt <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return attempt


def segfault() -> None:
    """Read address 0."""
    ctypes.string_at(0)


def exit_at_once() -> None:
    """End the process as a library might that thinks it is its own."""
    os._exit(3)


def loop() -> None:
    """Never come to an end, and never give another thread a chance."""
    while True:
        pass


_HOARD: list[bytearray] = []


def hoard(size: int) -> None:
    """Have memory that the next job lacks, and wait a little, so that no worker has two."""
    _HOARD.append(bytearray(size))
    time.sleep(0.5)


def faults(size: int) -> int:
    """Fill memory, let go of it, and return how many pages the system had to give."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(size, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def allocate(size: int) -> float:
    """Touch so many bytes."""
    return float(np.ones(size // 8).sum())


def fail(message: str) -> None:
    """Raise what no job should raise."""
    raise ZeroDivisionError(message)


def match_and_watch(side: int) -> tuple[int, bool]:
    """Match by each statistic; return how much was compiled or read for it, and if it is done."""
    chance = np.random.default_rng(1)
    one, two = (_exposure(chance.normal(0, 1, (side, side)).astype(np.float32)) for _ in "12")
    before, finite = core.warm_up(), True
    with event.install_recorder("numba:compile") as recorder:
        for statistic in core.GridStatistic:
            config = core.MatchConfig(grid_statistic=statistic, bin_size=side // 6)
            match = core.match_background(one, two, config)
            finite &= bool(np.isfinite(match.model.image()).all())
    after = core.warm_up()
    return len(recorder.buffer) + after.loaded - before.loaded, finite


def _exposure(image: NDArray[np.float32]) -> core.MaskedImage:
    variance = np.frombuffer(np.ones_like(image).tobytes(), dtype=np.float32)
    mask = np.zeros(image.shape, dtype=np.int32)
    return core.MaskedImage(image, mask, variance.reshape(image.shape), {})


def unpicklable() -> object:
    """Return what cannot travel."""
    return lambda: None


def threads() -> tuple[int, bool, dict[str, str]]:
    """Return how many threads run here, whether all is loaded, and what the environment says."""
    return (
        len(list(Path("/proc/self/task").iterdir())),
        {"stream.jobs", "stream.cli"} <= sys.modules.keys(),
        {name: value for name, value in os.environ.items() if name.endswith("_THREADS")},
    )


def switches() -> dict[str, str]:
    """Return what the environment says to the compiler."""
    return {name: value for name, value in os.environ.items() if name.startswith("NUMBA_")}


def limits() -> tuple[int, int, bool]:
    """Return the limits on data and core files, and whether Ctrl-C is ignored."""
    return (
        resource.getrlimit(resource.RLIMIT_DATA)[0],
        resource.getrlimit(resource.RLIMIT_CORE)[0],
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    )
