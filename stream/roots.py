"""Folders that `evensky announce` was given on this host, remembered beside the embedded log.

A service on the embedded log reads warps from the log's own folder and from these; whoever can
write beside the log may announce. A log on Kafka has no such memory: strangers write there, and
the folders are named in the settings alone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
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
    fetcher : Fetcher
        With the roots of the settings.
    log : Path
        The file of the embedded log.
    """

    def __init__(self, fetcher: Fetcher, log: Path) -> None:
        self._fetcher = fetcher
        self._log = log
        fetcher.allow(recall(log))

    async def fetch(self, uri: str, checksum: str, size: int | None) -> bytes:
        """Return the verified bytes of a warp; roots are looked up again before it is refused."""
        try:
            return await self._fetcher.fetch(uri, checksum, size)
        except WarpError as error:
            if error.reason is not WarpFault.FORBIDDEN:
                raise
        # Each refused warp looks for itself: of a group's, all may be refused at the same moment.
        self._fetcher.allow(await asyncio.to_thread(recall, self._log))
        return await self._fetcher.fetch(uri, checksum, size)

    def close(self) -> None:
        """Give the fetcher's threads back."""
        self._fetcher.close()


def _file(log: Path) -> Path:
    return log.with_name(log.name + ".roots")


def _folder(line: str) -> Path | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    path = Path(value) if isinstance(value, str) else None
    return path if path is not None and path.is_absolute() else None
