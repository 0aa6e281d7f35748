"""The steps of a simulation as data: what is drawn, recorded, minimised and pasted into a test."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from core.groups import (
    Arrived,
    Closed,
    Event,
    ManifestSet,
    Policy,
    Reopened,
    Sealed,
    Suspected,
    Withdrawn,
)

__all__ = ["GROUPS", "OWNERS", "PARTITIONS", "POLICIES", "VISITS", "Step", "draw", "event_of"]

PARTITIONS, OWNERS, GROUPS, VISITS = 2, 3, 6, 8

_BASE = Policy(
    quorum=3,
    quiet_ms=60,
    deadline_ms=400,
    update_quiet_ms=20,
    update_max_ms=60,
    max_attempts=2,
    seal_retention_ms=1500,
)


@dataclass(frozen=True, repr=False)
class Step:
    """One step, written as it is built, without what is not said.

    Attributes
    ----------
    kind : str
        A message that is appended to the input, or something that an owner does or suffers.
    wait : int
        Time that passes before it, ms; a negative one stamps the record so much too early.
    group, visit, version : int
        Of a message.
    number : int
        Of a message what else it says; of anything else which one of several it means.
    owner : int
        The one whose the partition is, or one of the others, who may believe that it is theirs.
    how : str
        How a commit ends: well (empty), ``lost``, or applied with an ``unknown`` outcome.
    """

    kind: str
    wait: int = 0
    group: int = 0
    visit: int = 0
    version: int = 0
    number: int = 0
    owner: int = 0
    how: str = ""

    def __repr__(self) -> str:
        said = ((one.name, getattr(self, one.name), one.default) for one in fields(self))
        words = (f"{name}={json.dumps(is_)}" for name, is_, default in said if is_ != default)
        return f"Step({', '.join(words)})"


def _policy(**changes: Any) -> Policy:
    return Policy(**({name: getattr(_BASE, name) for name in _BASE.__slots__} | changes))


POLICIES: MappingProxyType[str, Policy] = MappingProxyType(
    {
        "plain": _BASE,
        "unpinned": _policy(reference_margin=0.0, min_members=3, quiet_ms=None),
        "sealing": _policy(seal_after_ms=1500, seal_retention_ms=900),
        "hasty": _policy(seal_after_ms=700, reference_margin=float("inf"), update_max_ms=20),
    }
)


def _arrived(step: Step) -> Event:
    """Make an arrival; its `number` says whether it is a warp of old, and whether it counts."""
    content = 0 if step.number in _OF_OLD else step.version
    digest = f"g{step.group}-{step.visit}-{content}"
    expected = 1 + step.visit if step.number in _COUNTING else None
    return Arrived(0, step.visit, step.version, step.number, digest, digest.encode(), expected)


_COUNTING, _OF_OLD = {2}, {3}


def _withdrawn(step: Step) -> Event:
    digest = f"gone-{step.visit}-{step.version}"
    return Withdrawn(0, step.visit, step.version, 5 * step.number, digest, b"")


def _manifest(step: Step) -> Event:
    """Make a manifest of the visits whose bits are set in `number`."""
    visits = tuple(visit for visit in range(VISITS) if step.number >> visit & 1)
    reference = step.visit if step.number & 1 else None
    deadline = 100 if step.number & 2 and step.visit & 4 else None
    return ManifestSet(0, step.version, visits, reference, deadline)


def _suspected(step: Step) -> Event:
    return Suspected(0, step.visit, f"job-{step.number // 3}", step.number > 0, step.version)


_EVENTS: MappingProxyType[str, Callable[[Step], Event]] = MappingProxyType(
    {
        "arrived": _arrived,
        "withdrawn": _withdrawn,
        "manifest": _manifest,
        "closed": lambda step: Closed(0, step.version),
        "sealed": lambda step: Sealed(0, step.version),
        "reopened": lambda step: Reopened(0, step.version),
        "suspected": _suspected,
    }
)


def event_of(step: Step) -> Event | None:
    """Return the event that a step's message carries; None is a dead record, or no message."""
    make = _EVENTS.get(step.kind)
    return None if make is None else make(step)


_MESSAGES = MappingProxyType(
    {
        "arrived": 60,
        "withdrawn": 8,
        "manifest": 6,
        "closed": 2,
        "sealed": 1,
        "reopened": 4,
        "suspected": 8,
        "poison": 2,
        "again": 8,
    }
)
_DEEDS = MappingProxyType(
    {
        "read": 50,
        "work": 10,
        "publish": 26,
        "measure": 6,
        "tick": 12,
        "crash": 2,
        "rebalance": 3,
        "compact": 1,
    }
)
_ALL = MappingProxyType({**_MESSAGES, **_DEEDS})
_ENDINGS = MappingProxyType({"": 94, "lost": 3, "unknown": 3})
_SOON: tuple[int, ...] = (0, 0, 0, 0, 0, 1, 1, 2, 3, 5, 8, 13, 19, 20, 21)
_WAITS: tuple[int, ...] = (*_SOON * 25, -30, 200, 400, 1000)
_PATIENCE: Sequence[int] = (0, 20, 60, 200)


def draw(chance: random.Random) -> Step:
    """Draw a step; it means something in whatever state it falls."""
    kind = _one_of(chance, _ALL)
    if kind in _MESSAGES:
        return _message(chance, kind)
    return Step(
        kind,
        wait=chance.choice(_PATIENCE if kind == "tick" else _WAITS),
        number=chance.randrange(64),
        owner=chance.choice((0, 0, 0, 1, 2)),
        how=_one_of(chance, _ENDINGS),
    )


def _message(chance: random.Random, kind: str) -> Step:
    wide = kind in {"manifest", "again"}
    versions = _FEW if kind in {"arrived", "withdrawn"} else _MANY
    return Step(
        kind,
        wait=chance.choice(_WAITS),
        group=chance.randrange(GROUPS),
        visit=chance.randrange(VISITS),
        version=chance.choice(versions),
        number=chance.randrange(1 << VISITS if wide else 4),
    )


_FEW: Sequence[int] = (0, 0, 0, 0, 1, 1, 2, 3)
_MANY: Sequence[int] = range(40)


def _one_of(chance: random.Random, weights: MappingProxyType[str, int]) -> str:
    return chance.choices(tuple(weights), tuple(weights.values()))[0]
