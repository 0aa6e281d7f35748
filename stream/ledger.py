"""What runs in this process, written where a kill cannot take it back.

A file of pages: one for each job that runs, blank when the job has ended. A page is written in one
go, so that wherever the process is killed the file tells what ran; nothing is synced, as it is to
survive the process and not the machine. The process holds a lock on its file, which ends with it
however it ends: a file that can be locked is a dead one's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import structlog

import schemas

__all__ = ["Dead", "Entry", "Ledger", "dead_ledgers"]

log = structlog.get_logger(__name__)

_PAGE: Final = 4096
_BLANK: Final = b"\n" * _PAGE
_MOST_PAGES: Final = 10_000


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A job that runs.

    Attributes
    ----------
    job : str
        Its name.
    group : str
        Key of the group that it works for.
    visit : int
        The warp at work.
    alone : bool
        Whether nothing else of this process runs beside it.
    at : int
        When it began, microseconds since 1970; tells this run from every other one.
    """

    job: str
    group: str
    visit: int
    alone: bool
    at: int


class Ledger:
    """The file of this process.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    service : str
        What the process works for: only those that work for the same look after its file.

    Raises
    ------
    OSError
        The folder cannot be written.
    """

    def __init__(self, folder: Path, service: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        token = secrets.token_hex(8)
        self.path = folder / f"running-{service}-{token}"
        unlocked = folder / f"new-{token}"
        self._file = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        unlocked.rename(self.path)  # from here on others look at it, and find it locked
        self._pages: set[int] = set()
        self._failed = False

    @contextlib.contextmanager
    def listed(self, entry: Entry) -> Iterator[None]:
        """List a job for as long as it runs; whatever ends it but a kill takes it from the list."""
        page = next(number for number in range(_MOST_PAGES) if number not in self._pages)
        self._pages.add(page)
        self._write(page, msgspec.json.encode(entry))
        try:
            yield
        finally:
            self._write(page, b"")
            self._pages.discard(page)

    def close(self) -> None:
        """Remove the file: this process ends of itself."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = -1  # its number may be another file's by now

    def _write(self, page: int, text: bytes) -> None:
        try:
            os.pwrite(self._file, text + _BLANK[len(text) :], page * _PAGE)
        except OSError as error:
            if not self._failed:
                log.warning("what runs cannot be written down", file=str(self.path), why=str(error))
            self._failed = True


@dataclass(frozen=True, slots=True)
class Dead:
    """What a process left that was killed.

    Attributes
    ----------
    path : Path
        Its file.
    entries : tuple of Entry
        What ran in it.
    """

    path: Path
    entries: tuple[Entry, ...]


@contextlib.contextmanager
def dead_ledgers(folder: Path, service: str) -> Iterator[Sequence[Dead]]:
    """Give the files of dead processes; they are removed if the context ends well.

    Nobody else is given the same ones meanwhile.

    Parameters
    ----------
    folder : Path
        Of which nothing is expected.
    service : str
        As in `Ledger`.
    """
    with contextlib.ExitStack() as locks:
        found = []
        for path in sorted(folder.glob(f"running-{service}-*")):
            if (file := _locked(path)) is not None:
                locks.callback(os.close, file)
                found.append(Dead(path, tuple(_entries(file))))
        yield found
        for dead in found:
            dead.path.unlink(missing_ok=True)


def _locked(path: Path) -> int | None:
    """Open and lock a file; None if a living process has it, or removed it meanwhile."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alive = os.fstat(file).st_nlink == 0
    except OSError:
        alive = True
    if alive:
        os.close(file)
        return None
    return file


def _entries(file: int) -> Iterator[Entry]:
    """Yield what stands on the pages; a page that makes no sense tells of no job."""
    for page in range(_MOST_PAGES):
        text = os.pread(file, _PAGE, page * _PAGE)
        if not text:
            return
        try:
            entry = msgspec.json.decode(text.strip(b"\n") or b"null", type=Entry | None)
            if entry is not None:
                schemas.GroupId.parse(entry.group)
                yield entry
        except (ValueError, schemas.SchemaError):
            continue
