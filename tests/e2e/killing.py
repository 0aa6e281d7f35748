"""The service with a warp that kills: the job that has it takes the whole process group along.

Run by a test as a process of its own; the checksum of the warp stands in the variable `VARIABLE`.
"""

from __future__ import annotations

import os
import signal
import sys

import core
from stream import jobs
from stream.cli import main
from stream.decodelimits import DecodeLimits

__all__ = ["VARIABLE", "measure", "serve"]

VARIABLE = "KILLING_WARP"

_measure = jobs.measure


def measure(
    warp: jobs.WarpInput, config: core.MatchConfig, limits: DecodeLimits
) -> jobs.Measured | jobs.JobFault:
    """Measure a warp, unless it kills."""
    if warp.checksum == os.environ[VARIABLE]:
        os.killpg(0, signal.SIGKILL)
    return _measure(warp, config, limits)


def serve() -> None:
    """Run the command `evensky` with this job."""
    jobs.measure = measure
    main(sys.argv[1:])
