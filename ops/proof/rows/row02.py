"""Row 2: a service killed at each point of its way."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Final

from ops.proof.fleet import Fleet
from ops.proof.hooks import Hooks, Trap
from ops.proof.judge import Progress, judge, published
from ops.proof.load import Load, Said, records, wanted
from ops.proof.place import Place
from ops.proof.processes import ProofError
from ops.proof.row import Context, Row, RowResult, Terms

__all__ = ["HOOKS", "ROW"]

HOOKS: Final = (
    *("ingest.before", "ingest.written", "ingest.after", "results.before", "results.after"),
    *("job.before", "job.in", "publish.before", "publish.written", "publish.after"),
    *("restore", "take.fenced", "take.before"),
)
"""Where it is killed. At ``*.written`` the records are sent and the commit is under way."""

_PARTITIONS: Final = 4
_GROUPS: Final = 2
_DEATHS_IN_A_ROW: Final = 13
_MEMBERS: Final = 4
_DEATH_S: Final = 300.0
_FEEDS: Final = 20
_FEED_S: Final = 15.0
_WITHIN_MS: Final = 8.0
_OPTIONS: Final = (
    *("--instance", "one", "--session-timeout-s", "6", "--broker-grace-s", "60"),
    *("--update-quiet-s", "1", "--update-max-s", "3"),
)


def run(terms: Terms, context: Context) -> RowResult:
    """Kill at each point, then let a job kill."""
    killed = kill_at(terms, context, HOOKS)
    deaths, violations = _killer(terms, context)
    figures = {**killed.figures, "deaths until a killer was given up": deaths}
    return RowResult(figures, (*killed.violations, *violations))


def kill_at(terms: Terms, context: Context, hooks: Sequence[str]) -> RowResult:
    """Give each process one trap and new work, until it has sprung; then let all be done.

    Parameters
    ----------
    terms : Terms
    context : Context
    hooks : sequence of str
        Some of `HOOKS`.
    """
    random = Random(terms.seed)  # noqa: S311 - chance that can be had again
    points = [point for point in hooks for _ in range(terms.rounds)]
    random.shuffle(points)
    while points[0] == "restore":  # there is nothing to be read back before the first death
        points.append(points.pop(0))
    with (
        context.kafka(_PARTITIONS, *_OPTIONS) as place,
        Fleet(place, context.folder) as fleet,
    ):
        feed = _Feed(place, context, terms.seed)
        for number, point in enumerate(points):
            feed.more()
            trap = Trap(point, nth=_nth(point, random), delay_ms=_delay(point, random))
            _die(fleet, trap, feed)
            context.say(f"{number + 1} of {len(points)}: {point}")
            if number % _DEATHS_IN_A_ROW == _DEATHS_IN_A_ROW - 1 or number == len(points) - 1:
                _catch_up(fleet, place, feed.said)
        found = judge(place)
        violations = (*found.violations, *fleet.complaints())
    return RowResult({"hooks": len(hooks), "kills": len(points), **found.figures}, violations)


def _killer(terms: Terms, context: Context) -> tuple[int, list[str]]:
    """Let one visit's job kill its process each time; return how often it did."""
    violations: list[str] = []
    with (
        context.kafka(_PARTITIONS, *_OPTIONS) as place,
        Fleet(place, context.folder) as fleet,
    ):
        load = Load(context.warps, 2, _MEMBERS, terms.seed, "killer")
        said = [*load.plain(), load.arrival(0, _KILLER), load.manifest(0, _WITH_KILLER, version=1)]
        place.publish(records(said, place.topics, _PARTITIONS))
        progress = Progress(place, wanted((one.message, one.time_us) for one in said))
        hooks = Hooks(killers=(_KILLER,))
        fleet.start("one", hooks)
        end = time.monotonic() + _DEATH_S
        while not progress.done() and time.monotonic() < end:
            fleet.tend({"one": hooks})
            time.sleep(0.5)
        deaths = fleet.exits[-signal.SIGKILL]
        found = published(place)
        failed = {
            (one.group.key, member.visit)
            for one in found.newest.values()
            for member in one.members
            if member.status == "failed"
        }
    if failed != {(load.group(0).key, _KILLER)}:
        violations.append(f"given up were {sorted(failed)}, not the killer alone")
    if not _ALONE <= deaths <= _MOST_DEATHS:
        violations.append(f"the killer killed {deaths} times before it was given up")
    return deaths, violations


_KILLER: Final = 10_001
_WITH_KILLER: Final = (*range(1, 5), _KILLER)
_ALONE: Final = 3
_MOST_DEATHS: Final = 12


class _Feed:
    """New work for the service, each time of groups that nobody has heard of."""

    def __init__(self, place: Place, context: Context, seed: int) -> None:
        self.said: list[Said] = []
        self._place = place
        self._warps = context.warps
        self._seed = seed
        self._times = 0

    def more(self) -> None:
        """Publish the events of some groups."""
        first, stem = self._times * _GROUPS, f"round{self._times}"
        new = Load(self._warps, _GROUPS, _MEMBERS, self._seed, stem, first).troubled()
        self._place.publish(records(new, self._place.topics, _PARTITIONS))
        self.said += new
        self._times += 1


def _die(fleet: Fleet, trap: Trap, feed: _Feed) -> None:
    """Let the service die in a trap; what is left to do may not reach it, so there is more."""
    hooks, words = Hooks((trap,)), f"trap: kill at {trap.point}"
    running = fleet.restart("one", hooks) if "one" in fleet.copies else fleet.start("one", hooks)
    for _ in range(_FEEDS):
        with suppress(ProofError):
            running.until_it_says_or_ends(words, _FEED_S)
            break
        feed.more()
    running.until_it_says(words, 0)
    fleet.exits[running.buried(running.family())] += 1


def _catch_up(fleet: Fleet, place: Place, said: Sequence[Said]) -> None:
    """Let a copy live until all is published: what only ever dies leaves more and more undone."""
    progress = Progress(place, wanted((one.message, one.time_us) for one in said))
    fleet.restart("one")
    fleet.until(progress.done, 600, 0.5)
    fleet["one"].kill()


def _nth(point: str, random: Random) -> int:
    return random.randint(1, 4) if point.startswith(("job.", "results.", "restore")) else 1


def _delay(point: str, random: Random) -> float:
    """Let a commit that was asked for come some way."""
    return random.uniform(0, _WITHIN_MS) if point.endswith(".written") else 0.0


ROW: Final = Row(
    number=2,
    title="killed at each hook",
    hold="killed 50 times at each of the points of the service's way: nothing lost, doubled or "
    "left out",
    rounds=50,
    counted="kills a hook",
    run=run,
)
