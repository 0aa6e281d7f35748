"""Options that say who a warp is, where its header does not or is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from stream.describe import Override

__all__ = ["identity_options", "override_from"]

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--campaign", metavar="NAME", help="Release run or template epoch. [default: live]"
    ),
    click.option("--skymap", metavar="NAME", help="Sky map. [default: header, then none]"),
    click.option("--tract", type=click.IntRange(0), help="Tract. [default: header, then 0]"),
    click.option("--patch", type=click.IntRange(0), help="Patch. [default: header, then 0]"),
    click.option("--band", metavar="NAME", help="Band. [default: header, then none]"),
    click.option(
        "--visit", type=click.IntRange(0), help="Visit of a single file. [default: header]"
    ),
)


def identity_options(command: F) -> F:
    """Give a command the options of a warp's identity."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def override_from(values: Mapping[str, Any]) -> Override:
    """Return what the user said of the identity."""
    return Override(**{name: values[name] for name in Override.__dataclass_fields__})
