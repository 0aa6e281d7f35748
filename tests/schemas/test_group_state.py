"""The group's state, as `core` defines it, survives the changelog."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from core import groups
from schemas import pack_state, unpack_state

STORED = [groups.Member, groups.Expected, groups.Header, groups.Frozen]

SIMPLE: dict[object, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    str: st.text(max_size=8),
    bytes: st.binary(max_size=8),
    bool: st.booleans(),
    type(None): st.none(),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for a field's type."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    if isinstance(kind, type) and issubclass(kind, Struct):
        return instances_of(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    return _generic(typing.get_origin(kind), typing.get_args(kind))


def _generic(origin: Any, inner: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if origin in {types.UnionType, typing.Union}:
        return st.one_of([values_of(each) for each in inner])
    if origin is tuple and inner[-1] is not Ellipsis:
        return st.tuples(*map(values_of, inner))
    if origin is tuple:
        return st.lists(values_of(inner[0]), max_size=3).map(tuple)
    assert issubclass(origin, Mapping)
    return st.dictionaries(values_of(inner[0]), values_of(inner[1]), max_size=3)


def instances_of(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for a Struct: any values that its fields' types allow."""
    hints = typing.get_type_hints(kind)
    fields = {name: values_of(hints[name]) for name in kind.__struct_fields__}
    return st.builds(kind, **fields)


@pytest.mark.parametrize("kind", STORED)
def test_what_a_group_stores_comes_back_equal(kind: type[object]) -> None:
    """Whatever a group remembers, it remembers the same after a restart."""

    @given(instances_of(kind))
    def check(value: object) -> None:
        back = unpack_state(pack_state(value), kind)
        assert back == value
        assert repr(back) == repr(value)
        assert pack_state(back) == pack_state(value)

    check()
