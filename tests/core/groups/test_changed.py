"""Values are changed quickly, and stay what they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import asdict

from core import groups
from core.groups.changed import replace

NUMBERS = st.none() | st.integers(0, 2**60)
HEADERS = st.builds(groups.Header, opened_at=NUMBERS, heard=st.integers(), settled_at=NUMBERS)
CHANGES = st.fixed_dictionaries(
    {}, optional={"opened_at": NUMBERS, "forgotten": st.booleans(), "count": NUMBERS}
)
VALUES = sorted(
    (kind for kind in vars(groups).values() if isinstance(kind, type) and issubclass(kind, Struct)),
    key=lambda kind: kind.__name__,
)


@given(HEADERS, CHANGES)
def test_changed_is_what_its_fields_make(header: groups.Header, changes: dict[str, Any]) -> None:
    """A value with changes is the one made of its fields and of them; it is left as it was."""
    before = asdict(header)
    assert replace(header, **changes) == groups.Header(**(before | changes))
    assert asdict(header) == before


def test_a_field_that_is_none_is_refused() -> None:
    """A change of what a value does not have is an error."""
    with pytest.raises(TypeError, match="heart"):
        replace(groups.Header(), heart=1)  # type: ignore[call-arg]  # the law itself


@pytest.mark.parametrize("kind", VALUES)
def test_the_collector_of_cycles_looks_at_no_value(kind: type[Struct]) -> None:
    """A million values cost the collector nothing; all but a group, which is held, are frozen."""
    config = kind.__struct_config__
    assert not config.gc
    assert config.frozen == (kind is not groups.Group)
