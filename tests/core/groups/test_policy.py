"""A policy that cannot be kept cannot be made."""

from __future__ import annotations

import math

import pytest

from core.groups import Policy


@pytest.mark.parametrize(
    "name",
    [
        "quorum",
        "quiet_ms",
        "deadline_ms",
        "min_members",
        "update_quiet_ms",
        "update_max_ms",
        "max_attempts",
        "seal_after_ms",
        "seal_retention_ms",
    ],
)
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_impossible_limit_is_refused_by_its_name(name: str, value: object) -> None:
    """A limit that is no positive integer is refused, and the message names it."""
    with pytest.raises(ValueError, match=name):
        Policy(**{name: value})  # type: ignore[arg-type]  # the point of the test


def test_update_max_must_not_be_below_update_quiet() -> None:
    """The longest wait cannot be shorter than the shortest."""
    with pytest.raises(ValueError, match="update_max_ms"):
        Policy(update_quiet_ms=100, update_max_ms=99)


@pytest.mark.parametrize("margin", [-0.1, math.nan])
def test_margin_must_be_a_number_that_is_not_negative(margin: float) -> None:
    """No margin at all is 0, an endless one is infinite, and there is nothing beside."""
    with pytest.raises(ValueError, match="reference_margin"):
        Policy(reference_margin=margin)


def test_quiet_and_sealing_can_be_off() -> None:
    """None switches the quiet rule off, and sealing by policy, which is off to begin with."""
    assert Policy(quiet_ms=None).quiet_ms is None
    assert Policy().seal_after_ms is None
