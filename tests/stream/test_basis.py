"""What a model follows from, named; and why a reference is another."""

from __future__ import annotations

import dataclasses
from itertools import product

import pytest

import core
from core import groups
from stream.basis import Basis, Past
from stream.references import ReferenceCause, cause_of_change
from tests.stream.night import CONFIG

SURVEY = core.VerdictProfile.SURVEY
LIMITS = core.VerdictLimits()


def member(visit: int, digest: str) -> groups.FrozenMember:
    """Return a member as it was frozen."""
    return groups.FrozenMember(visit, digest, b"")


def basis_of(
    config: core.MatchConfig = CONFIG,
    profile: core.VerdictProfile = SURVEY,
    limits: core.VerdictLimits = LIMITS,
) -> str:
    """Return the basis of one match under some rules."""
    return Basis(config, profile, limits).of(member(2, "b"), member(1, "a"))


def test_each_input_has_its_part() -> None:
    """Another warp, another reference, either under another visit, or none at all: all differ."""
    basis = Basis(CONFIG, SURVEY, LIMITS)
    warps = [None, *(member(v, d) for v, d in product((1, 2), "ab"))]
    names = {(warp, one): basis.of(warp, one) for warp, one in product(warps, warps)}
    assert len(set(names.values())) == len(names)
    assert all(len(name) == 32 for name in names.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"config": dataclasses.replace(CONFIG, bin_size=32)},
        {"profile": core.VerdictProfile.LSST2017},
        {"limits": dataclasses.replace(LIMITS, coverage=0.21)},
        {"limits": dataclasses.replace(LIMITS, flags=())},
    ],
)
def test_each_rule_has_its_part(changes: dict[str, object]) -> None:
    """What is computed or judged in another way is not what was sent."""
    assert basis_of(**changes) != basis_of()  # type: ignore[arg-type]  # by name


def test_the_arithmetic_has_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade of the numerics a group's next revision is computed whole."""
    before = basis_of()
    monkeypatch.setattr(core, "NUMERICS_VERSION", "another")
    assert basis_of() != before


def test_where_a_warp_lies_has_none() -> None:
    """Its bytes' name is enough: a file that moved is the same warp."""
    basis = Basis(CONFIG, SURVEY, LIMITS)
    moved = groups.FrozenMember(2, "b", b"elsewhere")
    assert basis.of(moved, member(1, "a")) == basis.of(member(2, "b"), member(1, "a"))


@pytest.mark.parametrize(
    ("status", "basis", "kept"),
    [
        ("matched", "x", True),
        ("matched", "y", False),
        ("failed", "x", False),
        ("no_overlap", "x", True),
    ],
)
def test_what_stands(status: str, basis: str, kept: bool) -> None:
    """What was sent stands if nothing that it follows from changed, unless it is a failure."""
    sent = groups.Sent("x", "id", status, "accept")
    past = Past(sent={3: sent})
    assert (past.kept(3, basis) == sent) == kept
    assert past.kept(4, basis) is None


def test_nothing_stands_of_nothing() -> None:
    """Where nothing was published nothing is spared."""
    past = Past()
    assert past.kept(3, past.basis(3, 1)) is None


# -- references ------------------------------------------------------------------------------------

VISITS = (1, 2, 3)
MEASURED = groups.Measurement(1.0, 1.0, 1.0)


def frozen(named: int | None, revision: int = 2) -> groups.Frozen:
    """Return a revision of three visits, whose digests are their numbers."""
    return groups.Frozen(
        revision,
        groups.Kind.UPDATE,
        groups.Trigger.UPDATE,
        tuple(member(visit, str(visit)) for visit in VISITS),
        (),
        (),
        None,
        1.0,
        incomplete=False,
        reference=named,
        since=0,
        at=0,
    )


@pytest.mark.parametrize(
    ("past", "now", "named", "lost", "cause"),
    [
        (Past(1, "1"), 1, None, (), None),
        (Past(1), 1, None, (), None),
        (Past(), None, None, (), None),
        (Past(), 1, None, (), ReferenceCause.NONE_BEFORE),
        (Past(9, "9"), 1, None, (), ReferenceCause.WITHDRAWN),
        (Past(9, "9"), None, None, VISITS, ReferenceCause.WITHDRAWN),
        (Past(1, "0"), 2, None, (), ReferenceCause.REPLACED),
        (Past(1, "0"), 1, 1, (), ReferenceCause.REPLACED),
        (Past(1, "1"), 2, 2, (1,), ReferenceCause.UNREADABLE),
        (Past(1, "1"), 2, 2, (), ReferenceCause.MANIFEST),
        (Past(1, "1"), 2, None, (), ReferenceCause.COST),
        (Past(1, "1"), 2, 3, (3,), ReferenceCause.COST),
    ],
)
def test_each_cause(
    past: Past,
    now: int | None,
    named: int | None,
    lost: tuple[int, ...],
    cause: ReferenceCause | None,
) -> None:
    """What makes it impossible to stay goes before what makes another better."""
    measured = {v: groups.Failed("gone") if v in lost else MEASURED for v in VISITS}
    assert cause_of_change(frozen(named), past, now, measured) is cause
    assert cause_of_change(frozen(named, revision=1), past, now, measured) is None
