"""Options that say which dead letters are meant."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

import schemas
from stream.commands.help import option
from stream.letters import Choice, Place

__all__ = ["choice_from", "choice_options", "place_of", "places_of"]

F = TypeVar("F", bound=Callable[..., Any])

_WHICH: Final = "Which letters"
_AGO: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def place_of(_: click.Context, __: click.Parameter, value: str) -> Place:
    """Read the position of one letter; a callback of click."""
    try:
        return Place.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def places_of(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> frozenset[Place]:
    """Read the positions of letters; a callback of click."""
    return frozenset(place_of(context, parameter, value) for value in values)


def _moment(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Read a time, or how long ago it was, as milliseconds since 1970."""
    if value is None:
        return None
    ago = _AGO.fullmatch(value)
    if ago:
        return round((time.time() - int(ago[1]) * _SECONDS[ago[2]]) * 1000)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        text = f"{value!r} is no time: 2026-03-01T05:06:07Z (UTC), or how long ago: 90m, 2h, 3d"
        raise click.BadParameter(text) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


_OPTIONS: Final = (
    option(
        _WHICH,
        "--reason",
        "reasons",
        type=click.Choice([str(reason) for reason in schemas.DeadReason]),
        multiple=True,
        metavar="REASON",
        help=f"Only with this reason; may be repeated. One of {', '.join(schemas.DeadReason)}.",
    ),
    option(
        _WHICH,
        "--partition",
        "wanted",
        type=click.IntRange(0),
        multiple=True,
        metavar="N",
        help="Only of this partition of the input; may be repeated.",
    ),
    option(
        _WHICH,
        "--since",
        callback=_moment,
        metavar="TIME",
        help="Only letters written then or later: 2026-03-01T05:06:07Z, or 90m, 2h, 3d for ago.",
    ),
    option(
        _WHICH, "--until", callback=_moment, metavar="TIME", help="Only letters written before."
    ),
)


def choice_options(command: F) -> F:
    """Give a command the options by which letters are chosen."""
    for one in reversed(_OPTIONS):
        command = one(command)
    return command


def choice_from(values: Mapping[str, Any], places: Iterable[Place] = ()) -> Choice:
    """Return what the options, and positions if there are any, choose."""
    return Choice(
        reasons=frozenset(map(schemas.DeadReason, values["reasons"])),
        partitions=frozenset(values["wanted"]),
        since=values["since"],
        until=values["until"],
        places=frozenset(places),
    )
