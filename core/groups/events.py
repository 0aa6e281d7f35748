"""What can happen to a group; each event carries the stream time `at` (ms) at which it happens."""

from __future__ import annotations

from dataclasses import dataclass

from core.groups.values import Measurement

__all__ = [
    "Arrived",
    "Closed",
    "Event",
    "ManifestSet",
    "Measured",
    "Published",
    "TimerFired",
    "Withdrawn",
]


@dataclass(frozen=True, slots=True)
class Arrived:
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


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A visit is taken back, or will never come."""

    at: int
    visit: int
    version: int
    event_time: int
    digest: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class ManifestSet:
    """The exact set of visits expected; `deadline_ms` counts from the manifest."""

    at: int
    version: int
    visits: tuple[int, ...]
    reference: int | None = None
    deadline_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """Upstream says that the group is whole as it is."""

    at: int
    version: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The group's own timer is due."""

    at: int


@dataclass(frozen=True, slots=True)
class Measured:
    """From inside: the warp with this digest was measured."""

    at: int
    visit: int
    digest: str
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class Published:
    """From inside: this revision is published; part of the publishing transaction."""

    at: int
    revision: int
    reference: int | None


Event = Arrived | Withdrawn | ManifestSet | Closed | TimerFired | Measured | Published
