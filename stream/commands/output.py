"""What the commands have in common when they write: for people, for pipes, into folders."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from rich.console import Console

__all__ = ["busy", "count_of", "make_folder", "printable", "table_console"]

_WIDE: Final = 200  # columns; wider than any of our tables, so that none is cut in a file or pipe


def table_console() -> Console:
    """Return where tables go: as wide as the terminal, and uncut where there is none."""
    return Console(width=None if sys.stdout.isatty() else _WIDE)


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
    """Show on stderr that something goes on, on a terminal only."""
    console = Console(stderr=True)
    with console.status(what) if console.is_terminal else contextlib.nullcontext():
        yield


def count_of(number: int, noun: str) -> str:
    """Return ``1 warp`` or ``2 warps``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text: str) -> str:
    """Return a text that strangers may have written, without what could steer a terminal."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def make_folder(folder: Path) -> None:
    """Make a folder for what a command writes.

    Raises
    ------
    click.UsageError
        It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"{folder} cannot be made: {error.strerror}") from None
