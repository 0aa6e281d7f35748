"""An append-only log of records in one SQLite file: the synchronous half of the embedded log.

Any number of processes may append and read at once; SQLite lets one append at a time. The file is
in WAL mode, so readers never wait for a writer, and ``synchronous=FULL``: a commit returns when
its bytes were handed to the disk with fsync. So `kill -9` loses nothing that was acknowledged,
and a power loss loses nothing either as far as the disk keeps its word on fsync.
``synchronous=NORMAL`` would be faster, and as safe against `kill -9`, but would forget the last
seconds at a power loss, after upstream was told that its announcement is safe. Kafka answers that
with replicas; here there is one disk. An fsync costs 1 - 10 ms and there are some tens of
transactions a second. WAL needs shared memory between the processes: not on a network file system.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Self

from stream.log.headers import pack_headers, unpack_headers
from stream.log.seam import LogRefusedError, LogUnavailableError, Outgoing, Record

__all__ = ["FORMAT", "LogFile", "OwnerLock", "now_ms", "translated"]

FORMAT = 1
_APPLICATION_ID = 0x45564B59
_BUSY_S = 30.0
_AGAIN_S = 0.05
_WAL_BYTES = 64 * 1024 * 1024

_TABLES = """
CREATE TABLE log (one INTEGER PRIMARY KEY CHECK (one = 1), partitions INTEGER NOT NULL,
                  owner INTEGER NOT NULL, owner_pid INTEGER NOT NULL);
CREATE TABLE stream (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
                     next_offset INTEGER NOT NULL, committed INTEGER, UNIQUE (topic, partition));
CREATE TABLE record (id INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES stream (id),
                     "offset" INTEGER NOT NULL, timestamp INTEGER NOT NULL,
                     key BLOB, value BLOB, headers BLOB NOT NULL, UNIQUE (stream, "offset"))
"""
_FETCH = """
SELECT record.id, topic, partition, "offset", timestamp, key, value, headers
FROM record JOIN stream ON stream.id = record.stream
WHERE topic = ? AND partition = ? AND "offset" >= ? ORDER BY "offset" LIMIT ?
"""
_SCAN = """
SELECT record.id, topic, partition, "offset", timestamp, key, value, headers
FROM record JOIN stream ON stream.id = record.stream
WHERE record.id > ? AND record.id <= ? AND topic IN (SELECT value FROM json_each(?))
ORDER BY record.id LIMIT ?
"""
_INSERT = """
INSERT INTO record (stream, "offset", timestamp, key, value, headers) VALUES (?, ?, ?, ?, ?, ?)
"""

# The newest record of all stays, whatever it is: SQLite gives the place of a deleted one again.
_COMPACT = """
DELETE FROM record WHERE stream IN (SELECT id FROM stream WHERE topic = :topic)
AND id < (SELECT max(id) FROM record)
AND (value IS NULL OR id NOT IN (
    SELECT max(record.id) FROM record JOIN stream ON stream.id = record.stream
    WHERE topic = :topic GROUP BY stream, key))
"""

_REFUSED = {
    sqlite3.SQLITE_NOTADB: "is not a log of evensky; give another file",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore it from a copy or give another file",
    sqlite3.SQLITE_READONLY: "cannot be written to; change its permissions or give another file",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; its folder must be there and be writable",
    sqlite3.SQLITE_PERM: "may not be opened; change its permissions or give another file",
}


def now_ms() -> int:
    """Return this machine's clock in milliseconds since 1970 (UTC)."""
    return time.time_ns() // 1_000_000


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the seam's: refused for good, or unavailable for now."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _REFUSED:
            raise LogRefusedError(f"{path} {_REFUSED[code]} ({error})") from error
        raise LogUnavailableError(f"{path} did not answer: {error}") from error


def _connect(path: Path, *, create: bool, wait: float) -> sqlite3.Connection:
    mode = "rwc" if create else "rw"
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, timeout=wait, isolation_level=None, check_same_thread=False
    )


class OwnerLock:
    """The right to be the only service on a log file, gone with the process that holds it.

    An exclusive SQLite transaction on a file of its own, never committed: the lock is the
    operating system's, so `kill -9` releases it; and unlike `flock` it is not inherited by worker
    processes, which may outlive the service by a moment.

    Parameters
    ----------
    path : Path
        The log file; the lock stands beside it.

    Raises
    ------
    LogRefusedError
        Another service holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.name}.owner")
        with translated(self.path):
            self._connection = _connect(self.path, create=True, wait=0)
            try:
                self._connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                self._connection.close()
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                raise LogRefusedError(
                    f"{path} is owned by another service{_owner_of(path)}: "
                    f"stop it or give another file (the lock is {self.path})"
                ) from None

    def release(self) -> None:
        """Let others own the file."""
        self._connection.close()


def _owner_of(path: Path) -> str:
    try:
        with LogFile(path) as log:
            return f" (process {log.owner_pid})"
    except (LogRefusedError, LogUnavailableError):
        return ""


class LogFile:
    """One connection to a log file; to be used by one thread at a time.

    Parameters
    ----------
    path : Path
        The file.
    partitions : int, optional
        Create the file, if it is not there, with so many partitions a topic; fixed from then on.
        If not given, the file must be there.
    clock : callable
        Milliseconds since 1970; stamps records, and never backwards whatever it says.

    Raises
    ------
    LogRefusedError
        Not there, foreign, damaged, read-only, or of a newer format.
    LogUnavailableError
        Locked by others for too long, or the disk is full or failing.
    """

    def __init__(
        self, path: Path, partitions: int | None = None, clock: Callable[[], int] = now_ms
    ) -> None:
        self.path = path
        self._clock = clock
        if partitions is None and not path.exists():
            raise LogRefusedError(f"{path} is not there: start `evensky run --log {path}` first")
        with translated(path):
            self._sql = _connect(path, create=partitions is not None, wait=_BUSY_S)
            try:
                self._check_or_create(partitions)
                self.partitions: int = self._one("SELECT partitions FROM log")
                self._seen: int = self._one("PRAGMA data_version")
            except BaseException:
                self._sql.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        with translated(self.path):
            self._sql.close()

    def _one(self, query: str, *values: object) -> int:
        row = self._sql.execute(query, values).fetchone()
        return int(row[0])

    def _check_or_create(self, partitions: int | None) -> None:
        self._refuse_foreign()
        self._use_wal()
        self._sql.execute("PRAGMA synchronous = FULL")
        self._sql.execute("PRAGMA fullfsync = ON")
        self._sql.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        if partitions is not None:
            with self.transaction():
                self._create_if_empty(partitions)
        self._refuse_other_format()

    def _refuse_foreign(self) -> None:
        # Before anything is written: a file of somebody else stays as it is. The tables are looked
        # at first, because another process may be making this very file between the two looks.
        full = self._one("SELECT count(*) FROM sqlite_master") > 0
        if full and self._one("PRAGMA application_id") != _APPLICATION_ID:
            raise LogRefusedError(f"{self.path} {_REFUSED[sqlite3.SQLITE_NOTADB]}")

    def _use_wal(self) -> None:
        # SQLite does not wait by itself while another process turns the same new file to WAL.
        give_up = time.monotonic() + _BUSY_S
        mode = None
        while mode is None:
            try:
                mode = self._sql.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > give_up:
                    raise
                time.sleep(_AGAIN_S)
        if mode != "wal":
            raise LogRefusedError(f"{self.path} stands on a file system without shared memory")

    def _create_if_empty(self, partitions: int) -> None:
        if self._one("PRAGMA user_version") > 0:
            return
        for statement in _TABLES.split(";"):
            self._sql.execute(statement)
        self._sql.execute("INSERT INTO log VALUES (1, ?, 0, 0)", (partitions,))
        self._sql.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._sql.execute(f"PRAGMA user_version = {FORMAT}")

    def _refuse_other_format(self) -> None:
        found = self._one("PRAGMA user_version")
        if found == 0:
            raise LogRefusedError(f"{self.path} is empty: start `evensky run` on it first")
        if found > FORMAT:
            raise LogRefusedError(
                f"{self.path} has format {found}, this version reads up to {FORMAT}: "
                "use the newer evensky that wrote it"
            )

    @property
    def owner_pid(self) -> int:
        """Process that claimed the file last."""
        return self._one("SELECT owner_pid FROM log")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is written, and durable, or nothing is."""
        with translated(self.path):
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._sql.execute("COMMIT")
            except BaseException:
                # On a full disk SQLite has rolled back by itself.
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise

    def claim(self) -> int:
        """Become the owner; return the number that `owner` holds until the next claim."""
        with self.transaction():
            self._sql.execute("UPDATE log SET owner = owner + 1, owner_pid = ?", (os.getpid(),))
            return self.owner

    @property
    def owner(self) -> int:
        """Number of the last claim."""
        return self._one("SELECT owner FROM log")

    def ensure_topics(self, names: Sequence[str]) -> None:
        """Create the topics that are missing."""
        rows = [(name, partition) for name in names for partition in range(self.partitions)]
        with self.transaction():
            self._sql.executemany(
                "INSERT OR IGNORE INTO stream (topic, partition, next_offset) VALUES (?, ?, 0)",
                rows,
            )

    def append(self, records: Iterable[Outgoing]) -> None:
        """Append records inside a `transaction`, all with one stamp."""
        heads: dict[tuple[str, int], tuple[int, Iterator[int]]] = {}
        self._sql.executemany(_INSERT, self._rows(records, heads))
        ends = [(next(offsets), stream) for stream, offsets in heads.values()]
        self._sql.executemany("UPDATE stream SET next_offset = ? WHERE id = ?", ends)

    def _rows(
        self,
        records: Iterable[Outgoing],
        heads: dict[tuple[str, int], tuple[int, Iterator[int]]],
    ) -> Iterator[tuple[object, ...]]:
        """Yield what is to be inserted, and leave in `heads` where each stream goes on."""
        stamp = max(self._clock(), self._last_stamp())
        for record in records:
            place = (record.topic, record.partition)
            if place not in heads:
                heads[place] = self._head(*place)
            stream, offsets = heads[place]
            headers = pack_headers(record.headers)
            yield stream, next(offsets), stamp, record.key, record.value, headers

    def _last_stamp(self) -> int:
        query = "SELECT coalesce((SELECT timestamp FROM record ORDER BY id DESC LIMIT 1), 0)"
        return self._one(query)

    def _head(self, topic: str, partition: int) -> tuple[int, Iterator[int]]:
        row = self._sql.execute(
            "SELECT id, next_offset FROM stream WHERE topic = ? AND partition = ?",
            (topic, partition),
        ).fetchone()
        if row is None:
            raise LogRefusedError(f"{self.path} has no topic {topic} with partition {partition}")
        return row[0], count(row[1])

    def compact(self, topic: str) -> int:
        """Delete what later records of the same key supersede, and tombstones; return how many.

        Offsets are kept, so a topic that was compacted has gaps, as on Kafka.
        """
        with self.transaction():
            return self._sql.execute(_COMPACT, {"topic": topic}).rowcount

    def commit_position(self, topic: str, partition: int, next_offset: int) -> None:
        """Note, inside a `transaction`, up to where the owner has read a partition."""
        self._sql.execute(
            "UPDATE stream SET committed = ? WHERE topic = ? AND partition = ?",
            (next_offset, topic, partition),
        )

    def committed(self, topic: str, partition: int) -> int | None:
        """Return what `commit_position` noted last."""
        query = "SELECT coalesce(committed, -1) FROM stream WHERE topic = ? AND partition = ?"
        with translated(self.path):
            found = self._one(query, topic, partition)
        return None if found < 0 else found

    def changed(self) -> bool:
        """Whether another connection has written since the last call; costs next to nothing."""
        with translated(self.path):
            seen, self._seen = self._seen, self._one("PRAGMA data_version")
            return seen != self._seen

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the offset of the first record held and the one behind the last."""
        with translated(self.path):
            stream, offsets = self._head(topic, partition)
            end = next(offsets)
            query = 'SELECT coalesce(min("offset"), ?) FROM record WHERE stream = ?'
            return self._one(query, end, stream), end

    def fetch(
        self, topic: str, partition: int, offset: int, *, max_records: int, max_bytes: int
    ) -> list[Record]:
        """Return records of one partition from `offset` on.

        Stops at `max_records`, or behind the record that reaches `max_bytes` of keys and values.
        """
        with translated(self.path):
            rows = self._sql.execute(_FETCH, (topic, partition, offset, max_records))
            return [record for _, record in _bounded(rows, max_bytes)]

    def scan(
        self, topics: Sequence[str], after: int, last: int, *, max_records: int, max_bytes: int
    ) -> list[tuple[int, Record]]:
        """Return records of several topics in the order in which they were appended.

        Parameters
        ----------
        topics : sequence of str
        after, last : int
            Places, as returned, `after` < place <= `last`.
        max_records, max_bytes : int
            As in `fetch`.

        Returns
        -------
        list of (int, Record)
            Each with its place in the whole file.
        """
        names = json.dumps(list(topics))
        with translated(self.path):
            rows = self._sql.execute(_SCAN, (after, last, names, max_records))
            return list(_bounded(rows, max_bytes))

    def last_place(self) -> int:
        """Return the place of the last record in the whole file, 0 if there is none."""
        with translated(self.path):
            return self._one("SELECT coalesce(max(id), 0) FROM record")

    def place_of(self, topic: str, partition: int, offset: int) -> int:
        """Return the place of a partition's first record from `offset` on, or behind all."""
        with translated(self.path):
            stream, _ = self._head(topic, partition)
            query = (
                'SELECT coalesce((SELECT id FROM record WHERE stream = ? AND "offset" >= ? '
                'ORDER BY "offset" LIMIT 1), (SELECT coalesce(max(id), 0) + 1 FROM record))'
            )
            return self._one(query, stream, offset)

    def topics(self) -> Mapping[str, int]:
        """Return the topics and their numbers of partitions."""
        with translated(self.path):
            rows = self._sql.execute("SELECT topic, count(*) FROM stream GROUP BY topic")
            return dict(rows.fetchall())


def _bounded(rows: sqlite3.Cursor, max_bytes: int) -> Iterator[tuple[int, Record]]:
    held = 0
    with closing(rows):  # a statement left open would keep the WAL from being folded in
        for place, topic, partition, offset, timestamp, key, value, headers in rows:
            found = unpack_headers(headers)
            yield place, Record(topic, partition, offset, timestamp, key, value, found)
            held += len(key or b"") + len(value or b"")
            if held >= max_bytes:
                return
