"""Row 10: one log read at different speeds has one history."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from ops.proof.fleet import Fleet
from ops.proof.hooks import Hooks
from ops.proof.judge import Progress, Published, judge, published
from ops.proof.load import Load, Said, Wanted, records, wanted
from ops.proof.place import Place
from ops.proof.replay import emptied
from ops.proof.row import Context, Figure, Row, RowResult, Terms

__all__ = ["ROW", "SPEEDS", "replayed"]

_PARTITIONS: Final = 4
_GROUPS: Final = 100
_MEMBERS: Final = 6
SPEEDS: Final = {"x 1": 1.0, "x 100": 100.0, "unlimited": 0.0}
"""Speeds of replays by name, 0 for no bound."""

_OPTIONS: Final = (
    *("--quiet-s", "2", "--deadline-s", "6", "--quorum", "2"),
    *("--update-quiet-s", "1", "--update-max-s", "3"),
)
_PATIENCE_S: Final = 1800.0


def run(terms: Terms, context: Context) -> RowResult:
    """Live through some time, then read its log again at each speed."""
    return replayed(terms, context, SPEEDS)


def replayed(terms: Terms, context: Context, speeds: Mapping[str, float]) -> RowResult:
    """Live through some time, then read its log again.

    Parameters
    ----------
    terms : Terms
    context : Context
    speeds : mapping of str to float
        Of the replays, some of `SPEEDS`.
    """
    violations: list[str] = []
    load = Load(context.warps, terms.load(_GROUPS, 10), _MEMBERS, terms.seed)
    said = load.mixed()
    due = wanted((one.message, one.time_us) for one in said)
    with context.kafka(_PARTITIONS, *_OPTIONS) as place:
        lived = _live(terms, context, place, said, due)
        violations += judge(place).violations
        triggers = {one.trigger for one in lived.summaries}
        for name, speed in speeds.items():
            context.say(f"replay {name}")
            place = emptied(place)  # noqa: PLW2901 - the next replay is of this one's input
            again = _replay(context, place, due, name, speed)
            violations += judge(place).violations
            if again.told() != lived.told():
                violations.append(f"replay {name}: {_first_difference(lived, again)}")
    if len(triggers) < 5:  # noqa: PLR2004 - all the rules
        violations.append(f"only {sorted(triggers)} completed a group")
    figures: dict[str, Figure] = {
        "seconds of stream time": terms.rounds,
        "groups": len(due),
        "revisions": len(lived.summaries),
        "triggers": ", ".join(sorted(triggers)),
    }
    return RowResult(figures, tuple(violations))


def _first_difference(lived: Published, again: Published) -> str:
    one, other = lived.told(), again.told()
    differing = [key for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
    key = min(differing)
    return f"{len(differing)} groups differ, {key}: {one.get(key)} became {other.get(key)}"


def _live(terms: Terms, context: Context, place: Place, said: list[Said], due: Wanted) -> Published:
    """Say all, evenly spread over the stated seconds, to a service that runs."""
    outgoing = records(said, place.topics, _PARTITIONS)
    progress = Progress(place, due)
    with Fleet(place, context.folder) as fleet:
        fleet.start_all("live")
        began = time.monotonic()
        sent = 0
        while sent < len(outgoing):
            passed = (time.monotonic() - began) / terms.rounds
            until = min(len(outgoing), round(passed * len(outgoing)))
            place.publish(outgoing[sent:until])
            sent = until
            fleet.tend_for(0.2)
        fleet.until(progress.done, _PATIENCE_S, 0.5)
        fleet.stop("live")
    return published(place)


def _replay(context: Context, place: Place, due: Wanted, name: str, speed: float) -> Published:
    progress = Progress(place, due)
    name = f"replay-{name.replace(' ', '-')}"
    with Fleet(place, context.folder) as fleet:
        fleet.start(name, Hooks(speed=speed))
        fleet.until(progress.done, _PATIENCE_S, 0.5)
        fleet.stop(name)
    return published(place)


ROW: Final = Row(
    number=10,
    title="replay at any speed",
    hold="the log of a minute read again at its own speed, a hundred times as fast and as fast as "
    "can be: the same groups, revisions, triggers and frozen sets",
    rounds=60,
    counted="s of stream time",
    run=run,
)
