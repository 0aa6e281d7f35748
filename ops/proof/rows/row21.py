"""Row 21: the pure core lives through seeded schedules of everything that can happen."""

from __future__ import annotations

from typing import Final

from ops.proof.row import Context, Row, RowResult, Terms
from ops.proof.simulation import simulate

__all__ = ["ROW"]


def run(terms: Terms, _: Context) -> RowResult:
    """Simulate so many steps, each judged."""
    told = simulate(terms.rounds, terms.seed)
    figures = {"steps": told.steps, **dict(sorted(told.counts.items()))}
    if told.failure is None:
        return RowResult(figures)
    failure = told.failure
    return RowResult(figures, (f"seed {terms.seed}, episode {failure.episode} breaks: {failure}",))


ROW: Final = Row(
    number=21,
    title="simulation of the pure core",
    hold="seeded schedules of events, timers, crashes, fences, rebalances, late arrivals and "
    "duplicates: nothing lost, doubled, torn or foreign after any step",
    rounds=1_000_000,
    counted="steps",
    run=run,
)
