"""What the input log alone says, told plainly: no counters, no heap, no table, no fold of puts.

It shares no code with the state machine but its values. The tests' twin answers each question
from the list of all events; this one remembers what stands, so that a million steps can be judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from core.groups import (
    Arrived,
    Closed,
    Event,
    ManifestSet,
    Policy,
    Reopened,
    Sealed,
    Suspected,
    Suspicion,
    Trigger,
    Withdrawn,
)
from core.groups.changed import replace

__all__ = ["Oracle", "PlainGroup", "PlainRevision"]

_Told = Arrived | Withdrawn
_View = tuple[dict[int, str], int | None]


@dataclass(frozen=True)
class PlainRevision:
    """What was frozen."""

    trigger: Trigger
    members: dict[int, str]
    missing: tuple[int, ...]
    named: int | None
    since: int
    at: int


def _rank(event: _Told) -> tuple[int, int, bool, str, bytes]:
    gone = isinstance(event, Withdrawn)
    return (event.version, event.event_time, gone, event.digest, event.payload)


def _manifest_rank(one: ManifestSet) -> tuple[int, list[int], int, int]:
    reference = -1 if one.reference is None else one.reference
    deadline = -1 if one.deadline_ms is None else one.deadline_ms
    return (one.version, sorted(set(one.visits)), reference, deadline)


@dataclass
class PlainGroup:
    """One group: what stands of its events, and its marks."""

    policy: Policy
    best: dict[int, _Told] = field(default_factory=dict)
    digests: set[str] = field(default_factory=set)
    manifest: ManifestSet | None = None
    count: int | None = None
    closing: int | None = None
    seal: tuple[int, bool] | None = None
    sealed_at: int | None = None
    settled_at: int | None = None
    opened: int | None = None
    changes: tuple[int, int] | None = None
    arrival: int | None = None
    suspicions: dict[int, Suspicion] = field(default_factory=dict)
    revisions: list[PlainRevision] = field(default_factory=list)

    # -- what stands -------------------------------------------------------------------------------

    def view(self) -> _View:
        """Say what would be frozen, and under which named reference."""
        visits = None if self.manifest is None else set(self.manifest.visits)
        held = {
            visit: event.digest
            for visit, event in self.best.items()
            if isinstance(event, Arrived) and (visits is None or visit in visits)
        }
        named = None if self.manifest is None else self.manifest.reference
        return held, named if named in held else None

    def pending(self, view: _View) -> bool:
        """Tell whether a view differs from the newest revision."""
        if not self.revisions:
            return bool(view[0])
        newest = self.revisions[-1]
        return view != (newest.members, newest.named)

    def missing(self) -> tuple[int, ...]:
        """Name the expected visits that were never heard of."""
        expected = () if self.manifest is None else self.manifest.visits
        return tuple(sorted(set(expected) - set(self.best)))

    # -- events ------------------------------------------------------------------------------------

    def take(self, at: int, event: Event) -> bool:
        """Let an event happen; tell whether it may, or is refused."""
        if isinstance(event, Sealed | Reopened):
            return self._take_seal(at, event)
        if isinstance(event, Suspected):
            self._suspect(event)
            return True
        if self.sealed_at is not None:
            return False
        old, news = self.view(), self._note(at, event)
        self._follow(at, event, old, news=news)
        self.fire(at, closing=news and isinstance(event, Closed))
        return True

    def _suspect(self, event: Suspected) -> None:
        """Count the deaths of a job that ran alone."""
        known = self.suspicions.get(event.visit)
        known_later = known is not None and event.event_time <= known.last
        if known_later or not isinstance(self.best.get(event.visit), Arrived):
            return
        same = known is not None and known.job == event.job
        deaths = (known.deaths if known is not None and same else 0) + event.alone
        self.suspicions[event.visit] = Suspicion(event.job, deaths, event.event_time)

    def _note(self, at: int, event: Event) -> bool:
        """Keep what an event says; tell whether it says anything new of the members or sets."""
        match event:
            case Arrived() | Withdrawn():
                return self._note_member(at, event)
            case ManifestSet():
                known = self.manifest
                if known is not None and _manifest_rank(event) <= _manifest_rank(known):
                    return False
                self.manifest = replace(event, at=at)
                return True
            case Closed():
                if self.closing is not None and event.version <= self.closing:
                    return False
                self.closing = event.version
                return True
        return False

    def _note_member(self, at: int, event: _Told) -> bool:
        if isinstance(event, Arrived):
            self.digests.add(event.digest)
            told = [number for number in (self.count, event.expected) if number is not None]
            self.count = max(told, default=None)
        known = self.best.get(event.visit)
        if known is not None and _rank(event) <= _rank(known):
            return False
        if known is None or known.digest != event.digest:
            self.suspicions.pop(event.visit, None)
        self.best[event.visit] = event
        self.arrival = at if isinstance(event, Arrived) else self.arrival
        return True

    def _follow(self, at: int, event: Event, old: _View, *, news: bool) -> None:
        """Open if something new comes, and keep when changes began and went on."""
        view = self.view()
        if view != old:
            began = at if self.changes is None else self.changes[0]
            self.changes = (began, at) if self.pending(view) else None
        if self.opened is not None or not news:
            return
        if not self.revisions:
            self.opened = at
        elif isinstance(event, Arrived | ManifestSet) and self.pending(view):
            short = len(self.revisions[-1].members) < self.policy.min_members
            self.opened = at if short else None

    def _take_seal(self, at: int, event: Sealed | Reopened) -> bool:
        rank = (event.version, isinstance(event, Reopened))
        if self.seal is not None and rank <= self.seal:
            return True
        over = None if self.sealed_at is None else self.sealed_at + self.policy.seal_retention_ms
        if isinstance(event, Reopened) and over is not None and at >= over:
            return False
        self.seal = rank
        if isinstance(event, Reopened):
            self.settled_at = self.settled_at if self.sealed_at is None else at
            self.sealed_at = None
        elif self.sealed_at is None:
            self._freeze(Trigger.SEALED, at)
            self.sealed_at = at
        return True

    # -- time --------------------------------------------------------------------------------------

    def dues(self, *, closing: bool = False) -> Iterator[tuple[int, Trigger]]:
        """List the rules that hold, in their order, with the time at which each fires."""
        settled = self._settled()
        if self.opened is None:
            if settled is not None:
                yield settled, Trigger.UPDATE
            return
        if self.manifest is not None and not self.missing():
            yield self.opened, Trigger.MANIFEST
        if self.manifest is None and self.count is not None and len(self.best) >= self.count:
            yield self.opened, Trigger.COUNT
        if closing:
            yield self.opened, Trigger.CLOSED
        elif self.closing is not None and settled is not None:
            yield settled, Trigger.CLOSED
        if (quiet := self._quiet()) is not None:
            yield quiet, Trigger.QUIET
        yield self._deadline(self.opened), Trigger.DEADLINE

    def _settled(self) -> int | None:
        if self.changes is None:
            return None
        first, last = self.changes
        return min(last + self.policy.update_quiet_ms, first + self.policy.update_max_ms)

    def _quiet(self) -> int | None:
        known = self.manifest is not None or self.count is not None
        if self.policy.quiet_ms is None or known or self.arrival is None:
            return None
        enough = len(self.view()[0]) >= self.policy.quorum
        return self.arrival + self.policy.quiet_ms if enough else None

    def _deadline(self, opened: int) -> int:
        if self.manifest is not None and self.manifest.deadline_ms is not None:
            own = self.manifest.at + self.manifest.deadline_ms
            if own >= opened:
                return own
        return opened + self.policy.deadline_ms

    def _seal_due(self) -> int | None:
        if self.policy.seal_after_ms is None or self.sealed_at is not None:
            return None
        if self.settled_at is None or self.opened is not None or self.changes is not None:
            return None
        return self.settled_at + self.policy.seal_after_ms if self.revisions else None

    def due(self) -> int | None:
        """Say when something happens by itself."""
        times = [at for at, _ in self.dues()]
        seal = self._seal_due()
        return min(times if seal is None else [*times, seal], default=None)

    def fire(self, at: int, *, closing: bool = False) -> None:
        """Let everything happen that is due."""
        while found := [due for due in self.dues(closing=closing) if due[0] <= at]:
            self._freeze(min(found, key=lambda due: due[0])[1], at)
            closing = False
        seal = self._seal_due()
        if seal is not None and seal <= at:
            self.sealed_at = at

    def _freeze(self, trigger: Trigger, at: int) -> None:
        """Freeze what there is, or rest."""
        members, named = view = self.view()
        missing = self.missing()
        worth = self.pending(view) or (not self.revisions and bool(missing))
        began = self.opened
        if began is None:
            began = at if self.changes is None else self.changes[0]
        self.opened = self.changes = None
        if worth:
            self.revisions.append(PlainRevision(trigger, members, missing, named, began, at))
            self.settled_at = at


@dataclass
class Oracle:
    """The groups of one partition, read to wherever its owners have committed."""

    policy: Policy
    clock: int = 0
    place: int = 0
    groups: dict[str, PlainGroup] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)

    def read(self, stamp: int, key: str, event: Event | None, *, poison: bool) -> None:
        """Read the record at the place."""
        until = max(self.clock, stamp)
        while (first := self._first_due(until)) is not None:
            due, group = first
            self.clock = max(self.clock, due)
            self.groups[group].fire(self.clock)
        self.clock = until
        if poison or (event is not None and not self._take(key, event)):
            self.dead.add(self.place)
        self.place += 1

    def _first_due(self, until: int) -> tuple[int, str] | None:
        dues = [(due, key) for key, one in self.groups.items() if (due := one.due()) is not None]
        first = min(dues, default=None)
        return first if first is not None and first[0] <= until else None

    def _take(self, key: str, event: Event) -> bool:
        return self.groups.setdefault(key, PlainGroup(self.policy)).take(self.clock, event)
