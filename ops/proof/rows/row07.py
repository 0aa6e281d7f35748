"""Row 7: copies that come and go all the time."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Final

from ops.proof.fleet import Fleet
from ops.proof.hooks import Hooks
from ops.proof.judge import Progress, judge, published
from ops.proof.load import Load, records, wanted
from ops.proof.row import Context, Figure, Row, RowResult, Terms

__all__ = ["ROW"]

_PARTITIONS: Final = 12
_GROUPS: Final = 12
_MEMBERS: Final = 6
_JOB_S: Final = 20.0
_EVERY_S: Final = 2.0
_COPIES: Final = (2, 6)
_USED: Final = 0.9
_STILL_S: Final = 30.0
_PATIENCE_S: Final = 3600.0
_OPTIONS: Final = ("--session-timeout-s", "1.5", "--broker-grace-s", "60", "--grace-s", "1")
_WORKERS: Final = ("--workers", "4", "--worker-memory-bytes", "512MiB")


class _Storm:
    """A fleet in which a copy starts or goes at each step; some are killed, some asked to go."""

    def __init__(self, fleet: Fleet, context: Context, seed: int) -> None:
        self.fleet = fleet
        self.changes = 0
        self.longest_still = 0.0
        self._jobs: set[str] = set()
        self._moved = time.monotonic()
        self._folder = context.folder
        self._random = Random(seed)  # noqa: S311 - chance that can be had again

    def step(self) -> None:
        """Let one copy come or go, and look whether work goes on."""
        alive = [one.name for one in self.fleet if one.running.alive]
        least, most = _COPIES
        if len(alive) <= least or (len(alive) < most and self._random.random() < 0.5):  # noqa: PLR2004 - either
            self.start()
        else:
            running = self.fleet[self._random.choice(alive)]
            running.process.terminate() if self._random.random() < 0.5 else running.kill()  # noqa: PLR2004 - either
        self._look()

    def start(self) -> None:
        """Start one more copy, which nobody starts again."""
        self.changes += 1
        name = f"copy{self.changes}"
        self.fleet.start(name, Hooks(job_s=_JOB_S))
        self.fleet.copies[name].kept_up = False

    def _look(self) -> None:
        done = set(finished(self._folder))
        now = time.monotonic()
        if done != self._jobs:
            self._jobs, self._moved = done, now
        self.longest_still = max(self.longest_still, now - self._moved)


def finished(folder: Path) -> list[str]:
    """Return the jobs that workers of all copies finished, in no order."""
    texts = (path.read_text(errors="replace") for path in folder.glob("copy*.txt"))
    return [line for text in texts for line in text.splitlines() if line.startswith("job done: ")]


def run(terms: Terms, context: Context) -> RowResult:
    """Let copies come and go for the stated time while long jobs run; then finish in peace."""
    shared = context.folder / "shared"
    shared.mkdir()
    load = Load(context.warps, terms.load(_GROUPS), _MEMBERS, terms.seed)
    said = load.plain()
    options = (*_OPTIONS, "--results-shared", str(shared))
    with (
        context.kafka(_PARTITIONS, *options) as place,
        Fleet(place, context.folder, *_WORKERS) as fleet,
    ):
        storm = _Storm(fleet, context, terms.seed)
        for _ in range(3):
            storm.start()
        place.publish(records(said, place.topics, _PARTITIONS))
        progress = Progress(place, wanted((one.message, one.time_us) for one in said))
        end = time.monotonic() + terms.rounds
        while time.monotonic() < end and progress.look():
            storm.step()
            fleet.tend_for(_EVERY_S)
            context.say(f"{end - time.monotonic():.0f} s left, groups left {progress.left}")
        ended_early = max(0.0, end - time.monotonic())
        while sum(one.running.alive for one in fleet) < _COPIES[0]:
            storm.start()
        fleet.until(progress.done, _PATIENCE_S, 0.5)
        violations = [*judge(place).violations, *fleet.complaints()]
        failed = [
            (one.group.key, member.visit)
            for one in published(place).summaries
            for member in one.members
            if member.status == "failed"
        ]
    jobs = finished(context.folder)
    used = len(set(jobs)) / max(1, len(jobs))
    if used < _USED:
        violations.append(f"{used:.0%} of the finished jobs were used, less than {_USED:.0%}")
    if failed:
        violations.append(f"healthy members were given up: {failed[:5]}")
    if storm.longest_still > _STILL_S + _JOB_S:
        violations.append(f"nothing was finished for {storm.longest_still:.0f} s")
    if ended_early:
        violations.append(f"the work was done {ended_early:.0f} s before the storm: raise the load")
    figures: dict[str, Figure] = {
        "copies that came": storm.changes,
        "jobs finished": len(jobs),
        "of them used": used,
        "longest time without a finished job s": storm.longest_still,
    }
    return RowResult(figures, tuple(violations))


ROW: Final = Row(
    number=7,
    title="rebalance storm",
    hold="a copy comes or goes every 2 s for 5 min while jobs take 20 s: at least 90 % of finished "
    "jobs are used, no healthy member is given up, something is finished every 30 s",
    rounds=300,
    counted="s",
    run=run,
)
