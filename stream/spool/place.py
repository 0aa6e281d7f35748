"""Where planes lie, and how much room a warp needs: the parent's side, which maps none."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stream import plainfiles
from stream.ownfolder import OwnFolder

__all__ = ["PAGE", "Place", "PlaneFiles", "laid_bytes", "plane_bytes", "unready", "up"]

PAGE: Final = 4096
"""Planes begin at multiples of so many bytes."""

_BYTES_A_PIXEL: Final = 4
_HEAD_GUESS: Final = 2 * PAGE


@dataclass(frozen=True, slots=True)
class Place:
    """Where planes may be laid.

    Attributes
    ----------
    path : str
        The file, not there yet.
    room : int
        Bytes that it may have.
    old : str or None
        A file that had to make room, and may be written over: its pages need not be had anew.
    """

    path: str
    room: int
    old: str | None = None


class PlaneFiles:
    """Files of planes by name, in a folder of this process alone.

    Parameters
    ----------
    above : Path
        Folder that several processes may share.
    """

    def __init__(self, above: Path) -> None:
        self._own = OwnFolder(above)

    def open(self) -> None:
        """Make the folder, and remove what killed processes left.

        Raises
        ------
        OSError
            It cannot be made, or was closed.
        """
        self._own.open()

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        self._own.close()

    def path(self, name: str) -> str:
        """Return where planes lie."""
        return f"{self._own.path}/{name}"

    def size(self, name: str) -> int | None:
        """Return how many bytes they have; None if they are not there.

        What a killed worker left half written is removed.
        """
        path = self.path(name)
        with contextlib.suppress(OSError):
            plainfiles.remove(unready(path))
        try:
            return plainfiles.size_of(path)
        except OSError:
            return None

    def remove(self, name: str) -> None:
        """Let them be there no more."""
        with contextlib.suppress(OSError):
            plainfiles.remove(self.path(name))


def unready(path: str) -> str:
    """Return under which name a file is written until it is whole."""
    return f"{path}.new"


def laid_bytes(shape: tuple[int, int]) -> int:
    """Return about how many bytes the file of a warp has: a long list of mask planes adds to it.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    """
    return _HEAD_GUESS + 3 * plane_bytes(shape)


def plane_bytes(shape: tuple[int, int]) -> int:
    """Return the bytes of one plane, filled up to a whole page."""
    return up(_BYTES_A_PIXEL * math.prod(shape))


def up(size: int) -> int:
    """Return a size filled up to whole pages."""
    return -(-size // PAGE) * PAGE
