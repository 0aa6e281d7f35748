"""Copies of the service, each a process, kept up as a supervisor would."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ops.proof.hooks import Hooks
from ops.proof.place import Place
from ops.proof.processes import ProofError, Running, launch

__all__ = ["STARTED", "Copy", "Fleet"]

STARTED: Final = '"event": "started"'
"""What a copy logs when its log is open and its workers are ready."""

_START: Final = "import sys; from ops.proof.service import main; main(sys.argv[1:])"
_PLAIN: Final = "from stream.cli import main; main()"
"""Not ``-m``: multiprocessing would import that module again in each worker."""

_OPTIONS: Final = ("--http", "off", "--log-format", "json", "-c", "bin_size=8")
_SMALL: Final = ("--workers", "1", "--worker-memory-bytes", "1GiB", "--max-warp-side-px", "512")
_FETCH: Final = ("--max-warp-bytes", "1MiB", "--fetch-in-flight-bytes", "64MiB")
_EXPECTED: Final = (0, -signal.SIGKILL)
_CLIENT: Final = '"logger": "aiokafka.'
_LOOK_S = 0.05
_FIRST_START_S = 400.0
"""With all machine code to be compiled, as at a machine's first start."""


@dataclass
class Copy:
    """One copy of the service, over all its restarts.

    Attributes
    ----------
    name : str
    options : tuple of str
        What it is told besides.
    running : Running
        Its present process.
    kept_up : bool
        Whether it is started again when it ends.
    starts : int
    tree : Path or None
        The checkout that it is run from, if not ours; it has no hooks.
    """

    name: str
    options: tuple[str, ...]
    running: Running
    kept_up: bool = True
    starts: int = 1
    tree: Path | None = None


class Fleet:
    """Copies of the service on one log; nothing of them outlives the ``with`` block.

    Parameters
    ----------
    place : Place
    folder : Path
        For their logs, one file a copy.
    options : str
        What each is told besides.
    """

    def __init__(self, place: Place, folder: Path, *options: str) -> None:
        self.place = place
        self.folder = folder
        self.options = options
        self.copies: dict[str, Copy] = {}
        self.exits: Counter[int] = Counter()

    def __enter__(self) -> Self:
        """Begin without a copy."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all copies."""
        for copy in self.copies.values():
            copy.kept_up = False
            copy.running.thaw()
            copy.running.kill()

    def __getitem__(self, name: str) -> Running:
        """Return the present process of a copy."""
        return self.copies[name].running

    def __iter__(self) -> Iterator[Copy]:
        """Go through the copies."""
        return iter(list(self.copies.values()))

    def start(
        self, name: str, hooks: Hooks | None = None, *options: str, tree: Path | None = None
    ) -> Running:
        """Start a copy; its restarts have no hooks but those of `restart`."""
        running = self._launch(name, options, hooks, tree)
        self.copies[name] = Copy(name, options, running, tree=tree)
        return running

    def start_all(self, *names: str) -> None:
        """Start copies, and wait until each has its log open."""
        for name in names:
            self.start(name)
        for name in names:
            self[name].until_it_says(STARTED, _FIRST_START_S)

    def restart(self, name: str, hooks: Hooks | None = None) -> Running:
        """Start a copy again that has ended."""
        copy = self.copies[name]
        copy.running = self._launch(name, copy.options, hooks, copy.tree)
        copy.starts += 1
        return copy.running

    def _launch(
        self, name: str, options: tuple[str, ...], hooks: Hooks | None, tree: Path | None
    ) -> Running:
        program = [_START, (hooks or Hooks()).text()] if tree is None else [_PLAIN, "run"]
        words = [sys.executable, "-c", *program]
        words += [*self.place.options, *self.place.service, *_OPTIONS, *_SMALL, *_FETCH]
        home = self.folder / "homes" / name
        home.mkdir(parents=True, exist_ok=True)
        words += [*self.options, *options]
        return launch(words, self.folder / f"{name}.txt", tree, home)

    def tend(self, hooks: Mapping[str, Hooks] | None = None) -> list[str]:
        """Start again those that ended; return their names.

        Parameters
        ----------
        hooks : mapping, optional
            What those are told that are started again.
        """
        ended = [one for one in self if not one.running.alive and one.kept_up]
        for copy in ended:
            self.exits[copy.running.buried()] += 1
            self.restart(copy.name, (hooks or {}).get(copy.name))
        return [copy.name for copy in ended]

    def kill(self, name: str) -> None:
        """Kill a copy with SIGKILL and count it; `tend` starts it again."""
        running = self[name]
        running.kill()
        self.exits[running.buried()] += 1
        if self.copies[name].kept_up:
            self.restart(name)

    def stop(self, name: str) -> tuple[int, float]:
        """Ask a copy to stop, for good; return its exit code and what that took, seconds."""
        self.copies[name].kept_up = False
        began = time.monotonic()
        code = self[name].stop()
        self.exits[code] += 1
        return code, time.monotonic() - began

    def until(self, holds: Callable[[], object], within: float, look_s: float = _LOOK_S) -> None:
        """Keep all copies up until something holds.

        Raises
        ------
        ProofError
            It did not, within so many seconds.
        """
        end = time.monotonic() + within
        while not holds():
            self.tend()
            if time.monotonic() > end:
                raise ProofError(f"it did not come to pass within {within:g} s; {self.told()}")
            time.sleep(look_s)

    def tend_for(self, seconds: float) -> None:
        """Keep all copies up for some time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.tend()
            time.sleep(_LOOK_S)

    def told(self) -> str:
        """Say how the copies are, with the end of what each logged."""
        lines = (f"{one.name}: {one.running.text()[-1500:]}" for one in self)
        return f"exits {dict(self.exits)}\n" + "\n".join(lines)

    def complaints(self) -> list[str]:
        """Return what no copy should ever have logged: errors of ours, tracebacks of anybody.

        The client's own errors do not count: it logs as such what it mends itself. An end of its
        own accord counts, wherever `tend` saw it.
        """
        ends = [code for code in self.exits if code not in _EXPECTED]
        told = [f"a copy ended by itself with exit code {code}" for code in sorted(ends)]
        bad = ('"level": "error"', '"level": "critical"', "Traceback", "was never retrieved")
        return told + [
            f"{one.name} logged: {line[:500]}"
            for one in self
            for line in (self.folder / f"{one.name}.txt").read_text(errors="replace").splitlines()
            if any(words in line for words in bad) and _CLIENT not in line
        ]
