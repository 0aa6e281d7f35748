"""Row 1: owners that are killed at random while they work."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random
from typing import Final

from ops.proof.fleet import Fleet
from ops.proof.judge import Progress, judge
from ops.proof.load import Load, records, wanted
from ops.proof.place import Place
from ops.proof.row import Context, Row, RowResult, Terms

__all__ = ["ROW"]

_OWNERS: Final = ("one", "two", "three")
_PARTITIONS: Final = 12
_GROUPS: Final = 2000
_MEMBERS: Final = 20
_SLOWEST: Final = 3.0
_LOOK_S: Final = 1.0
_OPTIONS: Final = ("--session-timeout-s", "1.5", "--broker-grace-s", "60")
_UPDATES: Final = ("--update-quiet-s", "2", "--update-max-s", "5")


@dataclass
class _Wave:
    """One load, announced at once, worked off by owners that are killed or not."""

    terms: Terms
    context: Context
    place: Place
    number: int

    def announce(self) -> Progress:
        """Publish the load; return what tells how far it is."""
        groups = self.terms.load(_GROUPS)
        seed = self.terms.seed
        load = Load(self.context.warps, groups, _MEMBERS, seed, f"wave{self.number}")
        said = load.troubled()
        self.place.publish(records(said, self.place.topics, _PARTITIONS))
        return Progress(self.place, wanted((one.message, one.time_us) for one in said))


def run(terms: Terms, context: Context) -> RowResult:
    """Work a load off undisturbed, then, killing, as many as the kills take."""
    with (
        context.kafka(_PARTITIONS, *_OPTIONS, *_UPDATES) as place,
        Fleet(place, context.folder) as fleet,
    ):
        fleet.start_all(*_OWNERS)
        undisturbed = _undisturbed(terms, context, fleet)
        context.say(f"undisturbed: {undisturbed:.0f} s; now with kills")
        waves, kills, seconds = _killed(terms, context, fleet)
        found = judge(place)
        violations = [*found.violations, *fleet.complaints()]
    slower = seconds / (waves * undisturbed)
    if terms.rounds >= ROW.rounds and slower > _SLOWEST:
        violations.append(f"{slower:.2f} times the undisturbed time, more than {_SLOWEST:g}")
    figures = {
        "owners": len(_OWNERS),
        "groups": (waves + 1) * terms.load(_GROUPS),
        "kills": kills,
        "undisturbed s": undisturbed,
        "with kills s": seconds,
        "waves of the load with kills": waves,
        "times the undisturbed": slower,
        **found.figures,
    }
    return RowResult(figures, tuple(violations))


def _undisturbed(terms: Terms, context: Context, fleet: Fleet) -> float:
    began = time.monotonic()
    progress = _Wave(terms, context, fleet.place, 0).announce()
    fleet.until(progress.done, 3600, _LOOK_S)
    return time.monotonic() - began


def _killed(terms: Terms, context: Context, fleet: Fleet) -> tuple[int, int, float]:
    """Kill one owner every 1 to 5 s; announce anew as long as there were not enough kills."""
    random = Random(terms.seed)  # noqa: S311 - chance that can be had again
    began = time.monotonic()
    waves = kills = 0
    while kills < terms.rounds:
        waves += 1
        progress = _Wave(terms, context, fleet.place, waves).announce()
        while progress.look():
            fleet.tend_for(random.uniform(1, 5) if kills < terms.rounds else _LOOK_S)
            if kills < terms.rounds:
                fleet.kill(random.choice(_OWNERS))
                kills += 1
                context.say(f"{kills} kills, wave {waves}, groups left {progress.left}")
    return waves, kills, time.monotonic() - began


ROW: Final = Row(
    number=1,
    title="SIGKILL loop",
    hold="200 kills of 3 owners of 12 partitions: nothing lost, doubled or left out; done in at "
    "most 3 times the undisturbed time of the same load",
    rounds=200,
    counted="kills",
    run=run,
)
