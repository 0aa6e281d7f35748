"""Events, states and findings of a night that nobody has observed, as many as one likes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

import core
import schemas
from core import groups
from stream import jobs
from stream.changelog import puts
from stream.workshop import Due, Fulfilled, Tried

__all__ = ["Instant", "arrived", "event", "group_id", "member", "night", "state"]

_BINS = 17
_SIDE = 4200


def group_id(number: int) -> schemas.GroupId:
    """Return a group of its own for each number."""
    return schemas.GroupId("live", "rings_v1", number // 100, number % 100, "r")


def arrived(group: int, visit: int) -> schemas.WarpArrived:
    """Return the arrival of a visit in a group."""
    where = group_id(group)
    return schemas.WarpArrived(
        **where.fields,
        visit=visit,
        uri=f"/data/warps/{where.key}/{visit}.fits",
        checksum=f"{group * 100_000 + visit:064x}",
        size=70_000_000,
        unit="nJy",
        sky="intact",
        scale=1.0625,
    )


def night(groups_: int, members: int, *, manifests: bool = False) -> Iterator[schemas.Message]:
    """Yield arrivals visit by visit over all groups, as a survey observes.

    Parameters
    ----------
    groups_, members : int
        How many groups, and warps in each.
    manifests : bool
        Whether each group is told its exact set first, so that it is complete with its last warp.
    """
    for number in range(groups_ if manifests else 0):
        visits = tuple(range(members))
        yield schemas.GroupManifest(**group_id(number).fields, visits=visits)
    for visit in range(members):
        for number in range(groups_):
            yield arrived(number, visit)


def event(group: int, visit: int, at: int) -> groups.Arrived:
    """Return what the state machine is told of an arrival."""
    warp = arrived(group, visit)
    digest = schemas.arrival_digest(warp)
    return groups.Arrived(at, visit, 0, at * 1000, digest, schemas.pack_payload(warp))


def member(group: int, visit: int) -> groups.Member:
    """Return a member as it is when it was measured, frozen and published."""
    one = event(group, visit, 1_790_000_000_000)
    return groups.Member(
        visit=visit,
        version=0,
        event_time=one.event_time,
        digest=one.digest,
        withdrawn=False,
        payload=one.payload,
        measurement=groups.Measurement(100.0 + visit, 4.0, 1.5e7),
        at=one.at,
        frozen=one.digest,
        sent=groups.Sent(f"{visit:032x}", f"{group:064x}", "matched", "accept"),
    )


def state(groups_: int, members: int) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the changelog of published groups: a header and some members for each."""
    header = groups.Header(
        heard=members, present=members, frozen=1, published=1, size=members, reference=0
    )
    for number in range(groups_):
        many = tuple(member(number, visit) for visit in range(members))
        whole = groups.Transition(groups.Outcome.ACCEPTED, header=header, members=many)
        yield from puts(group_id(number).key, whole)


class Instant:
    """A workshop that has found out everything before it was asked."""

    async def fulfil(self, due: Due, *_: object, **__: object) -> Fulfilled:
        """Return findings for a frozen revision."""
        visits = [member.visit for member in due.frozen.members]
        reference, *others = visits
        measurement = groups.Measurement(100.0, 4.0, 1.5e7)
        return Fulfilled(
            reference=reference,
            costs=dict.fromkeys(visits, 1.0),
            measured=dict.fromkeys(visits, measurement),
            matched={visit: Tried(reference, replace(_MATCHED, visit=visit)) for visit in others},
        )

    def store_of(self, *_: object) -> str:
        """Say that all warps lie in one place."""
        return "here"

    def away(self) -> tuple[str, ...]:
        """Wait for no storage."""
        return ()

    async def close(self) -> None:
        """Have nothing to end."""


def _matched() -> jobs.Matched:
    grid = np.linspace(0, 1, _BINS * _BINS, dtype=np.float32).reshape(_BINS, _BINS)
    counts = np.full(grid.shape, 60_000, np.int32)
    fitted = core.SplineBackground(
        values=grid,
        errors=grid / np.float32(100),
        counts=counts,
        width=_SIDE,
        height=_SIDE,
        interp_style=core.InterpStyle.AKIMA_SPLINE,
        undersample_style=core.UndersampleStyle.REDUCE_INTERP_ORDER,
    )
    return jobs.Matched(0, fitted, 0.1, 8.0, 8.0, (0, 0), "matched", None)


_MATCHED = _matched()
