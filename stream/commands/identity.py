"""Options that say who a warp is, where its header does not or is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

import schemas
from stream.commands.help import IDENTITY, option
from stream.describe import Override

__all__ = ["identity_options", "override_from"]

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    option(IDENTITY, "--campaign", metavar="NAME", help="Release run or epoch. [default: live]"),
    option(IDENTITY, "--skymap", metavar="NAME", help="Sky map. [default: header, then none]"),
    option(
        IDENTITY,
        "--tract",
        type=click.IntRange(0),
        metavar="N",
        help="Tract. [default: header, then 0]",
    ),
    option(
        IDENTITY,
        "--patch",
        type=click.IntRange(0),
        metavar="N",
        help="Patch. [default: header, then 0]",
    ),
    option(IDENTITY, "--band", metavar="NAME", help="Band. [default: header, then none]"),
    option(
        IDENTITY,
        "--visit",
        type=click.IntRange(0),
        metavar="N",
        help="Visit, of a single file only. [default: header]",
    ),
)


_ANY: Final[dict[str, Any]] = {
    "campaign": "live",
    "skymap": "none",
    "tract": 0,
    "patch": 0,
    "band": "none",
}


def identity_options(command: F) -> F:
    """Give a command the options of a warp's identity."""
    for one in reversed(_OPTIONS):
        command = one(command)
    return command


def override_from(values: Mapping[str, Any], files: Sequence[Path]) -> Override:
    """Return what the user said of the identity of some files.

    Raises
    ------
    click.UsageError
        It cannot be the identity of a warp, or not of all of these.
    """
    override = Override(**{name: values[name] for name in Override.__dataclass_fields__})
    if override.visit is not None and len(files) > 1:
        raise click.UsageError(f"--visit names one warp, and there are {len(files)} files")
    try:
        schemas.GroupId(**_ANY | {n: values[n] for n in _ANY if values[n] is not None})
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return override
