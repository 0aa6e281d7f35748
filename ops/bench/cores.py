"""Whether two matches on two cores are as fast as one on one, beside what memory allows."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from core import MatchConfig
from ops.bench.clock import read_floor, seconds_of
from ops.bench.planes import pair
from ops.bench.report import Row, Section
from ops.bench.speed import STATISTICS, matched

__all__ = ["Tasks", "gains", "scaling"]

Tasks = Mapping[str, Callable[[], Any]]

_TO_REACH = 0.95
_FLOOR = "read floor"


def scaling(side: int, runs: int) -> Section:
    """Compare the throughput of two pinned processes with that of one, for floor and matches.

    Parameters
    ----------
    side : int
        Width and height of the exposures in pixels.
    runs : int
        Rounds; in each, every task runs on the first core alone and then on both at once.
    """
    title = f"Two processes on two cores, {side} x {side}"
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:  # noqa: PLR2004 - two cores
        return Section(title, [], ["Not measured: there is one core."])
    found = gains(partial(_tasks, side), [_FLOOR, *STATISTICS], runs, cores)
    floor = found.pop(_FLOOR)
    rows = [Row(_FLOOR, {"gain": floor})]
    for name, gain in found.items():
        values: dict[str, float | str] = {
            "gain": gain, "over the floor's": gain / floor, "to reach": _TO_REACH
        }  # fmt: skip
        rows.append(Row(name, values, gain / floor >= _TO_REACH))
    return Section(title, rows, ["Gain: pixels a second of both over those of one."])


def gains(
    make: Callable[[], Tasks], names: Sequence[str], runs: int, cores: Sequence[int]
) -> dict[str, float]:
    """Return the throughput of a process on each core over that of one alone, by task.

    Parameters
    ----------
    make : callable
        Makes the tasks, in each process; it can be pickled.
    names : sequence of str
        Of the tasks.
    runs : int
        Rounds; in each, every task runs on the first core alone and then on all at once.
    cores : sequence of int
    """
    workers = [_Hand(core, make) for core in cores]
    alone: dict[str, list[float]] = {name: [] for name in names}
    beside: dict[str, list[float]] = {name: [] for name in names}
    try:
        for _ in range(runs + 1):
            for name in names:
                alone[name].append(_at_once(workers[:1], name)[0])
                beside[name].append(max(_at_once(workers, name)))
    finally:
        for worker in workers:
            worker.close()
    # the first round compiles, and touches memory for the first time
    many = len(cores)
    return {name: many * min(alone[name][1:]) / min(beside[name][1:]) for name in names}


def _at_once(workers: list[_Hand], name: str) -> list[float]:
    for worker in workers:
        worker.pipe.send(name)
    return [worker.pipe.recv() for worker in workers]


class _Hand:
    """A process on a core of its own that runs a task when told its name."""

    def __init__(self, core: int, make: Callable[[], Tasks]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, pipe = context.Pipe()
        self._process = context.Process(target=_work, args=(pipe, core, make), daemon=True)
        self._process.start()
        pipe.close()

    def close(self) -> None:
        """End the process."""
        self.pipe.close()
        self._process.join()


def _work(pipe: Connection, core: int, make: Callable[[], Tasks]) -> None:
    os.sched_setaffinity(0, {core})
    tasks = make()
    while True:
        try:
            name: str = pipe.recv()
        except EOFError:
            return
        # long enough that two that start a moment apart run beside each other nearly all the time
        pipe.send(seconds_of(partial(_repeated, tasks[name], 8 if name == _FLOOR else 3)))


def _repeated(task: Callable[[], object], times: int) -> None:
    for _ in range(times):
        task()


def _tasks(side: int) -> Tasks:
    reference, science = pair(side)
    configs = {str(name): MatchConfig(grid_statistic=name) for name in STATISTICS}
    tasks = {name: partial(matched, reference, science, one) for name, one in configs.items()}
    return {_FLOOR: read_floor(reference, science), **tasks}
