"""Row 3: an owner is stopped for longer than its session lasts, and wakes up as a zombie."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from ops.proof.fleet import Fleet
from ops.proof.hooks import Hooks, Trap
from ops.proof.judge import Progress, judge
from ops.proof.load import Load, records, wanted
from ops.proof.place import Place
from ops.proof.row import Context, Row, RowResult, Terms

__all__ = ["ROW"]

TRAPS: Final = (
    Trap("take.before", "stop"),
    Trap("job.in", "stop"),
    Trap("publish.before", "stop", nth=2),
    Trap("publish.written", "stop", nth=3),
)
"""Before the fence, in a job, in a publish and inside its commit: one process comes to all four."""

_SESSION_S: Final = 1.2
_STOPPED_S: Final = 2 * _SESSION_S
_PARTITIONS: Final = 2  # one of them is taken over whatever the group gives to whom
_GROUPS: Final = 20
_MEMBERS: Final = 3
_PATIENCE_S: Final = 120.0
_OPTIONS: Final = ("--session-timeout-s", str(_SESSION_S), "--broker-grace-s", "60")


@dataclass
class _Zombie:
    """Rounds on one log: two copies, one of which is stopped at a point of its way."""

    terms: Terms
    context: Context
    place: Place
    fleet: Fleet
    name: str = ""
    seen: int = 0
    longest_s: float = 0.0
    woken: int = 0

    def play(self, number: int) -> None:
        """Let a copy come to its next trap; the other takes over; wake it up; all is published."""
        if number % len(TRAPS) == 0:
            self._replace(number)
        zombie = self.fleet[self.name]
        self.fleet.until(lambda: zombie.frozen or self._assigned() > self.seen, _PATIENCE_S)
        progress = self._announce(number)
        self.fleet.until(lambda: zombie.frozen or not progress.look(), _PATIENCE_S)
        if zombie.frozen:
            self._wake(progress)
        self.fleet.until(progress.done, _PATIENCE_S)

    def _replace(self, number: int) -> None:
        """Start another copy that will be stopped; the one before ends as it should."""
        if self.name:
            self.fleet.copies[self.name].kept_up = False
            self.fleet[self.name].stop()
        self.name, self.seen = f"zombie-{number}", 0
        self.fleet.start(self.name, Hooks(traps=TRAPS))

    def _assigned(self) -> int:
        """Tell how often partitions were assigned to it."""
        return self.fleet[self.name].text().count('"kind": "assigned"')

    def _announce(self, number: int) -> Progress:
        groups = self.terms.load(_GROUPS, 4)
        load = Load(self.context.warps, groups, _MEMBERS, self.terms.seed, f"round{number}")
        said = load.plain()
        self.place.publish(records(said, self.place.topics, _PARTITIONS))
        return Progress(self.place, wanted((one.message, one.time_us) for one in said))

    def _wake(self, progress: Progress) -> None:
        """While it is stopped, whoever is left must do all the work, and soon."""
        began = time.monotonic()
        self.fleet.until(progress.done, _PATIENCE_S)
        self.longest_s = max(self.longest_s, time.monotonic() - began)
        self.fleet.tend_for(max(0.0, began + _STOPPED_S - time.monotonic()))
        self.seen = self._assigned()
        self.fleet[self.name].thaw()
        self.woken += 1


def run(terms: Terms, context: Context) -> RowResult:
    """Play rounds beside a copy that is never stopped."""
    with (
        context.kafka(_PARTITIONS, *_OPTIONS) as place,
        Fleet(place, context.folder) as fleet,
    ):
        fleet.start_all("steady")
        zombies = _Zombie(terms, context, place, fleet)
        for number in range(terms.rounds):
            zombies.play(number)
            context.say(f"{number + 1} rounds, {zombies.woken} zombies woken")
        complaints = fleet.complaints()
        found = judge(place)
    violations = [*found.violations, *complaints]
    if 2 * zombies.woken < terms.rounds:
        violations.append(f"in {terms.rounds} rounds only {zombies.woken} came to where they stop")
    figures = {
        "woken": zombies.woken,
        "longest wait for a stopped one's work, s": zombies.longest_s,
        **found.figures,
    }
    return RowResult(figures, tuple(violations))


ROW: Final = Row(
    number=3,
    title="zombie that wakes up",
    hold="an owner stopped for twice its session, before its fence, in a job, in a publish or "
    "inside its commit, commits nothing when it wakes; its partitions are worked on meanwhile",
    rounds=100,
    counted="rounds",
    run=run,
)
