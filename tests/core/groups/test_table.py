"""The table and the machine say the same."""

from __future__ import annotations

import re

import pytest

from core.groups import Event, Phase, diagram
from core.groups.table import COMPLETION, ROWS, TABLE, UPDATING, Action, Cause, Row
from core.groups.values import Trigger
from tests.core.groups.drive import (
    Run,
    arrived,
    closed,
    manifest,
    published,
    run,
    withdrawn,
)

Story = list[tuple[int, Event | None]]
"""Events with their timestamps (None: only time passes); the last one makes the move."""

_LONE: Story = [(0, arrived(1)), (400, None)]
_WHOLE: Story = [(0, closed()), (0, arrived(1)), (0, arrived(2)), (20, None)]
_OPEN_AGAIN: Story = [*_LONE, (410, published(1)), (420, arrived(2))]
_RENAMED: Story = [
    (0, arrived(1)),
    (0, arrived(2)),
    (0, closed()),
    (1, arrived(3)),
    (1, manifest(1, 2, 3, reference=3)),
    (1, withdrawn(3)),
]
"""A manifest names a late visit as the reference, which is then withdrawn: no change is left."""

STORIES: dict[tuple[Phase, Cause], Story] = {
    (Phase.OPEN, Cause.OPENS): [(0, arrived(1))],
    (Phase.OPEN, Cause.COMPLETE): [(0, manifest(1, 2)), (0, arrived(1)), (0, arrived(2))],
    (Phase.OPEN, Cause.EMPTY): [(0, withdrawn(1)), (400, None)],
    (Phase.OPEN, Cause.UNCHANGED): [*_OPEN_AGAIN, (421, withdrawn(2)), (820, None)],
    (Phase.DUE, Cause.REOPENS): [*_LONE, (410, arrived(2))],
    (Phase.DUE, Cause.COMPLETE): [*_LONE, (410, arrived(2)), (810, None)],
    (Phase.DUE, Cause.UPDATE): [*_WHOLE, (30, arrived(3)), (50, None)],
    (Phase.DUE, Cause.UNCHANGED): [*_RENAMED, (21, None)],
    (Phase.DUE, Cause.PUBLISHED): [*_WHOLE, (30, arrived(3)), (50, None), (51, published(1))],
    (Phase.DUE, Cause.PUBLISHED_OPEN): [*_LONE, (410, arrived(2)), (411, published(1))],
    (Phase.DUE, Cause.PUBLISHED_LAST): [*_WHOLE, (21, published(1))],
    (Phase.PUBLISHED, Cause.REOPENS): _OPEN_AGAIN,
    (Phase.PUBLISHED, Cause.UPDATE): [*_WHOLE, (21, published(1)), (30, arrived(3)), (50, None)],
    (Phase.PUBLISHED, Cause.UNCHANGED): [*_RENAMED, (2, published(1)), (21, None)],
}


def _phase(told: Run) -> Phase:
    return told.header.phase if told.partition.groups else Phase.OPEN


def _action(before: Run, after: Run) -> Action:
    old = before.partition.groups.get(next(iter(after.partition.groups)))
    if len(after.history()) > len(before.history()):
        return Action.FREEZE
    if old is not None and after.header.published > old.header.published:
        return Action.RELEASE
    return Action.REST if after.header.opened_at is None else Action.OPEN


def test_each_row_has_a_story() -> None:
    """No row of the table goes without a story that takes it, and no story without a row."""
    assert set(STORIES) == set(TABLE)
    assert len(ROWS) == len(TABLE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.source}-{row.cause.name.lower()}")
def test_each_row_moves_as_it_says(row: Row) -> None:
    """From its source, by its action, a row leads to its target."""
    story = STORIES[row.source, row.cause]
    before, after = run(*story[:-1]), run(*story)
    assert _phase(before) is row.source
    assert _action(before, after) is row.action
    assert _phase(after) is row.target


def test_each_trigger_has_one_rule() -> None:
    """Each trigger stands in the rules exactly once, completion in the order of the design."""
    assert [rule.trigger for rule in (*COMPLETION, *UPDATING)] == [
        Trigger.MANIFEST,
        Trigger.COUNT,
        Trigger.CLOSED,
        Trigger.QUIET,
        Trigger.DEADLINE,
        Trigger.UPDATE,
    ]


def test_diagram_draws_each_row() -> None:
    """The diagram has one arrow a row, and no sign in a label that Mermaid would stumble over."""
    first, *lines = diagram().splitlines()
    assert first == "stateDiagram-v2"
    assert lines[0].strip() == "[*] --> OPEN"
    assert len(lines) == 1 + len(ROWS)
    for line, row in zip(lines[1:], ROWS, strict=True):
        assert re.fullmatch(r" {4}[A-Z]+ --> [A-Z]+: [a-z0-9_,/ ]+", line), line
        assert line.strip().startswith(f"{row.source.name} --> {row.target.name}: {row.cause}")


def test_every_phase_can_be_left_and_reached() -> None:
    """No phase is a trap or an island."""
    assert {row.source for row in ROWS} == set(Phase) == {row.target for row in ROWS}
    assert run((0, arrived(1))).header.phase is Phase.OPEN
