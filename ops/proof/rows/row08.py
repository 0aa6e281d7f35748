"""Row 8: every event several times and in any order; and the whole log once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ops.proof.fleet import Fleet
from ops.proof.judge import Progress, Published, judge, published
from ops.proof.load import Load, Said, records, wanted
from ops.proof.place import Place
from ops.proof.replay import emptied
from ops.proof.row import Context, Row, RowResult, Terms

__all__ = ["ROW", "work_off"]

_PARTITIONS: Final = 4
_GROUPS: Final = 200
_MEMBERS: Final = 20
_PATIENCE_S: Final = 3600.0


def work_off(context: Context, place: Place, said: Sequence[Said], name: str) -> Published:
    """Run one undisturbed service until all that was said is published; return what there is."""
    progress = Progress(place, wanted((one.message, one.time_us) for one in said))
    with Fleet(place, context.folder) as fleet:
        fleet.start_all(name)
        fleet.until(progress.done, _PATIENCE_S, 0.5)
        fleet.stop(name)
    return published(place)


def run(terms: Terms, context: Context) -> RowResult:
    """Work a load off as it was said, then shuffled and multiplied, then from its log again."""
    violations: list[str] = []
    figures: dict[str, int] = {}
    for number in range(terms.rounds):
        load = Load(
            context.warps, terms.load(_GROUPS), _MEMBERS, terms.seed + number, f"round{number}"
        )
        said = load.plain()
        with context.kafka(_PARTITIONS) as place:
            place.publish(records(said, place.topics, _PARTITIONS))
            clean = work_off(context, place, said, "clean")
        with context.kafka(_PARTITIONS) as place:
            shuffled = load.shuffled(said)
            place.publish(records(shuffled, place.topics, _PARTITIONS))
            mixed = work_off(context, place, said, "shuffled")
            violations += judge(place).violations
            again_place = emptied(place)
            again = work_off(context, again_place, said, "replay")
            violations += judge(again_place).violations
        violations += _differences(clean, mixed, again)
        figures = {"events": len(said), "shuffled": len(shuffled), "models": len(clean.models)}
    return RowResult(figures, tuple(violations))


def _differences(clean: Published, shuffled: Published, again: Published) -> list[str]:
    found = []
    if not clean.models:
        found.append("nothing was published")
    if shuffled.bytes_of_models != clean.bytes_of_models:
        found.append("shuffled: its models are not the bytes of the clean run")
    if again.bytes_of_models != shuffled.bytes_of_models:
        found.append("replay: its models are not the bytes of the run before")
    if again.told() != shuffled.told():
        found.append("replay: its revisions or triggers are not those of the run before")
    return found


ROW: Final = Row(
    number=8,
    title="every event 1 to 5 times, shuffled; replay from the beginning",
    hold="models byte-identical to the clean run; replayed from offset 0 with empty state also "
    "the same revisions and triggers",
    rounds=3,
    counted="runs",
    run=run,
)
