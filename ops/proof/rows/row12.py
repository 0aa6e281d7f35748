"""Row 12: workers that die while they have a job."""

from __future__ import annotations

import signal
import time
from random import Random
from typing import Final

import psutil

from ops.proof.fleet import Fleet
from ops.proof.hooks import Hooks
from ops.proof.judge import Progress, judge, published
from ops.proof.load import Load, records, wanted
from ops.proof.processes import Running, until
from ops.proof.row import Context, Figure, Row, RowResult, Terms

__all__ = ["ROW"]

_PARTITIONS: Final = 2
_MEMBERS: Final = 6
_HOG: Final = 3
_WORKERS: Final = 2
_JOB_S: Final = 1.0
_WHOLE_S: Final = 2.0
_PATIENCE_S: Final = 1800.0
_SIGNALS: Final = (signal.SIGKILL, signal.SIGSEGV)


def run(terms: Terms, context: Context) -> RowResult:
    """Kill workers one after the other while groups are worked on; one visit eats memory."""
    random = Random(terms.seed)  # noqa: S311 - chance that can be had again
    with context.kafka(_PARTITIONS, "--workers", str(_WORKERS)) as place:
        load = Load(context.warps, terms.load(8), _MEMBERS, terms.seed)
        said = load.plain()
        progress = Progress(place, wanted((one.message, one.time_us) for one in said))
        with Fleet(place, context.folder, "--workers", str(_WORKERS)) as fleet:
            running = fleet.start("one", Hooks(job_s=_JOB_S, harms={_HOG: "memory"}))
            running.until_it_says('"event": "started"', _PATIENCE_S)
            place.publish(records(said, place.topics, _PARTITIONS))
            running.until_it_says('"event": "group frozen"')
            repairs = [_kill_worker(running, random) for _ in range(terms.rounds)]
            fleet.until(progress.done, _PATIENCE_S, 0.5)
            violations = [*judge(place).violations, *fleet.complaints()]
            starts = fleet.copies["one"].starts
        failed = {
            (one.group.key, member.visit)
            for one in published(place).summaries
            for member in one.members
            if member.status == "failed"
        }
    hogs = {(load.group(number).key, _HOG) for number in range(load.groups)}
    if not hogs <= failed:
        violations.append(f"a job without memory did not fail: {sorted(hogs - failed)[:5]}")
    if failed - hogs:
        violations.append(f"neighbours failed: {sorted(failed - hogs)[:5]}")
    if starts > 1:
        violations.append(f"the service itself ended {starts - 1} times")
    if max(repairs) > _WHOLE_S:
        violations.append(f"the pool was whole again after {max(repairs):.2f} s")
    figures: dict[str, Figure] = {
        "workers killed": terms.rounds,
        "jobs without memory": len(hogs),
        "longest until the pool was whole, s": max(repairs),
    }
    return RowResult(figures, tuple(violations))


def _kill_worker(running: Running, random: Random) -> float:
    """Kill a worker; return how long the pool was short of one, seconds."""
    victim = random.choice(_workers(running))
    began = time.monotonic()
    victim.send_signal(random.choice(_SIGNALS))
    until(lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE)
    until(lambda: len(_workers(running)) == _WORKERS)
    seconds = time.monotonic() - began
    # So that no job dies three times, for which its warp would rightly be given up.
    time.sleep(_JOB_S * random.uniform(2, 3))
    return seconds


def _workers(running: Running) -> list[psutil.Process]:
    """Return the workers: what the fork server has forked."""
    servers = psutil.Process(running.process.pid).children()
    found = [worker for server in servers for worker in server.children()]
    return [one for one in found if one.status() != psutil.STATUS_ZOMBIE]


ROW: Final = Row(
    number=12,
    title="a worker is killed",
    hold="SIGKILL, a segmentation fault or too much memory in a worker costs its job alone; the "
    "pool is whole again in less than 2 s",
    rounds=40,
    counted="workers killed",
    run=run,
)
