"""What a reader remembers, in one SQLite file: memory is bounded by SQLite's cache.

A survey has millions of models of some tens of kB, and any of them may be named by the next
summary, years later. So models lie on local disk, as many bytes as the compacted topic has, and
with them all that grows with the number of groups or models: digests, revisions, what waits. In
memory would be 200 bytes a model for digests alone, which is gigabytes where it matters, and a
lookup here costs some microseconds, next to the hundred that decoding a model takes.

Models and the offsets up to which they were read are written in one transaction, so that whatever
kills the reader, the file says truly which models it holds; what was read later comes again from
the log. Nothing else outlives a run: how far the *consumer* has come is for the consumer to say,
with the positions that it stored, and the file may be ahead of them or behind. So the file is a
cache. It is never asked to survive a power loss with its last second, and it may be deleted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stream.reader.gathering import Held, Seen, Summary

__all__ = ["ShelfError", "SqliteShelf"]

_APPLICATION_ID = 0x45565348
_FORMAT = 1
_KIB = 1024

_LASTING = """
CREATE TABLE about (topic TEXT NOT NULL, partitions INTEGER NOT NULL);
CREATE TABLE position (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL);
CREATE TABLE model (grp TEXT NOT NULL, visit INTEGER NOT NULL, revision INTEGER NOT NULL,
                    model_id TEXT NOT NULL, value BLOB NOT NULL, UNIQUE (grp, visit))
"""
_OF_A_RUN = """
DROP TABLE IF EXISTS named;
DROP TABLE IF EXISTS seen;
CREATE TABLE seen (grp TEXT PRIMARY KEY, revision INTEGER NOT NULL, missing INTEGER,
                   partition INTEGER, "offset" INTEGER, summary BLOB);
CREATE INDEX waiting ON seen (partition, "offset") WHERE missing IS NOT NULL;
CREATE TABLE named (grp TEXT NOT NULL, visit INTEGER NOT NULL, model_id TEXT NOT NULL,
                    PRIMARY KEY (grp, visit)) WITHOUT ROWID
"""
_SAID = {
    sqlite3.SQLITE_BUSY: "is in use by another reader; give each reader a folder of its own",
    sqlite3.SQLITE_NOTADB: "is no file of a reader; give another folder",
    sqlite3.SQLITE_CORRUPT: "is damaged; delete it, its models come again from the log",
    sqlite3.SQLITE_READONLY: "cannot be written to; give another folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; its folder must be there and be writable",
    sqlite3.SQLITE_FULL: "has no room; what it needs is what the topic of models has",
}


class ShelfError(Exception):
    """The file that models are kept in cannot be used; the sentence says what to do."""


class SqliteShelf:
    """What a reader remembers (`stream.reader.gathering.Shelf`), for one process and thread.

    Parameters
    ----------
    path : Path
        The file; made if it is not there, in a folder that must be.
    topic : str
        Of the models that it holds.
    partitions : int
        How many the topic has.
    cache_bytes : int
        What SQLite may keep in memory.

    Raises
    ------
    ShelfError
        In use, foreign, damaged, or made for another topic.
    """

    def __init__(self, path: Path, topic: str, partitions: int, *, cache_bytes: int) -> None:
        self._path = path
        with self._translated():
            self._sql = sqlite3.connect(path, timeout=0, isolation_level=None)
            try:
                self._open(topic, partitions, cache_bytes)
            except BaseException:
                self._sql.close()
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise ShelfError(f"{self._path} {_SAID.get(code, 'failed')} ({error})") from error

    def _open(self, topic: str, partitions: int, cache_bytes: int) -> None:
        self._refuse_foreign()
        self._sql.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._sql.execute("PRAGMA journal_mode = WAL")
        self._sql.execute("PRAGMA synchronous = NORMAL")
        self._sql.execute(f"PRAGMA cache_size = -{max(1, cache_bytes // _KIB)}")
        self._sql.execute("BEGIN IMMEDIATE")
        if not self._one("PRAGMA user_version"):
            self._create(topic, partitions)
        self._refuse_other(topic, partitions)
        self._run(_OF_A_RUN)
        self.commit()

    def _refuse_foreign(self) -> None:
        # Before anything is written: a file of somebody else stays as it is.
        full = self._one("SELECT count(*) FROM sqlite_master") > 0
        if full and self._one("PRAGMA application_id") != _APPLICATION_ID:
            raise ShelfError(f"{self._path} {_SAID[sqlite3.SQLITE_NOTADB]}")

    def _create(self, topic: str, partitions: int) -> None:
        self._run(_LASTING)
        self._sql.execute("INSERT INTO about VALUES (?, ?)", (topic, partitions))
        rows = [(partition, 0) for partition in range(partitions)]
        self._sql.executemany("INSERT INTO position VALUES (?, ?)", rows)
        self._sql.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._sql.execute(f"PRAGMA user_version = {_FORMAT}")

    def _refuse_other(self, topic: str, partitions: int) -> None:
        found = self._sql.execute("SELECT topic, partitions FROM about").fetchone()
        version = self._one("PRAGMA user_version")
        if found != (topic, partitions) or version != _FORMAT:
            raise ShelfError(
                f"{self._path} has format {version} and models of {found[0]} with {found[1]} "
                f"partitions, not format {_FORMAT} and {topic} with {partitions}; give another "
                "folder"
            )

    def _run(self, script: str) -> None:
        for statement in script.split(";"):
            self._sql.execute(statement)

    def _one(self, query: str) -> int:
        return int(self._sql.execute(query).fetchone()[0])

    # -- transactions ------------------------------------------------------------------------------

    @property
    def models_at(self) -> Sequence[int]:
        """For each partition, the offset behind the last model that is held for good."""
        return [row[0] for row in self._rows("SELECT next FROM position ORDER BY partition")]

    def keep(self, models_at: Sequence[int]) -> None:
        """Make what was taken in last, together with how far that is."""
        rows = [(offset, partition) for partition, offset in enumerate(models_at)]
        with self._translated():
            self._sql.executemany("UPDATE position SET next = ? WHERE partition = ?", rows)
        self.commit()

    def commit(self) -> None:
        """End the transaction, if there is one."""
        with self._translated():
            if self._sql.in_transaction:
                self._sql.execute("COMMIT")

    def close(self) -> None:
        """Close the file; what was not kept is forgotten."""
        self._sql.close()

    def _write(self, query: str, *values: object) -> None:
        with self._translated():
            if not self._sql.in_transaction:
                self._sql.execute("BEGIN IMMEDIATE")
            self._sql.execute(query, values)

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._translated():
            return self._sql.execute(query, values).fetchall()

    def _row(self, query: str, *values: object) -> Any:
        return next(iter(self._rows(query, *values)), None)

    # -- models ------------------------------------------------------------------------------------

    def held(self, group: str, visit: int) -> Held | None:
        """Return the model held of a visit."""
        query = "SELECT revision, model_id FROM model WHERE grp = ? AND visit = ?"
        row = self._row(query, group, visit)
        return None if row is None else Held(*row)

    def held_ids(self, group: str) -> Mapping[int, str]:
        """Return the model_ids held of all visits of a group."""
        query = "SELECT visit, model_id FROM model WHERE grp = ?"
        return dict(self._rows(query, group))

    def value(self, group: str, visit: int, model_id: str) -> bytes | None:
        """Return the bytes of a model, if it is still the one held of its visit."""
        query = "SELECT value FROM model WHERE grp = ? AND visit = ? AND model_id = ?"
        row = self._row(query, group, visit, model_id)
        return None if row is None else row[0]

    def hold(self, group: str, visit: int, held: Held, value: bytes) -> None:
        """Hold a model, in place of the one before."""
        query = "INSERT OR REPLACE INTO model VALUES (?, ?, ?, ?, ?)"
        self._write(query, group, visit, held.revision, held.model_id, value)

    def let_go(self, group: str, visit: int) -> None:
        """Hold no model of this visit."""
        self._write("DELETE FROM model WHERE grp = ? AND visit = ?", group, visit)

    # -- groups ------------------------------------------------------------------------------------

    def seen(self, group: str) -> Seen | None:
        """Return how far a group has come."""
        query = "SELECT revision, missing FROM seen WHERE grp = ?"
        row = self._row(query, group)
        return None if row is None else Seen(*row)

    def named(self, group: str, visit: int) -> str | None:
        """Return what the waiting summary of a group names for a visit."""
        query = "SELECT model_id FROM named WHERE grp = ? AND visit = ?"
        row = self._row(query, group, visit)
        return None if row is None else row[0]

    def wait(self, group: str, summary: Summary, missing: int) -> None:
        """Keep a summary waiting, in place of an earlier one of the group."""
        self._write("DELETE FROM named WHERE grp = ?", group)
        place = summary.partition, summary.offset, summary.value
        query = "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)"
        self._write(query, group, summary.revision, missing, *place)
        for visit, model_id in summary.named.items():
            self._write("INSERT INTO named VALUES (?, ?, ?)", group, visit, model_id)

    def count(self, group: str, missing: int) -> None:
        """Note anew how many models the waiting summary misses."""
        self._write("UPDATE seen SET missing = ? WHERE grp = ?", missing, group)

    def settle(self, group: str, revision: int) -> bytes | None:
        """Note that a revision is settled; give up what waits, and return that summary's bytes."""
        row = self._row("SELECT summary FROM seen WHERE grp = ?", group)
        self._write("DELETE FROM named WHERE grp = ?", group)
        query = "INSERT OR REPLACE INTO seen (grp, revision) VALUES (?, ?)"
        self._write(query, group, revision)
        return None if row is None else row[0]

    def waiting(self) -> list[tuple[int, int]]:
        """Return partition and offset of each summary that waits."""
        query = 'SELECT partition, "offset" FROM seen WHERE missing IS NOT NULL'
        return self._rows(query)
