"""A folder of this process alone, below one that several may share.

The process holds a lock on it, which ends with the process however that ends: whoever starts
removes what the dead left.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

__all__ = ["OwnFolder"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class OwnFolder:
    """A folder that is made now, and removed when it is closed.

    Parameters
    ----------
    above : Path
        Made if it is not there; what killed processes left in it is removed.

    Attributes
    ----------
    path : Path

    Raises
    ------
    OSError
        It cannot be made.
    """

    def __init__(self, above: Path) -> None:
        above.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = above / f"new-{secrets.token_hex(8)}"
        self.path = above / f"of-{secrets.token_hex(8)}"
        fresh.mkdir(mode=0o700)
        self._held: int | None = os.open(fresh, _FOLDER)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        fresh.rename(self.path)  # from here on others look at it, and find it locked
        for other in above.glob("of-*"):
            if other != self.path:
                _remove_if_dead(other)

    def close(self) -> None:
        """Remove it and all that is in it. It may block."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _remove_if_dead(folder: Path) -> None:
    """Remove a folder whose process has ended; a living one has it locked."""
    with suppress(OSError):
        descriptor = os.open(folder, _FOLDER)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
