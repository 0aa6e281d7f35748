"""The slow plain twin: each question is answered from the full list of events, nothing is kept.

It knows no counters, no heap and no table. All it remembers are its marks: when a rule fired and
what it froze.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.groups import (
    Arrived,
    Closed,
    Event,
    ManifestSet,
    Policy,
    Reopened,
    Sealed,
    Suspected,
    Trigger,
    Withdrawn,
)

__all__ = ["Revision", "Story", "deaths", "tell"]

Timed = tuple[int, Event | None]


@dataclass(frozen=True)
class Revision:
    """What the twin says of a revision."""

    trigger: Trigger
    members: dict[int, str]
    missing: tuple[int, ...]
    named: int | None
    since: int
    at: int


@dataclass(frozen=True)
class _Mark:
    """A rule fired after so many events; a rest froze nothing."""

    seen: int
    froze: Revision | None


@dataclass(frozen=True)
class Story:
    """What the twin says of a group in the end."""

    revisions: list[Revision]
    refused: list[int]
    sealed_at: int | None
    members: dict[int, Arrived | Withdrawn]


class _View:
    """What a list of events says, worked out afresh at each question."""

    def __init__(self, events: list[tuple[int, Event]]) -> None:
        self.events = events

    def before(self) -> _View:
        """Look at it without its last event."""
        return _View(self.events[:-1])

    def of(self, *kinds: type) -> list[Event]:
        """Choose the events of some kinds."""
        return [event for _, event in self.events if isinstance(event, kinds)]

    def best(self) -> dict[int, Arrived | Withdrawn]:
        """Choose of each visit the event that stands."""
        ranked = sorted(
            (e for e in self.of(Arrived, Withdrawn) if isinstance(e, Arrived | Withdrawn)),
            key=lambda e: (e.version, e.event_time, isinstance(e, Withdrawn), e.digest, e.payload),
        )
        return {event.visit: event for event in ranked}

    def manifest(self) -> ManifestSet | None:
        """Choose the manifest that stands; of equal ones the first."""
        known = [e for e in self.of(ManifestSet) if isinstance(e, ManifestSet)]
        return max(known, key=_manifest_rank, default=None)

    def told_at(self, wanted: Event) -> int:
        """Say when an event came first."""
        return next(at for at, event in self.events if event is wanted)

    def visits(self) -> set[int] | None:
        """Name the expected set."""
        manifest = self.manifest()
        return None if manifest is None else set(manifest.visits)

    def count(self) -> int | None:
        """Choose the largest number that was told."""
        told = [e.expected for e in self.of(Arrived) if isinstance(e, Arrived)]
        return max((n for n in told if n is not None), default=None)

    def closing(self) -> int | None:
        """Choose the newest closing."""
        return max((e.version for e in self.of(Closed) if isinstance(e, Closed)), default=None)

    def eligible(self) -> dict[int, str]:
        """Say what would be frozen."""
        visits = self.visits()
        return {
            visit: event.digest
            for visit, event in self.best().items()
            if isinstance(event, Arrived) and (visits is None or visit in visits)
        }

    def named(self) -> int | None:
        """Say which reference a manifest names, if it would be frozen."""
        manifest = self.manifest()
        return manifest.reference if manifest and manifest.reference in self.eligible() else None

    def accepts_last(self) -> bool:
        """Tell whether the last event said anything new (a number of visits aside)."""
        old, event = self.before(), self.events[-1][1]
        if isinstance(event, Arrived | Withdrawn):
            return self.best() != old.best()
        if isinstance(event, ManifestSet):
            now, then = self.manifest(), old.manifest()
            return then is None or (now is not None and _manifest_rank(now) > _manifest_rank(then))
        return isinstance(event, Closed) and self.closing() != old.closing()


def _manifest_rank(one: ManifestSet) -> tuple[int, tuple[int, ...], int, int]:
    reference = -1 if one.reference is None else one.reference
    deadline = -1 if one.deadline_ms is None else one.deadline_ms
    return (one.version, tuple(sorted(set(one.visits))), reference, deadline)


class _Twin:
    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.events: list[tuple[int, Event]] = []
        self.marks: list[_Mark] = []
        self.seals: list[Sealed | Reopened] = []
        self.sealed_at: int | None = None
        self.reopened_at: list[int] = []

    def refuses(self, at: int, event: Event) -> bool:
        """Tell whether an event goes to the dead letters."""
        if self.sealed_at is None or isinstance(event, Sealed | Suspected):
            return False
        over = at >= self.sealed_at + self.policy.seal_retention_ms
        return not isinstance(event, Reopened) or (over and self.outranks(event))

    def outranks(self, event: Sealed | Reopened) -> bool:
        """Tell whether a seal or reopening stands above all that came."""
        return all(_seal_rank(event) > _seal_rank(one) for one in self.seals)

    def take_seal(self, at: int, event: Sealed | Reopened) -> None:
        """Seal, or take that back."""
        if not self.outranks(event):
            return
        self.seals.append(event)
        if isinstance(event, Sealed) and self.sealed_at is None:
            self.mark(Trigger.SEALED, at)
            self.sealed_at = at
        elif isinstance(event, Reopened) and self.sealed_at is not None:
            self.sealed_at = None
            self.reopened_at.append(at)

    def seal_due(self) -> int | None:
        """Say when the group is sealed by itself: it was frozen, and waits for nothing."""
        frozen = [mark.froze.at for mark in self.marks if mark.froze is not None]
        if self.policy.seal_after_ms is None or self.sealed_at is not None or not frozen:
            return None
        if self.opened() is not None or self.changes() is not None:
            return None
        return max(frozen + self.reopened_at) + self.policy.seal_after_ms

    def newest(self) -> Revision | None:
        """Find the newest frozen revision."""
        return next((m.froze for m in reversed(self.marks) if m.froze is not None), None)

    def since_mark(self) -> Iterator[_View]:
        """Give the view after each event since the last mark."""
        start = self.marks[-1].seen if self.marks else 0
        for end in range(start + 1, len(self.events) + 1):
            yield _View(self.events[:end])

    def pending(self, view: _View) -> bool:
        """Tell whether a view differs from the newest revision."""
        newest = self.newest()
        if newest is None:
            return bool(view.eligible())
        return (view.eligible(), view.named()) != (newest.members, newest.named)

    def opened(self) -> int | None:
        """Say since when the group waits to be complete."""
        newest = self.newest()
        for view in self.since_mark():
            at, event = view.events[-1]
            if not view.accepts_last():
                continue
            if newest is None:
                return at
            short = len(newest.members) < self.policy.min_members
            if short and isinstance(event, Arrived | ManifestSet) and self.pending(view):
                return at
        return None

    def changes(self) -> tuple[int, int] | None:
        """Say when the pending changes began and when they last went on."""
        times: list[int] = []
        for view in self.since_mark():
            old = view.before()
            if (view.eligible(), view.named()) != (old.eligible(), old.named()):
                times = [*times, view.events[-1][0]] if self.pending(view) else []
        return (times[0], times[-1]) if times else None

    def quiet_since(self) -> int | None:
        """Say when the last accepted arrival came."""
        views = (_View(self.events[:end]) for end in range(len(self.events), 0, -1))
        return next(
            (
                view.events[-1][0]
                for view in views
                if isinstance(view.events[-1][1], Arrived) and view.accepts_last()
            ),
            None,
        )

    def dues(self, closing: bool) -> list[tuple[int, Trigger]]:
        """List the rules that hold, with the time at which they fire."""
        opened = self.opened()
        settled = self.settled()
        if opened is None:
            return [] if settled is None else [(settled, Trigger.UPDATE)]
        view = _View(self.events)
        visits, count, quiet = view.visits(), view.count(), self.quiet_since()
        found: list[tuple[int, Trigger]] = []
        if visits is not None and visits <= set(view.best()):
            found.append((opened, Trigger.MANIFEST))
        if visits is None and count is not None and len(view.best()) >= count:
            found.append((opened, Trigger.COUNT))
        if closing:
            found.append((opened, Trigger.CLOSED))
        elif view.closing() is not None and settled is not None:
            found.append((settled, Trigger.CLOSED))
        enough = len(view.eligible()) >= self.policy.quorum
        if visits is None and count is None and quiet is not None and enough:
            found += [(quiet + self.policy.quiet_ms, Trigger.QUIET)] if self.policy.quiet_ms else []
        return [*found, (self.deadline(view, opened), Trigger.DEADLINE)]

    def settled(self) -> int | None:
        """Say when the pending changes will have settled."""
        changes = self.changes()
        if changes is None:
            return None
        first, last = changes
        return min(last + self.policy.update_quiet_ms, first + self.policy.update_max_ms)

    def deadline(self, view: _View, opened: int) -> int:
        """Say when the deadline is."""
        manifest = view.manifest()
        if manifest is not None and manifest.deadline_ms is not None:
            own = view.told_at(manifest) + manifest.deadline_ms
            if own >= opened:
                return own
        return opened + self.policy.deadline_ms

    def fire_until(self, until: int, clock: int, closing: bool = False) -> None:
        """Fire what is due, one after the other."""
        while dues := [due for due in self.dues(closing) if due[0] <= until]:
            due, trigger = min(dues, key=lambda pair: pair[0])
            clock = max(due, clock)
            self.mark(trigger, clock)
            closing = False
        seal = self.seal_due()
        if seal is not None and seal <= until:
            self.sealed_at = max(seal, clock)

    def mark(self, trigger: Trigger, at: int) -> None:
        """Freeze what there is, or rest."""
        view, newest = _View(self.events), self.newest()
        visits, members = view.visits() or set(), view.eligible()
        missing = tuple(sorted(visits - set(view.best())))
        worth = bool(members or missing) if newest is None else self.pending(view)
        opened, changes = self.opened(), self.changes()
        since = opened if opened is not None else changes[0] if changes else at
        froze = Revision(trigger, members, missing, view.named(), since, at)
        self.marks.append(_Mark(len(self.events), froze if worth else None))


def _seal_rank(event: Sealed | Reopened) -> tuple[int, bool]:
    return event.version, isinstance(event, Reopened)


def tell(events: list[Timed], policy: Policy) -> Story:
    """Tell all of one group from its records, whose times do not go back."""
    twin, refused = _Twin(policy), list[int]()
    for number, (at, event) in enumerate(events):
        twin.fire_until(at, 0)
        if event is None:
            continue
        closes = False
        if twin.refuses(at, event):
            refused.append(number)
        elif isinstance(event, Sealed | Reopened):
            twin.take_seal(at, event)
        elif not isinstance(event, Suspected):
            twin.events.append((at, event))
            closes = isinstance(event, Closed) and _View(twin.events).accepts_last()
        twin.fire_until(at, at, closing=closes)
    revisions = [mark.froze for mark in twin.marks if mark.froze is not None]
    return Story(revisions, refused, twin.sealed_at, _View(twin.events).best())


def deaths(events: Sequence[Event], visit: int) -> dict[str, int]:
    """Count the deaths alone of the job that a visit's newest version is suspected of, if any."""
    counted: list[Suspected] = []
    for number, event in enumerate(events):
        view, old = (_View([(0, e) for e in events[:end]]) for end in (number + 1, number))
        now, before = view.best().get(visit), old.best().get(visit)
        if before is None or now is None or now.digest != before.digest:
            counted = []
        elif isinstance(event, Suspected) and event.visit == visit and isinstance(now, Arrived):
            counted += [event] if all(event.event_time > one.event_time for one in counted) else []
    if not counted:
        return {}
    job = counted[-1].job
    others = [place for place, one in enumerate(counted) if one.job != job]
    return {job: sum(one.alone for one in counted[max(others, default=-1) + 1 :])}
