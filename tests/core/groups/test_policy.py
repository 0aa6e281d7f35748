"""A policy that cannot be kept cannot be made."""

from __future__ import annotations

import pytest

from core.groups import Policy


@pytest.mark.parametrize(
    "name",
    ["quorum", "quiet_ms", "deadline_ms", "min_members", "update_quiet_ms", "update_max_ms"],
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


def test_quiet_can_be_off() -> None:
    """None switches the quiet rule off."""
    assert Policy(quiet_ms=None).quiet_ms is None
