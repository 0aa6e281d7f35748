"""The folder of one process's spool: its own while it lives, and cleared away when it is dead.

Each process has a folder of its own below the one that the settings name, and holds a lock on it
which ends with the process however that ends. Whoever starts removes what the dead left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["SpoolFolder", "spool_folder"]

_LOCK: Final = "lock"
_PLANES: Final = "planes"
_LANDING: Final = "landing"


class SpoolFolder:
    """Files of planes by key.

    Parameters
    ----------
    folder : Path
        This process's own.

    Attributes
    ----------
    landing : Path
        Folder for warps as they were fetched.
    """

    def __init__(self, folder: Path) -> None:
        self._planes = folder / _PLANES
        self.landing = folder / _LANDING
        for one in (self._planes, self.landing):
            one.mkdir(mode=0o700)

    def path(self, key: str) -> Path:
        """Return where the planes of a key lie."""
        return self._planes / key

    def size(self, key: str) -> int | None:
        """Return how many bytes they have; None if they are not there.

        What a killed worker left half written goes with that.
        """
        with contextlib.suppress(OSError):
            self.path(key).with_suffix(".new").unlink(missing_ok=True)
        try:
            return self.path(key).stat().st_size
        except OSError:
            return None

    def remove(self, key: str) -> None:
        """Let them be there no more."""
        with contextlib.suppress(OSError):
            self.path(key).unlink(missing_ok=True)


@contextlib.contextmanager
def spool_folder(above: Path) -> Iterator[SpoolFolder]:
    """Give this process a folder, and remove it in the end, and those of dead processes now.

    Parameters
    ----------
    above : Path
        Made if it is not there.

    Raises
    ------
    OSError
        The folder cannot be made or written.
    """
    above.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in above.iterdir():
        _remove_dead(folder)
    ours = above / f"{os.getpid()}-{secrets.token_hex(4)}"
    unready = above / f"new-{secrets.token_hex(8)}"
    unready.mkdir(mode=0o700)
    lock = os.open(unready / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unready.rename(ours)  # from here on others look at it, and find it locked
        yield SpoolFolder(ours)
    finally:
        shutil.rmtree(ours, ignore_errors=True)
        os.close(lock)


def _remove_dead(folder: Path) -> None:
    """Remove a folder whose process is no more; what is none of ours is left alone."""
    if folder.name.startswith("new-") or folder.is_symlink():
        return
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        pass  # a living process has it
    finally:
        os.close(lock)
