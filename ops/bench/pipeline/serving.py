"""A watched service in a process of its own: its notes, processor time and memory."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

import schemas
from ops.proof.processes import Running, launch
from stream.announce import Announcer
from stream.configure import load_settings
from stream.roots import remember
from stream.settings import Settings
from stream.wiring import our_topics, publisher_log

__all__ = ["BenchError", "Memory", "Note", "Served", "serving"]

Note = Mapping[str, Any]

_LOOK_S: Final = 0.02
_SAMPLE_S: Final = 0.1
_KIB: Final = 1024
PATIENCE_S: Final = 1800.0


class BenchError(Exception):
    """A run did not come to its end, so that it measures nothing."""


@dataclass(slots=True)
class Memory:
    """What all processes of a service have had, in bytes, while it was looked at.

    Attributes
    ----------
    at : list of float
        Seconds since the first look.
    private : list of int
        Memory of all, each shared page once, without files in memory (the spool on tmpfs).
    spool : list of int
        Files of the spool.
    """

    at: list[float] = field(default_factory=list)
    private: list[int] = field(default_factory=list)
    spool: list[int] = field(default_factory=list)

    @property
    def peak(self) -> int:
        """The most of `private`."""
        return max(self.private, default=0)

    def slope(self, since: float = 0.0) -> float:
        """Return by how many bytes a second `private` grows, from a time on: least squares."""
        points = [(a, b) for a, b in zip(self.at, self.private, strict=True) if a >= since]
        if len({at for at, _ in points}) < 2:  # noqa: PLR2004 - a line
            return 0.0
        mean_x, mean_y = (sum(one) / len(points) for one in zip(*points, strict=True))
        over = sum((x - mean_x) * (y - mean_y) for x, y in points)
        return float(over / sum((x - mean_x) ** 2 for x, _ in points))


@dataclass
class Served:
    """A service.

    Attributes
    ----------
    folder : Path
        Where its log, its spool and its notes are.
    settings : Settings
        Of its log.
    running : Running
    """

    folder: Path
    settings: Settings
    running: Running
    _notes: dict[str, list[Note]] = field(default_factory=lambda: defaultdict(list))
    _read: int = 0

    def notes(self, what: str) -> list[Note]:
        """Return all of a kind that was noted so far."""
        with suppress(FileNotFoundError), (self.folder / "notes").open("rb") as file:
            file.seek(self._read)
            text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read += len(whole)
            for note in map(json.loads, whole.splitlines()):
                self._notes[note["what"]].append(note)
        return self._notes[what]

    def until(self, holds: Callable[[], object], within: float = PATIENCE_S) -> None:
        """Wait until something holds; the service's end ends the wait."""
        end = time.monotonic() + within
        while not holds():
            if time.monotonic() > end or not self.running.alive:
                raise BenchError(f"it did not come to its end: {self.running.text()[-2000:]}")
            time.sleep(_LOOK_S)

    def until_published(self, count: int) -> Note:
        """Wait until so many revisions are published, and return the note of the last."""
        self.until(lambda: len(self.notes("published")) >= count)
        return self.notes("published")[count - 1]

    def announce(self, messages: Sequence[schemas.Message], *folders: Path) -> float:
        """Announce as `evensky announce` does; return when it was durable."""
        remember(self.settings.log, folders)
        return asyncio.run(_announced(self.settings, messages))

    @property
    def processes(self) -> list[psutil.Process]:
        """The service and those that live by it."""
        return [psutil.Process(self.running.process.pid), *self.running.family()]

    def processor_s(self) -> float:
        """Return the processor time of all processes so far, user and system, seconds."""
        total = 0.0
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def decodes(self) -> Counter[str]:
        """Return how many warps were decoded, by cause, as the service counts them."""
        return Counter(one["cause"] for one in self.notes("decoded"))

    @contextmanager
    def watched(self) -> Iterator[Memory]:
        """Look at the memory again and again."""
        memory, done = Memory(), threading.Event()
        began = time.monotonic()

        def look() -> None:
            while not done.wait(_SAMPLE_S):
                memory.at.append(time.monotonic() - began)
                memory.private.append(sum(map(_private_bytes, self.processes)))
                memory.spool.append(_size_of(self.folder / "spool"))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield memory
        finally:
            done.set()
            thread.join()


async def _announced(settings: Settings, messages: Sequence[schemas.Message]) -> float:
    log = publisher_log(settings)
    await log.start()
    try:
        await Announcer(log, our_topics(settings), time.time).send(messages)
        return time.monotonic()
    finally:
        await log.close()


def _private_bytes(process: psutil.Process) -> int:
    """Return a process's share of memory: of pages that n processes map, the n-th part."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return (found.get("Pss", 0) - found.get("Pss_Shmem", 0)) * _KIB


def _size_of(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):
            total += file.stat().st_blocks * 512
    return total


@contextmanager
def serving(folder: Path, *words: str, before: Sequence[str] = ()) -> Iterator[Served]:
    """Run a watched service on a new log; it has its machine code when the context begins.

    Parameters
    ----------
    folder : Path
        Made for it; warps in it may be read.
    *words : str
        What `evensky run` is told besides.
    before : sequence of str
        Words before the command, such as ``taskset -c 0``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log, program = folder / "evensky.db", "ops.bench.pipeline.watched"
    settings = load_settings({"log": log, "partitions": 1}, environment={})
    given = ("--log", str(log), "--partitions", "1", "--http", "off")
    spool = ("--spool-dir", str(folder / "spool"))
    command = [*before, sys.executable, "-m", program, str(folder / "notes"), *given, *spool]
    running = launch([*command, *words], folder / "service.txt")
    try:
        running.until_it_says("started")
        yield Served(folder, settings, running)
    finally:
        running.kill()
