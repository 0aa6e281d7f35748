"""Files by paths that are plain texts: for those of which each has a name of its own.

A `pathlib.Path` puts each part of itself into the interpreter's table of names, which grows by
megabytes at a time, and which in Python 3.12 never lets a name go: 143 bytes for each. A service
that names hundreds of files a second would grow for ever.
"""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = ["move", "remove", "size_of"]


def move(old: str, new: str) -> None:
    """Give a file another name, in place of whatever has it.

    Raises
    ------
    OSError
    """
    os.replace(old, new)  # noqa: PTH105 - see above


def remove(path: str) -> None:
    """Let a file be there no more, if it is.

    Raises
    ------
    OSError
    """
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - see above


def size_of(path: str) -> int:
    """Return a file's bytes.

    Raises
    ------
    OSError
    """
    return os.stat(path).st_size  # noqa: PTH116 - see above
