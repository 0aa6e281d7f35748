"""When each trigger fires: functions of the header, the expected set and the policy alone.

A rule returns the stream time (ms) at or since which it fires, or None while it does not hold.
None of them looks at jobs, storage or a clock.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from core.groups.policy import Policy
from core.groups.values import Expected, Header

__all__ = [
    "Due",
    "Standing",
    "closed_due",
    "count_due",
    "deadline_due",
    "forget_due",
    "is_over",
    "manifest_due",
    "quiet_due",
    "seal_due",
    "sealed_due",
    "update_due",
]


class Standing(Struct, frozen=True, gc=False):
    """All that a rule may look at.

    `closing` while the closing itself is taken in; `sealing` is the stream time of a seal that
    is.
    """

    header: Header
    expected: Expected | None
    policy: Policy
    closing: bool = False
    sealing: int | None = None


Due = Callable[[Standing], int | None]


def manifest_due(now: Standing) -> int | None:
    """Fire when each visit of the expected set has arrived or is withdrawn."""
    if now.expected is None or now.header.accounted < len(now.expected.visits):
        return None
    return now.header.opened_at


def count_due(now: Standing) -> int | None:
    """Fire when as many visits were heard of as were expected; a set knows better."""
    count = now.header.count
    if now.expected is not None or count is None or now.header.heard < count:
        return None
    return now.header.opened_at


def closed_due(now: Standing) -> int | None:
    """Fire when upstream closes the group; what comes after that is gathered as an update is."""
    if now.closing:
        return now.header.opened_at
    return None if now.header.closed is None else update_due(now)


def quiet_due(now: Standing) -> int | None:
    """Fire when a quorum has had no arrival for `quiet_ms`; off while a set or count is known."""
    header, policy = now.header, now.policy
    if policy.quiet_ms is None or header.last_arrival is None:
        return None
    if now.expected is not None or header.count is not None or header.present < policy.quorum:
        return None
    return header.last_arrival + policy.quiet_ms


def deadline_due(now: Standing) -> int | None:
    """Fire at the manifest's own deadline, else `deadline_ms` after the first event.

    A manifest's deadline that had passed before the group opened again is spent.
    """
    opened, expected = now.header.opened_at, now.expected
    if opened is None:
        return None
    if expected is not None and expected.deadline_ms is not None:
        own = expected.at + expected.deadline_ms
        if own >= opened:
            return own
    return opened + now.policy.deadline_ms


def update_due(now: Standing) -> int | None:
    """Fire `update_quiet_ms` after the last change, at most `update_max_ms` after the first."""
    header, policy = now.header, now.policy
    if header.first_change is None or header.last_change is None:
        return None
    quiet = header.last_change + policy.update_quiet_ms
    return min(quiet, header.first_change + policy.update_max_ms)


def sealed_due(now: Standing) -> int | None:
    """Fire when the group is sealed: what is pending is frozen first."""
    return now.sealing


def seal_due(now: Standing) -> int | None:
    """Seal `seal_after_ms` after the newest freeze or reopening, unless something is pending.

    Whether the newest revision is published does not matter: that must not decide what is refused.
    """
    header, after = now.header, now.policy.seal_after_ms
    if after is None or header.settled_at is None or header.frozen == 0:
        return None
    if header.sealed_at is not None or header.opened_at is not None:
        return None
    return header.settled_at + after if header.first_change is None else None


def forget_due(now: Standing) -> int | None:
    """Forget `seal_retention_ms` after the seal, once nothing is due."""
    header = now.header
    if header.sealed_at is None or header.forgotten or header.frozen > header.published:
        return None
    return header.sealed_at + now.policy.seal_retention_ms


def is_over(header: Header, policy: Policy, at: int) -> bool:
    """Tell whether a seal cannot be taken back any more, forgotten or not.

    Stream time decides, since what is forgotten hangs on what is published.
    """
    if header.sealed_at is None:
        return False
    return header.forgotten or at >= header.sealed_at + policy.seal_retention_ms
