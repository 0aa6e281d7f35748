"""Sentences for values that do not fit their type: which field, what is right, what was found."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import inspect

from schemas.errors import DeadReason, SchemaError

__all__ = ["explain"]

_IDENTITY: Final = frozenset({"campaign", "skymap", "tract", "patch", "band", "visit"})
_PATH: Final = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_STEP: Final = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>\w+)`")
_LONGEST: Final = 60

Step = str | int


class _Glimpse(reprlib.Repr):
    """Shows the beginning of a value, and looks at no more of it: strangers choose its size."""

    maxlevel = 2
    maxstring = maxother = 2 * _LONGEST  # what is beyond `_LONGEST` is cut off anyway

    def repr_str(self, x: str, level: int) -> str:
        """Show a string."""
        del level
        return repr(x[: self.maxstring])

    def repr_bytes(self, x: bytes, level: int) -> str:
        """Show bytes, which reprlib itself would show to the last."""
        del level
        return repr(x[: self.maxstring])

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        """Show a map in its own order, which reprlib would sort."""
        if level <= 0:
            return "{...}"
        some = (f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in x.items())
        more = ["..."] if len(x) > self.maxdict else []
        return "{" + ", ".join([*islice(some, self.maxdict), *more]) + "}"


_GLIMPSE: Final = _Glimpse()


def explain(error: msgspec.ValidationError, kind: type, value: object) -> SchemaError:
    """Make a `SchemaError` of what msgspec says about a value.

    Parameters
    ----------
    error : msgspec.ValidationError
        Raised when `value` was converted to `kind`.
    kind : type
        The message's class.
    value : object
        What was converted.

    Returns
    -------
    SchemaError
        ``bad_identity`` if the fault is in a field of the identity, else ``bad_message``; a rule
        of the message itself keeps its own reason and sentence.
    """
    if isinstance(error.__cause__, SchemaError):
        return error.__cause__
    text = str(error)
    steps = _steps(text)
    missing = _MISSING.match(text)
    if missing:
        steps = (*steps, missing["name"])
        sentence = f"{_shown_path(steps)} is missing and must be there"
    else:
        right = _right(_PATH.sub("", text), kind, steps)
        sentence = f"{_shown_path(steps)}: {right}, found {_found(value, steps)}"
    in_identity = bool(steps) and steps[0] in _IDENTITY
    reason = DeadReason.BAD_IDENTITY if in_identity else DeadReason.BAD_MESSAGE
    return SchemaError(reason, sentence)


def _steps(text: str) -> tuple[Step, ...]:
    where = _PATH.search(text)
    found = _STEP.finditer(where["path"]) if where else iter(())
    return tuple(step["name"] or int(step["index"]) for step in found)


def _shown_path(steps: tuple[Step, ...]) -> str:
    shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return shown.removeprefix(".") or "the value"


def _right(text: str, kind: type, steps: tuple[Step, ...]) -> str:
    """Return what would be right; of a choice msgspec only says that it is none."""
    if text.startswith("Invalid enum value"):
        return "expected one of " + ", ".join(sorted(map(str, _choices(kind, steps))))
    return text.partition(", got ")[0].replace("Expected", "expected").replace("`", "")


def _choices(kind: type, steps: tuple[Step, ...]) -> set[object]:
    kinds = [_info(kind)]
    for step in steps:
        kinds = [inner for outer in kinds for inner in _inside(outer, step)]
    return {choice for found in kinds for choice in _values(found)}


@cache
def _info(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


def _inside(outer: inspect.Type, step: Step) -> Iterator[inspect.Type]:
    """Yield the types of what stands one step further in."""
    if isinstance(outer, inspect.UnionType):
        for each in outer.types:
            yield from _inside(each, step)
    elif isinstance(outer, inspect.Metadata):
        yield from _inside(outer.type, step)
    elif isinstance(outer, inspect.StructType):
        yield from (field.type for field in outer.fields if field.encode_name == step)
    elif isinstance(outer, inspect.VarTupleType):
        yield outer.item_type


def _values(kind: inspect.Type) -> Iterator[object]:
    if isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _values(each)
    elif isinstance(kind, inspect.LiteralType):
        yield from kind.values
    elif isinstance(kind, inspect.EnumType):
        yield from (member.value for member in kind.cls)


def _found(value: object, steps: tuple[Step, ...]) -> str:
    inner: Any = value
    for step in steps:
        inner = inner[step]  # msgspec has just walked this way
    text = _GLIMPSE.repr(inner)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
