"""The service with jobs that kill: one takes the whole process group along, one its worker alone.

Run by a test as a process of its own. The checksum of the warp that kills all stands in the
variable `VARIABLE`; the first worker that lays planes dies in the middle of it if `MARK` names a
file, which it makes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import core
from stream import jobs
from stream.cli import main
from stream.decodelimits import DecodeLimits
from stream.spool import files

__all__ = ["MARK", "SERVE", "VARIABLE", "measure", "serve"]

SERVE = "from tests.e2e.killing import serve; serve()"
VARIABLE = "KILLING_WARP"
MARK = "KILLING_MARK"

_measure = jobs.measure


def measure(
    warp: jobs.WarpInput, config: core.MatchConfig, limits: DecodeLimits
) -> jobs.Measured | jobs.JobFault:
    """Measure a warp, unless it kills."""
    if warp.checksum == os.environ.get(VARIABLE):
        os.killpg(0, signal.SIGKILL)
    if MARK in os.environ:
        with contextlib.suppress(FileExistsError):
            Path(os.environ[MARK]).touch(exist_ok=False)
            files._write = _die_at_the_second()  # noqa: SLF001 - in this worker alone
    return _measure(warp, config, limits)


def _die_at_the_second() -> Any:
    write, written = files._write, list[None]()  # noqa: SLF001 - dies in the middle of a file

    def writing(*args: Any) -> None:
        if written:
            os.kill(os.getpid(), signal.SIGKILL)
        written.append(None)
        write(*args)

    return writing


def serve() -> None:
    """Run the command `evensky` with this job."""
    jobs.measure = measure
    main(sys.argv[1:])
