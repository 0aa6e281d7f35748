"""Matching without pixels: every outcome follows from digests alone, as in the real one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from core.config import MatchConfig
from core.groups import (
    Failed,
    Frozen,
    Group,
    MatchThese,
    Measurement,
    MeasureThese,
    Pinned,
    Policy,
    Published,
    Ready,
    RefuseThese,
    Sent,
    given_up,
    next_work,
    pinned,
)

__all__ = ["Output", "measure", "model_of", "work_out"]

_CONFIG = MatchConfig(
    best_ref_weight_variance=1.0, best_ref_weight_level=0.0, best_ref_weight_coverage=0.0
)


@dataclass(frozen=True)
class Output:
    """A revision as it is published.

    Attributes
    ----------
    group : str
    frozen : Frozen
    reference : int or None
    pin : Pinned or None
        What the revision was to keep.
    costs : mapping of int to float
    entries : mapping of int to Sent
        What the summary says of each member, and of each visit that is gone.
    sent : tuple of int
        Visits whose models are sent with it.
    """

    group: str
    frozen: Frozen
    reference: int | None
    pin: Pinned | None
    costs: Mapping[int, float]
    entries: Mapping[int, Sent]
    sent: tuple[int, ...]


@dataclass(frozen=True)
class _Against:
    reference: int


@lru_cache(maxsize=4096)
def measure(digest: str) -> Measurement | Failed:
    """Return what is measured of a warp: one in eleven is unreadable, one in five elsewhere."""
    number = int.from_bytes(hashlib.sha256(digest.encode()).digest()[:4])
    if number % 11 == 0:
        return Failed("unreadable")
    return Measurement(1.0, 1.0 + number % 7, 100.0, (0, 0, 8, 8 if number % 5 else 9))


@lru_cache(maxsize=65536)
def model_of(reference: str | None, digest: str, status: str) -> Sent:
    """Return the model of a warp against a reference, both by their digests."""
    basis = hashlib.sha256(f"{reference}|{digest}|{status}".encode()).hexdigest()[:12]
    return Sent(basis, f"model-{basis}", status, "none")


def work_out(key: str, group: Group, policy: Policy) -> tuple[Published, Output]:
    """Work the first revision in the group's line through, and say what publishing it says."""
    frozen = group.frozen[min(group.frozen)]
    pin = pinned(group, policy)
    ready, status = _carry_out(frozen, _measured(frozen, group, policy), pin)
    digests = {member.visit: member.digest for member in frozen.members}
    against = None if ready.reference is None else digests[ready.reference]
    entries = {v: model_of(against, digest, status[v]) for v, digest in digests.items()}
    entries |= {visit: model_of(None, str(visit), "withdrawn") for visit in frozen.withdrawn}
    if frozen.incomplete:
        entries = {}
    sent = {v: one for v, one in entries.items() if group.members[v].sent != one}
    published = Published(0, frozen.revision, ready.reference, tuple(sent.items()))
    output = Output(key, frozen, ready.reference, pin, ready.costs, entries, tuple(sent))
    return published, output


def _measured(frozen: Frozen, group: Group, policy: Policy) -> dict[int, Measurement | Failed]:
    measured = {member.visit: measure(member.digest) for member in frozen.members}
    for old in frozen.members:
        member = group.members[old.visit]
        if member.digest == old.digest and given_up(member, policy):
            measured[old.visit] = Failed("given up")
    return measured


def _carry_out(
    frozen: Frozen, measured: dict[int, Measurement | Failed], pin: Pinned | None
) -> tuple[Ready, dict[int, str]]:
    """Do what the plan says until it is ready; say what became of each member."""
    matched: dict[int, _Against] = {}
    while not isinstance(work := next_work(frozen, measured, matched, _CONFIG, pin), Ready):
        match work:
            case MeasureThese():
                raise AssertionError("all members are measured")
            case RefuseThese():
                measured |= dict.fromkeys(work.boxes, Failed("elsewhere"))
            case MatchThese():
                matched |= dict.fromkeys(work.visits, _Against(work.reference))
    status = {member.visit: _status(measured[member.visit]) for member in frozen.members}
    if work.reference is not None:
        status[work.reference] = "reference"
    return work, status


def _status(one: Measurement | Failed) -> str:
    return "matched" if isinstance(one, Measurement) else f"failed, {one.reason}"
