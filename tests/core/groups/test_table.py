"""The table and the machine say the same."""

from __future__ import annotations

import re

import pytest

from core.groups import Event, Header, Phase, Seal, diagram
from core.groups.table import COMPLETION, ROWS, SEALING, STARTS, TABLE, UPDATING, Action, Cause, Row
from core.groups.values import Trigger
from tests.core.groups.drive import (
    POLICY,
    Run,
    arrived,
    closed,
    manifest,
    published,
    reopened,
    run,
    sealed,
    withdrawn,
)

Story = list[tuple[int, Event | None]]
"""Events with their timestamps (None: only time passes); the last one makes the move."""

RETENTION = POLICY.seal_retention_ms

_LONE: Story = [(0, arrived(1)), (400, None)]
_WHOLE: Story = [(0, closed()), (0, arrived(1)), (0, arrived(2)), (20, None)]
_OPEN_AGAIN: Story = [*_LONE, (410, published(1)), (420, arrived(2))]
_SEALED: Story = [*_WHOLE, (30, sealed())]

STORIES: dict[tuple[Phase | Seal, Cause], Story] = {
    (Phase.OPEN, Cause.OPENS): [(0, arrived(1))],
    (Phase.OPEN, Cause.COMPLETE): [(0, manifest(1, 2)), (0, arrived(1)), (0, arrived(2))],
    (Phase.OPEN, Cause.ENDING): [(0, arrived(1)), (1, sealed())],
    (Phase.OPEN, Cause.EMPTY): [(0, withdrawn(1)), (400, None)],
    (Phase.OPEN, Cause.UNCHANGED): [*_OPEN_AGAIN, (421, withdrawn(2)), (820, None)],
    (Phase.DUE, Cause.REOPENS): [*_LONE, (410, arrived(2))],
    (Phase.DUE, Cause.COMPLETE): [*_LONE, (410, arrived(2)), (810, None)],
    (Phase.DUE, Cause.UPDATE): [*_WHOLE, (30, arrived(3)), (50, None)],
    (Phase.DUE, Cause.ENDING): [*_WHOLE, (30, arrived(3)), (31, sealed())],
    (Phase.DUE, Cause.UNCHANGED): [*_LONE, (410, arrived(2)), (411, withdrawn(2)), (810, None)],
    (Phase.DUE, Cause.PUBLISHED): [*_WHOLE, (30, arrived(3)), (50, None), (51, published(1))],
    (Phase.DUE, Cause.PUBLISHED_OPEN): [*_LONE, (410, arrived(2)), (411, published(1))],
    (Phase.DUE, Cause.PUBLISHED_LAST): [*_WHOLE, (21, published(1))],
    (Phase.PUBLISHED, Cause.REOPENS): _OPEN_AGAIN,
    (Phase.PUBLISHED, Cause.UPDATE): [*_WHOLE, (21, published(1)), (30, arrived(3)), (50, None)],
    (Phase.PUBLISHED, Cause.ENDING): [
        *_WHOLE,
        (21, published(1)),
        (30, arrived(3)),
        (31, sealed()),
    ],
    (Seal.LIVE, Cause.SEALED): _SEALED,
    (Seal.SEALED, Cause.REOPENED): [*_SEALED, (31, reopened())],
    (Seal.SEALED, Cause.EXPIRED): [*_SEALED, (31, published(1)), (RETENTION + 30, None)],
}


def _header(told: Run) -> Header:
    return told.header if told.partition.groups else Header()


def _action(before: Header, after: Header) -> Action:
    if after.frozen > before.frozen:
        return Action.FREEZE
    if after.published > before.published:
        return Action.RELEASE
    if after.seal is not before.seal:
        moves = {Seal.LIVE: Action.UNSEAL, Seal.SEALED: Action.SEAL, Seal.FORGOTTEN: Action.FORGET}
        return moves[after.seal]
    return Action.REST if after.opened_at is None else Action.OPEN


def test_each_row_has_a_story() -> None:
    """No row of the table goes without a story that takes it, and no story without a row."""
    assert set(STORIES) == set(TABLE)
    assert len(ROWS) == len(TABLE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.source}-{row.cause.name.lower()}")
def test_each_row_moves_as_it_says(row: Row) -> None:
    """From its source, by its action, a row leads to its target."""
    story = STORIES[row.source, row.cause]
    before, after = (_header(run(*part)) for part in (story[:-1], story))
    assert row.source in (before.phase, before.seal)
    assert _action(before, after) is row.action
    assert row.target in (after.phase, after.seal)


def test_each_trigger_has_one_rule() -> None:
    """Each trigger stands in the rules exactly once, completion in the order of the design."""
    assert [rule.trigger for rule in (*COMPLETION, *UPDATING, *SEALING)] == [
        Trigger.MANIFEST,
        Trigger.COUNT,
        Trigger.CLOSED,
        Trigger.QUIET,
        Trigger.DEADLINE,
        Trigger.UPDATE,
        Trigger.SEALED,
    ]
    assert {*Trigger} == {rule.trigger for rule in (*COMPLETION, *UPDATING, *SEALING)}


def test_diagram_draws_each_row() -> None:
    """The diagram has one arrow a row, and no sign in a label that Mermaid would stumble over."""
    first, *lines = diagram().splitlines()
    assert first == "stateDiagram-v2"
    starts, arrows = lines[: len(STARTS)], lines[len(STARTS) :]
    assert starts == [f"    [*] --> {start.name}" for start in STARTS]
    for line, row in zip(arrows, ROWS, strict=True):
        assert re.fullmatch(r" {4}[A-Z]+ --> [A-Z]+: [a-z0-9_,/ ]+", line), line
        assert line.strip().startswith(f"{row.source.name} --> {row.target.name}: {row.cause}")


def test_every_phase_can_be_left_and_reached() -> None:
    """No phase is a trap or an island; of the seals the last is for good."""
    ends = {Seal.FORGOTTEN}
    assert {row.source for row in ROWS} == {*Phase, *Seal} - ends
    assert {row.target for row in ROWS} == {*Phase, *Seal}
    assert all((row.source in Phase) == (row.target in Phase) for row in ROWS)
    assert (Header().phase, Header().seal) == STARTS
