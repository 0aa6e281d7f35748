"""Folders that `evensky announce` was given on this host, remembered beside the embedded log.

A service on the embedded log reads warps from the log's own folder and from these; whoever can
write beside the log may announce. A log on Kafka has no such memory: strangers write there, and
the folders are named in the settings alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

__all__ = ["recall", "remember"]


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


def _file(log: Path) -> Path:
    return log.with_name(log.name + ".roots")


def _folder(line: str) -> Path | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    path = Path(value) if isinstance(value, str) else None
    return path if path is not None and path.is_absolute() else None
