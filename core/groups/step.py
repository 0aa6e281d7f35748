"""The state machine of a group: what an event changes, when its timer is due, how it is applied.

`step` is pure, total and deterministic: any event in any state gives a transition. It first takes
what the event says (`intake`), then asks whether the group opens, whether a rule is due, whether
a revision was published and whether the history ends, and does what the table's row says.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from core.groups.changed import replace
from core.groups.draft import Draft
from core.groups.events import Event, Measured, Published, TimerFired
from core.groups.freeze import freeze, holds_change
from core.groups.intake import take
from core.groups.policy import Policy
from core.groups.release import release
from core.groups.rules import Standing, forget_due, seal_due
from core.groups.table import COMPLETION, SEALING, TABLE, UPDATING, Action, Cause
from core.groups.values import Group, Outcome, Transition, Trigger

__all__ = ["apply", "next_timer", "step"]


def step(group: Group, event: Event, policy: Policy) -> Transition:
    """Return what an event changes; the group itself is left as it is.

    Parameters
    ----------
    group : Group
        Only read. The cost does not grow with its members, except at a freeze, at a manifest and
        when it is forgotten.
    event : Event
        With `at` not before the events that came earlier.
    policy : Policy

    Returns
    -------
    Transition
        The puts; the same for the same arguments, always.
    """
    start = Draft(group, policy, event, group.header, group.expected, Outcome.TICK)
    draft = take(start)
    for cause_of in (_opening, _ripe, _publishing, _ending):
        cause = cause_of(draft)
        if cause is not None:
            draft = _moved(draft, cause)
    return draft.transition()


def _moved(draft: Draft, cause: Cause) -> Draft:
    """Do what the table's row says; where there is none, nothing."""
    header = draft.header
    row = TABLE.get((header.phase, cause)) or TABLE.get((header.seal, cause))
    return draft if row is None else _ACTIONS[row.action](draft)


def next_timer(group: Group, policy: Policy) -> int | None:
    """Return the stream time (ms) at which the group must be woken, or None."""
    now = Standing(group.header, group.expected, policy)
    due = _first_due(now)
    return _end_due(now) if due is None else due[0]


def apply(group: Group, transition: Transition) -> None:
    """Put a transition into the group: the one fold, live and when the state is read back."""
    if transition.header is not None:
        group.header = transition.header
    if transition.expected is not None:
        group.expected = transition.expected
    for member in (*transition.members, *transition.marked):
        group.members[member.visit] = member
    for frozen in transition.frozen:
        group.frozen[frozen.revision] = frozen
    for revision in transition.released:
        group.frozen.pop(revision, None)
    for visit in transition.forgotten:
        group.members.pop(visit, None)
    if transition.forgets:
        group.expected = None


_FROM_INSIDE = (Measured, Published)
_HEARD = frozenset({Outcome.ACCEPTED, Outcome.REPLACED, Outcome.MANIFEST})
_OPENING = _HEARD | {Outcome.WITHDRAWN, Outcome.CLOSED}


def _opening(draft: Draft) -> Cause | None:
    """Open on what brings something; a mere loss is gathered as any other change."""
    header = draft.header
    if header.opened_at is not None:
        return None
    if header.frozen == 0:
        return Cause.OPENS if draft.outcome in _OPENING else None
    short = header.size < draft.policy.min_members
    changes = draft.outcome in _HEARD and draft.pending
    return Cause.REOPENS if short and changes else None


def _ripe(draft: Draft) -> Cause | None:
    """Look at the rules, but not at what comes from inside: it never decides a revision."""
    if isinstance(draft.event, _FROM_INSIDE):
        return None
    header = draft.header
    due = _first_due(_standing(draft))
    if due is None or due[0] > draft.at:
        return None
    if not holds_change(draft):
        return Cause.UNCHANGED if header.frozen else Cause.EMPTY
    if due[1] is Trigger.SEALED:
        return Cause.ENDING
    return Cause.UPDATE if header.opened_at is None else Cause.COMPLETE


def _publishing(draft: Draft) -> Cause | None:
    header = draft.header
    if draft.outcome is not Outcome.PUBLISHED:
        return None
    if header.published + 1 < header.frozen:
        return Cause.PUBLISHED
    return Cause.PUBLISHED_LAST if header.opened_at is None else Cause.PUBLISHED_OPEN


def _ending(draft: Draft) -> Cause | None:
    """End the history, take that back, or forget; what comes from inside does none of it."""
    named = _ENDINGS.get(draft.outcome)
    if named is not None or isinstance(draft.event, _FROM_INSIDE):
        return named
    due = _end_due(_standing(draft))
    if due is None or due > draft.at:
        return None
    if draft.header.live:
        return Cause.SEALED
    return Cause.EXPIRED if isinstance(draft.event, TimerFired) else None


_ENDINGS = MappingProxyType({Outcome.SEALED: Cause.SEALED, Outcome.REOPENED: Cause.REOPENED})


def _standing(draft: Draft) -> Standing:
    header, outcome = draft.header, draft.outcome
    return Standing(
        header,
        draft.expected,
        draft.policy,
        closing=outcome is Outcome.CLOSED,
        sealing=draft.at if outcome is Outcome.SEALED and header.live else None,
    )


def _end_due(now: Standing) -> int | None:
    """Return when the group is to be sealed or forgotten; only one of them can be due."""
    return seal_due(now) if now.header.live else forget_due(now)


_RULES_AT_REST = (*UPDATING, *SEALING)
_RULES_OPEN = (*COMPLETION, *SEALING)


def _first_due(now: Standing) -> tuple[int, Trigger] | None:
    """Return the earliest of the rules that now apply; ties go to their order in the table."""
    first: tuple[int, Trigger] | None = None
    for rule in _RULES_AT_REST if now.header.opened_at is None else _RULES_OPEN:
        due = rule.due(now)
        if due is not None and (first is None or due < first[0]):
            first = due, rule.trigger
    return first


def _open(draft: Draft) -> Draft:
    return replace(draft, header=replace(draft.header, opened_at=draft.at))


def _freeze(draft: Draft) -> Draft:
    due = _first_due(_standing(draft))
    return draft if due is None else freeze(draft, due[1])


def _rest(draft: Draft) -> Draft:
    """Wait for nothing until something new comes."""
    header = replace(draft.header, opened_at=None, first_change=None, last_change=None)
    return replace(draft, header=header)


def _seal(draft: Draft) -> Draft:
    return replace(draft, header=replace(draft.header, sealed_at=draft.at))


def _unseal(draft: Draft) -> Draft:
    header = replace(draft.header, sealed_at=None, settled_at=draft.at)
    return replace(draft, header=header)


def _forget(draft: Draft) -> Draft:
    header = replace(draft.header, forgotten=True)
    return replace(draft, header=header, forgotten=tuple(sorted(draft.group.members)))


_ACTIONS: MappingProxyType[Action, Callable[[Draft], Draft]] = MappingProxyType(
    {
        Action.FORGET: _forget,
        Action.FREEZE: _freeze,
        Action.OPEN: _open,
        Action.RELEASE: release,
        Action.REST: _rest,
        Action.SEAL: _seal,
        Action.UNSEAL: _unseal,
    }
)
