"""Folders that `evensky announce` was given on this host, remembered beside the embedded log.

A service on the embedded log reads warps from the log's own folder and from these; whoever can
write beside the log may announce. A log on Kafka has no such memory: strangers write there, and
the folders are named in the settings alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from stream.faults import WarpError, WarpFault
from stream.fetch import Fetcher

__all__ = ["RememberingStore", "recall", "remember"]


def remember(log: Path, folders: Iterable[Path]) -> None:
    """Add folders to those that warps of this log may be read from.

    Parameters
    ----------
    log : Path
        The file of the embedded log.
    folders : iterable of Path
        Their real paths are written down.
    """
    known = set(recall(log))
    new = sorted({str(folder.resolve()) for folder in folders} - {str(root) for root in known})
    if new:
        with _file(log).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(folder) + "\n" for folder in new)


def recall(log: Path) -> tuple[Path, ...]:
    """Return the folders that were remembered for a log; a damaged line counts for nothing."""
    try:
        lines = _file(log).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ()
    return tuple(folder for line in lines if (folder := _folder(line)) is not None)


class RememberingStore:
    """A fetcher whose roots grow when `evensky announce` is given new folders.

    Parameters
    ----------
    make : callable
        Makes a fetcher of roots.
    roots : tuple of Path
        Those of the settings.
    log : Path
        The file of the embedded log.
    """

    def __init__(
        self, make: Callable[[tuple[Path, ...]], Fetcher], roots: tuple[Path, ...], log: Path
    ) -> None:
        self._make = make
        self._fixed = roots
        self._log = log
        self._known = recall(log)
        self._fetcher = make((*roots, *self._known))

    async def fetch(self, uri: str, checksum: str, size: int | None) -> bytes:
        """Return the verified bytes of a warp; roots are looked up again before it is refused."""
        try:
            return await self._fetcher.fetch(uri, checksum, size)
        except WarpError as error:
            if error.reason is not WarpFault.FORBIDDEN or not self._learn():
                raise
            return await self._fetcher.fetch(uri, checksum, size)

    def close(self) -> None:
        """Give the fetcher's threads back."""
        self._fetcher.close()

    def _learn(self) -> bool:
        known = recall(self._log)
        if known == self._known:
            return False
        self._known = known
        self._fetcher.close()
        self._fetcher = self._make((*self._fixed, *known))
        return True


def _file(log: Path) -> Path:
    return log.with_name(log.name + ".roots")


def _folder(line: str) -> Path | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    path = Path(value) if isinstance(value, str) else None
    return path if path is not None and path.is_absolute() else None
