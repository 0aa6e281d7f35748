"""`evensky` as a process of its own: started, watched, stopped, frozen, killed."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

__all__ = ["PATIENCE_S", "ProofError", "Running", "environment", "launch", "quantile", "until"]

PATIENCE_S: Final = 150.0
"""For whatever must come at last; machines that run tests are slow now and then."""

_ROOT: Final = Path(__file__).resolve().parents[2]
_LOOK_S = 0.05
_TAIL = 4000


class ProofError(Exception):
    """A run did not come to its end, so that it proves nothing either way."""


def environment(tree: Path | None = None) -> dict[str, str]:
    """Return an environment in which no setting of the caller's is left, and which finds `ops`.

    Parameters
    ----------
    tree : Path, optional
        A checkout whose packages are run instead of ours.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVENSKY_")}
    paths = [str(tree or _ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    changes = {"COLUMNS": "80", "PYTHONWARNINGS": "default", "PYTHONPATH": os.pathsep.join(paths)}
    return kept | changes


def until(holds: Callable[[], object], within: float = PATIENCE_S) -> None:
    """Wait until something holds.

    Raises
    ------
    ProofError
        It did not, within so many seconds.
    """
    end = time.monotonic() + within
    while not holds():
        if time.monotonic() > end:
            raise ProofError(f"it did not come to pass within {within:g} s")
        time.sleep(_LOOK_S)


@dataclass
class Running:
    """A service in a process.

    Attributes
    ----------
    process : Popen
    log : Path
        What it logs; a restart appends to it.
    begins : int
        Where in that file this process began.
    """

    process: subprocess.Popen[bytes]
    log: Path
    begins: int = 0

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def text(self) -> str:
        """Return what it has logged so far."""
        with self.log.open("rb") as file:
            file.seek(self.begins)
            return file.read().decode(errors="replace")

    def says(self, words: str) -> bool:
        """Tell whether something was logged."""
        return words in self.text()

    def took(self) -> dict[str, list[float]]:
        """Return what a timed service told: durations in seconds, by what took them."""
        found: dict[str, list[float]] = {}
        for line in self.text().splitlines():
            match line.split():
                case ["took", what, seconds]:
                    found.setdefault(what, []).append(float(seconds))
        return found

    def until_it_says(self, words: str, within: float = PATIENCE_S) -> None:
        """Wait until something is logged; its death ends the wait."""
        self.until_it_says_or_ends(words, within)
        if not self.says(words):
            raise ProofError(f"it ended without {words!r}: {self.text()[-_TAIL:]}")

    def until_it_says_or_ends(self, words: str, within: float = PATIENCE_S) -> None:
        """Wait until something is logged or the process ends."""
        until(lambda: self.says(words) or not self.alive, within)

    def family(self) -> list[psutil.Process]:
        """Return the processes that live by this one."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """Kill it as the out-of-memory killer does, and hold that nothing of it lives on."""
        family = self.family() if self.alive else []
        self.process.kill()
        self.buried(family)

    def buried(self, family: Sequence[psutil.Process] = ()) -> int:
        """Wait until it and its family are gone; return its exit code."""
        code = self.process.wait(PATIENCE_S)
        _, alive = psutil.wait_procs(family, PATIENCE_S)
        if alive:
            raise ProofError(f"workers outlived their service: {alive}")
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(2 * PATIENCE_S)

    def freeze(self) -> None:
        """Stop it in its tracks: a zombie to be."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, as if no time had passed."""
        self.process.send_signal(signal.SIGCONT)

    @property
    def frozen(self) -> bool:
        """Whether it is stopped, by us or by a trap of its own."""
        return self.alive and psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED


def launch(
    command: Sequence[str | Path], log: Path, tree: Path | None = None, home: Path | None = None
) -> Running:
    """Start a process that logs into a file, behind what is there; it dies with us.

    Parameters
    ----------
    command : sequence of str or Path
    log : Path
    tree : Path, optional
        A checkout whose packages are run instead of ours.
    home : Path, optional
        Its home folder: what a service keeps on its host, beside a log that is elsewhere.
    """
    with log.open("ab") as out:
        begins = out.seek(0, os.SEEK_END)
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*_dies_with_us(), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stderr=out,
            stdout=out,
            env=environment(tree) | ({} if home is None else {"HOME": str(home)}),
            cwd=tree or _ROOT,  # where `python -c` looks first
        )
    return Running(process, log, begins)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of all lies; of no values NaN."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


def _dies_with_us() -> Sequence[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []
