"""A folder of this process alone, below one that several may share.

The process holds a lock on it, which ends with the process however that ends: whoever starts
removes what the dead left.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

__all__ = ["OwnFolder"]

_TRIES = 8
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class OwnFolder:
    """A folder that is made when it is opened, and removed when it is closed.

    Any thread may open and close it: whoever was cancelled in doing so has left a thread in it.

    Parameters
    ----------
    above : Path
        Made if it is not there.
    """

    def __init__(self, above: Path) -> None:
        self._above = above
        self._changing = threading.Lock()
        self._path: Path | None = None
        self._held: int | None = None
        self._closed = False

    @property
    def path(self) -> Path:
        """Where it is.

        Raises
        ------
        RuntimeError
            It was not opened.
        """
        if self._path is None:
            raise RuntimeError("the folder is not open")
        return self._path

    def open(self) -> Path:
        """Make it, unless it is there, and return where; what killed processes left is removed.

        It may block.

        Raises
        ------
        OSError
            It cannot be made, or was closed.
        """
        with self._changing:
            if self._closed:
                raise FileNotFoundError(errno.ENOENT, "it was closed", str(self._above))
            if self._path is None:
                self._above.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._path, self._held = _made(self._above)
                for other in (*self._above.glob("of-*"), *self._above.glob("new-*")):
                    if other != self._path:
                        _remove_if_dead(other)
            return self._path

    def close(self) -> None:
        """Remove it and all that is in it. It may block."""
        with self._changing:
            self._closed = True
            if self._path is not None:
                shutil.rmtree(self._path, ignore_errors=True)
            if self._held is not None:
                os.close(self._held)
                self._held = None


def _made(above: Path) -> tuple[Path, int]:
    """Return a new folder and its lock."""
    for _ in range(_TRIES):
        with suppress(FileNotFoundError, BlockingIOError):  # who starts found it not yet locked
            return _locked(above)
    raise FileNotFoundError(f"no folder that is made in {above} stays there")


def _locked(above: Path) -> tuple[Path, int]:
    fresh, path = (above / f"{kind}-{secrets.token_hex(8)}" for kind in ("new", "of"))
    fresh.mkdir(mode=0o700)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, fresh, ignore_errors=True)
        held = os.open(fresh, _FOLDER)
        undo.callback(os.close, held)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh.rename(path)  # from here on others look at it, and find it locked
        undo.pop_all()
    return path, held


def _remove_if_dead(folder: Path) -> None:
    """Remove a folder whose process has ended; a living one has it locked."""
    with suppress(OSError):
        descriptor = os.open(folder, _FOLDER)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
