"""How a group moves, as data: the rules that freeze a revision, the rows of the state machine.

The documentation's state diagram is drawn from these rows by `diagram`, and `step` takes its
actions from them, so neither can say what the other does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from core.groups.rules import (
    Due,
    closed_due,
    count_due,
    deadline_due,
    manifest_due,
    quiet_due,
    sealed_due,
    update_due,
)
from core.groups.values import Phase, Seal, Trigger

__all__ = [
    "COMPLETION",
    "ROWS",
    "SEALING",
    "STARTS",
    "TABLE",
    "UPDATING",
    "Action",
    "Cause",
    "Row",
    "Rule",
    "diagram",
]


class Cause(StrEnum):
    """Why a group moves; the value is what the diagram says."""

    COMPLETE = "manifest, count, closed, quiet or deadline"
    UPDATE = "update_quiet or update_max"
    EMPTY = "a rule fires with no members"
    ENDING = "sealed with changes pending"
    UNCHANGED = "a rule fires with no change"
    OPENS = "first event"
    REOPENS = "more comes for an incomplete revision"
    PUBLISHED = "published while another waits in line"
    PUBLISHED_LAST = "published"
    PUBLISHED_OPEN = "published but opened again meanwhile"
    SEALED = "sealed or seal_after"
    REOPENED = "reopened"
    EXPIRED = "seal_retention and nothing due"


class Action(StrEnum):
    """What is done to the group when it moves."""

    FORGET = "forget"
    FREEZE = "freeze"
    OPEN = "open"
    RELEASE = "release"
    REST = "rest"
    SEAL = "seal"
    UNSEAL = "unseal"


@dataclass(frozen=True, slots=True)
class Rule:
    """A trigger and when it is due."""

    trigger: Trigger
    due: Due


@dataclass(frozen=True, slots=True)
class Row:
    """From `source`, because of `cause`, by `action`, to `target`: two phases or two seals."""

    source: Phase | Seal
    cause: Cause
    action: Action
    target: Phase | Seal


COMPLETION = (
    Rule(Trigger.MANIFEST, manifest_due),
    Rule(Trigger.COUNT, count_due),
    Rule(Trigger.CLOSED, closed_due),
    Rule(Trigger.QUIET, quiet_due),
    Rule(Trigger.DEADLINE, deadline_due),
)
"""While a group waits to be complete the first of these that fires wins; ties go to the order."""

UPDATING = (Rule(Trigger.UPDATE, update_due),)
"""While it does not, changes to the newest frozen revision are gathered into the next."""

SEALING = (Rule(Trigger.SEALED, sealed_due),)
"""A seal ends both; what was due before it keeps its own name."""

ROWS = (
    Row(Phase.OPEN, Cause.OPENS, Action.OPEN, Phase.OPEN),
    Row(Phase.OPEN, Cause.COMPLETE, Action.FREEZE, Phase.DUE),
    Row(Phase.OPEN, Cause.ENDING, Action.FREEZE, Phase.DUE),
    Row(Phase.OPEN, Cause.EMPTY, Action.REST, Phase.OPEN),
    Row(Phase.OPEN, Cause.UNCHANGED, Action.REST, Phase.PUBLISHED),
    Row(Phase.DUE, Cause.REOPENS, Action.OPEN, Phase.DUE),
    Row(Phase.DUE, Cause.COMPLETE, Action.FREEZE, Phase.DUE),
    Row(Phase.DUE, Cause.UPDATE, Action.FREEZE, Phase.DUE),
    Row(Phase.DUE, Cause.ENDING, Action.FREEZE, Phase.DUE),
    Row(Phase.DUE, Cause.UNCHANGED, Action.REST, Phase.DUE),
    Row(Phase.DUE, Cause.PUBLISHED, Action.RELEASE, Phase.DUE),
    Row(Phase.DUE, Cause.PUBLISHED_OPEN, Action.RELEASE, Phase.OPEN),
    Row(Phase.DUE, Cause.PUBLISHED_LAST, Action.RELEASE, Phase.PUBLISHED),
    Row(Phase.PUBLISHED, Cause.REOPENS, Action.OPEN, Phase.OPEN),
    Row(Phase.PUBLISHED, Cause.UPDATE, Action.FREEZE, Phase.DUE),
    Row(Phase.PUBLISHED, Cause.ENDING, Action.FREEZE, Phase.DUE),
    Row(Seal.LIVE, Cause.SEALED, Action.SEAL, Seal.SEALED),
    Row(Seal.SEALED, Cause.REOPENED, Action.UNSEAL, Seal.LIVE),
    Row(Seal.SEALED, Cause.EXPIRED, Action.FORGET, Seal.FORGOTTEN),
)

STARTS = (Phase.OPEN, Seal.LIVE)
"""How a group begins: its phase, and beside it its seal."""

TABLE = MappingProxyType({(row.source, row.cause): row for row in ROWS})


def diagram() -> str:
    """Draw the rows as a Mermaid state diagram, one line a row.

    Returns
    -------
    str
        Text for a ``mermaid`` code block, without the fence, ending in a newline.
    """
    lines = ["stateDiagram-v2", *(f"    [*] --> {start.name}" for start in STARTS)]
    lines += [f"    {r.source.name} --> {r.target.name}: {r.cause} / {r.action}" for r in ROWS]
    return "\n".join(lines) + "\n"
