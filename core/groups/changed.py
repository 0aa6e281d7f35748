"""A frozen value with some fields changed: every event makes several, so it has to be quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import replace
else:

    def replace(value, /, **changes):  # noqa: ANN001, ANN003, ANN201 - those of dataclasses.replace
        """Do as `dataclasses.replace`, for classes whose fields are all arguments, in a third."""
        parts, places = _layout(type(value))
        fields = list(parts(value))
        for name, changed in changes.items():
            fields[places[name]] = changed
        return type(value)(*fields)


__all__ = ["replace"]


@cache
def _layout(kind: type[Any]) -> tuple[Callable[[Any], tuple[Any, ...]], Mapping[str, int]]:
    """Return what takes a value's fields out in order, and the place of each by its name."""
    names = tuple(kind.__dataclass_fields__)
    return attrgetter(*names), {name: place for place, name in enumerate(names)}
