"""Rows in, groups out: a temporary file that sorts more than memory holds."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from itertools import groupby, starmap
from operator import attrgetter
from pathlib import Path
from typing import Final, Self

from stream.audit.facts import Role, Row
from stream.log.seam import LogUnavailableError

__all__ = ["Spool"]

_KIB: Final = 1024
_BATCH: Final = 1000

_TABLE: Final = """
CREATE TABLE row (grp BLOB NOT NULL, role INTEGER NOT NULL, partition INTEGER NOT NULL,
                  "offset" INTEGER NOT NULL, timestamp INTEGER NOT NULL, data BLOB NOT NULL)
"""
# A letter stands with the record that it is about, and before it.
_SORTED: Final = """
SELECT grp, role, partition, "offset", timestamp, data FROM row
ORDER BY grp, min(role, 5), partition, "offset", role, rowid
"""


class Spool:
    """A temporary SQLite file; memory is bounded by its cache, disk by what is put into it.

    Its size is about that of the input and the state together, and sorting takes as much again,
    both in the folder for temporary files (``TMPDIR``).

    Parameters
    ----------
    memory_bytes : int
        What SQLite may keep in memory.

    Raises
    ------
    LogUnavailableError
        The disk is full or failing.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="evensky-audit-")
        self._sql = sqlite3.connect(Path(self._folder.name) / "rows", isolation_level=None)
        with _translated():
            self._sql.execute("PRAGMA journal_mode = OFF")
            self._sql.execute("PRAGMA synchronous = OFF")
            self._sql.execute("PRAGMA temp_store = FILE")
            self._sql.execute(f"PRAGMA cache_size = -{max(1, memory_bytes // _KIB)}")
            self._sql.execute(_TABLE)
            self._sql.execute("BEGIN")
        self._waiting: list[Row] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sql.close()
        self._folder.cleanup()

    def put(self, row: Row) -> None:
        """Keep a row."""
        self._waiting.append(row)
        if len(self._waiting) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        rows = [
            (r.group, r.role, r.partition, r.offset, r.timestamp, r.data) for r in self._waiting
        ]
        with _translated():
            self._sql.executemany("INSERT INTO row VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._waiting.clear()

    def groups(self) -> Iterator[tuple[bytes, Iterator[Row]]]:
        """Yield each group's key and its rows, which are gone with the next group.

        State comes first, then what was published, then input records in their order, each behind
        the dead letters that are about it.
        """
        self._flush()
        with _translated():
            yield from groupby(starmap(_row, self._sql.execute(_SORTED)), key=attrgetter("group"))


def _row(group: bytes, role: int, *rest: object) -> Row:
    return Row(group, Role(role), *rest)  # type: ignore[arg-type]  # SQLite gives what was put


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LogUnavailableError(
            f"the audit's temporary file failed: {error}; it needs room for the input and the "
            "state, twice, where TMPDIR points"
        ) from error
