"""The proof finds a service that is not exactly once."""

from __future__ import annotations

from pathlib import Path

from ops.proof.fleet import Fleet
from ops.proof.hooks import Hooks, Trap
from ops.proof.judge import Progress, judge
from ops.proof.load import Load, records, wanted
from ops.proof.row import Context


def test_both_judges_find_models_outside_their_transaction(tmp_path: Path) -> None:
    """A service that publishes models before their revision, killed between, is found out."""
    context = Context(tmp_path)
    place = context.embedded("--partitions", "1")
    load = Load(context.warps, 2, 3)
    said = load.plain()
    with Fleet(place, tmp_path) as fleet:
        place.publish(records(said, place.topics, place.settings.partitions))
        naive = fleet.start("one", Hooks((Trap("publish.between"),), naive=True))
        naive.until_it_says("trap: kill")
        fleet.until(Progress(place, wanted((m.message, m.time_us) for m in said)).done, 150)
        found = judge(place)
    assert found.figures["doubled"] > 0
    assert found.figures["audit"] > 0
