"""Row 9: the law of order, tried on the pure core."""

from __future__ import annotations

from typing import Final

from ops.proof.laws import end_in_any_order, revision_1_in_any_order
from ops.proof.row import Context, Row, RowResult, Terms

__all__ = ["ROW"]

_HALVES: Final = {
    "revision 1": revision_1_in_any_order,
    "the end": end_in_any_order,
}


def run(terms: Terms, context: Context) -> RowResult:
    """Try each half of the law so many times."""
    violations: list[str] = []
    for name, half in _HALVES.items():
        context.say(f"{name} in any order")
        try:
            half(terms.rounds, terms.seed)
        except AssertionError as error:
            violations.append(f"{name}, seed {terms.seed}: {error}")
    return RowResult({"examples of each half": terms.rounds}, tuple(violations))


ROW: Final = Row(
    number=9,
    title="any order, the same bytes",
    hold="events in any order and number: the same revision 1 if one manifest completes it; and "
    "without pinning and seals the same members and model_ids in the end",
    rounds=10_000,
    counted="examples of each half",
    run=run,
)
