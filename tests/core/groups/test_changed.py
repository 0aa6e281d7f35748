"""Values are changed quickly, and stay what they are."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import groups
from core.groups.changed import replace

NUMBERS = st.none() | st.integers(0, 2**60)
HEADERS = st.builds(groups.Header, opened_at=NUMBERS, heard=st.integers(), settled_at=NUMBERS)
CHANGES = st.fixed_dictionaries(
    {}, optional={"opened_at": NUMBERS, "forgotten": st.booleans(), "count": NUMBERS}
)


@given(HEADERS, CHANGES)
def test_changed_is_what_dataclasses_say(header: groups.Header, changes: dict[str, Any]) -> None:
    """A value with changes is the one that `dataclasses.replace` makes."""
    assert replace(header, **changes) == dataclasses.replace(header, **changes)


def test_a_value_is_checked_again() -> None:
    """A change that the class refuses is refused; a field that is none is an error."""
    with pytest.raises(ValueError, match="quorum"):
        replace(groups.Policy(), quorum=0)
    with pytest.raises((KeyError, TypeError)):
        replace(groups.Policy(), quorom=1)  # type: ignore[call-arg]  # the law itself


def test_every_value_can_be_changed_so() -> None:
    """All fields of our values are arguments in their order, which changing relies on."""
    kinds = (getattr(groups, name) for name in groups.__all__)
    for kind in filter(dataclasses.is_dataclass, kinds):
        fields = dataclasses.fields(kind)
        assert all(field.init and not field.kw_only for field in fields), kind
