"""Row 22: owners whose clocks are an hour off, and owners that disagree."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final

import schemas
from ops.proof.fleet import Fleet
from ops.proof.hooks import Hooks
from ops.proof.judge import judge, published
from ops.proof.load import Load, records
from ops.proof.place import Place, Tail
from ops.proof.processes import ProofError
from ops.proof.row import Context, Row, RowResult, Terms
from stream.log.seam import Outgoing
from stream.outbox import Outbox

__all__ = ["ROW"]

_MINUTE_S: Final = 60.0
_HOUR_S: Final = 3600.0
_CLOCKS: Final = {
    "an hour ahead and an hour behind": (_HOUR_S, -_HOUR_S),
    "an hour ahead": (_HOUR_S,),
    "5 s apart": (2.5, -2.5),
}
_PARTITIONS: Final = 2
_GROUPS: Final = 40
_MEMBERS: Final = 3
_PATIENCE_S: Final = 180.0
_LOOK_S: Final = 0.5
_OPTIONS: Final = ("--session-timeout-s", "2", "--broker-grace-s", "60")
_RULES: Final = ("--quiet-s", "3", "--quorum", "2", "--update-quiet-s", "1", "--update-max-s", "20")

History = tuple[tuple[object, ...], ...]


@dataclass
class _Night:
    """One load and its later changes, worked off by owners with certain clocks."""

    terms: Terms
    context: Context
    place: Place
    name: str

    def pass_with(self, *clocks: float) -> tuple[History, tuple[str, ...]]:
        """Return what came of it, and what did not hold.

        Parameters
        ----------
        clocks : float
            What each owner's clock is ahead of the true one, seconds.
        """
        load = Load(self.context.warps, self.terms.load(_GROUPS, 2), _MEMBERS, self.terms.seed)
        first = [one for one in load.plain() if isinstance(one.message, schemas.WarpArrived)]
        later = [load.arrival(number, 1, version=1) for number in range(load.groups)]
        tail = Tail(self.place, "groups")
        with Fleet(self.place, self.context.folder) as fleet:
            for number, ahead_s in enumerate(clocks):
                fleet.start(f"{self.name}-{number}", Hooks(clock_s=ahead_s))
            for said in (first, later):
                self.place.publish(records(said, self.place.topics, _PARTITIONS))
                self._wait(fleet, tail, load.groups, ticking=min(clocks) < -_MINUTE_S)
            complaints = fleet.complaints()
        return self._history(), (*judge(self.place).violations, *complaints)

    def _wait(self, fleet: Fleet, tail: Tail, groups: int, *, ticking: bool) -> None:
        """Wait until so many summaries came; an owner that is late needs others to bring time."""
        left = groups
        end = time.monotonic() + _PATIENCE_S
        while left > 0 and time.monotonic() < end:
            if ticking:
                self.place.publish(list(self._ticks()))
            fleet.tend_for(_LOOK_S)
            left -= len(tail.more())
        if left > 0:
            raise ProofError(f"{left} of {groups} summaries did not come; {fleet.told()}")

    def _ticks(self) -> Iterator[Outgoing]:
        now = time.time()
        for partition in range(_PARTITIONS):
            outbox = Outbox(self.place.topics, partition, "proof")
            yield outbox.tick(round(now * 1000), now)

    def _history(self) -> History:
        """Return each revision, why it was frozen, and what it holds."""
        found = (
            (
                one.group.key,
                one.revision,
                one.trigger,
                one.status,
                one.reference,
                tuple((member.visit, member.model_id) for member in one.members),
            )
            for one in published(self.place).summaries
        )
        return tuple(sorted(found, key=lambda one: one[:2]))


def run(terms: Terms, context: Context) -> RowResult:
    """Pass the same night with true clocks, and again with wrong ones."""
    true, violations = _pass(terms, context, "true clocks", (0.0,))
    for number, (name, clocks) in zip(range(terms.rounds), cycle(_CLOCKS.items()), strict=False):
        found, more = _pass(terms, context, f"{name}, {number}", clocks)
        violations += more
        if found != true:
            odd = sorted(set(map(str, found)) ^ set(map(str, true)))
            violations.append(f"{name}: another history, {odd[:2]}")
    return RowResult({"revisions": len(true)}, tuple(violations))


def _pass(
    terms: Terms, context: Context, name: str, clocks: Sequence[float]
) -> tuple[History, list[str]]:
    with context.kafka(_PARTITIONS, *_OPTIONS, *_RULES) as place:
        night = _Night(terms, context, place, name.replace(" ", "-"))
        history, violations = night.pass_with(*clocks)
    context.say(f"{name}: {len(history)} revisions")
    return history, [f"{name}: {told}" for told in violations]


ROW: Final = Row(
    number=22,
    title="clocks that jump and disagree",
    hold="owners an hour ahead, an hour behind, 5 s apart: the same revisions, triggers, members "
    "and models as with true clocks",
    rounds=12,
    counted="nights with wrong clocks",
    run=run,
)
