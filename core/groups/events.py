"""What can happen to a group; each event carries the stream time `at` (ms) at which it happens."""

from __future__ import annotations

from msgspec import Struct

from core.groups.values import Measurement, Sent

__all__ = [
    "Arrived",
    "Closed",
    "Event",
    "ManifestSet",
    "Measured",
    "Published",
    "Reopened",
    "Sealed",
    "Suspected",
    "TimerFired",
    "Withdrawn",
]


class Arrived(Struct, frozen=True, gc=False):
    """A warp of a visit can be read.

    `event_time` (microseconds) and `digest` order the versions of a visit and tell whether it
    changed; `expected`, if given, is the number of visits that the sender expects in the group.
    """

    at: int
    visit: int
    version: int
    event_time: int
    digest: str
    payload: bytes
    expected: int | None = None


class Withdrawn(Struct, frozen=True, gc=False):
    """A visit is taken back, or will never come."""

    at: int
    visit: int
    version: int
    event_time: int
    digest: str
    payload: bytes


class ManifestSet(Struct, frozen=True, gc=False):
    """The exact set of visits expected; `deadline_ms` counts from the manifest."""

    at: int
    version: int
    visits: tuple[int, ...]
    reference: int | None = None
    deadline_ms: int | None = None


class Closed(Struct, frozen=True, gc=False):
    """Upstream says that the group is whole as it is."""

    at: int
    version: int


class Sealed(Struct, frozen=True, gc=False):
    """The group's history ends here: what is pending is frozen, what comes later is refused."""

    at: int
    version: int


class Reopened(Struct, frozen=True, gc=False):
    """A seal is taken back."""

    at: int
    version: int


class Suspected(Struct, frozen=True, gc=False):
    """A process died while a job on this visit ran in it; `alone` if nothing ran beside it.

    `event_time` (microseconds) names the death: a report on the visit that is not later than the
    newest one was counted.
    """

    at: int
    visit: int
    job: str
    alone: bool
    event_time: int


class TimerFired(Struct, frozen=True, gc=False):
    """The group's own timer is due."""

    at: int


class Measured(Struct, frozen=True, gc=False):
    """From inside: the warp with this digest was measured."""

    at: int
    visit: int
    digest: str
    measurement: Measurement


class Published(Struct, frozen=True, gc=False):
    """From inside: this revision is published; part of the publishing transaction.

    `sent` has, by visit, what was published of it in this revision; visits whose model was not
    sent again are not in it.
    """

    at: int
    revision: int
    reference: int | None
    sent: tuple[tuple[int, Sent], ...] = ()


Event = (
    Arrived
    | Withdrawn
    | ManifestSet
    | Closed
    | Sealed
    | Reopened
    | Suspected
    | TimerFired
    | Measured
    | Published
)
