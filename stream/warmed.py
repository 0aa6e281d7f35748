"""Bring all machine code into the process that workers are forked from, before any is forked.

A worker then has every kernel in memory at birth, shared with its siblings, and so has one that
replaces another in the midst of work. Like `stream.onethread` this does its work on import, and
nothing but the fork server may import it. Whoever waits for a worker meanwhile hears an end: if it
takes too long, the kernel ends this process, even in the midst of a compiler's C++.
"""

from __future__ import annotations

import gc
import signal
import time
from typing import Final

import core
from stream.worker import LONGEST_WARM_UP_S, Warmth

__all__ = ["WARMTH"]


def _warmed() -> Warmth:
    signal.alarm(LONGEST_WARM_UP_S)
    began = time.monotonic()
    report = core.warm_up()
    seconds = time.monotonic() - began
    signal.alarm(0)
    gc.collect()
    gc.freeze()  # a collection in a worker would copy the pages of what it looks at
    return Warmth(seconds, report.compiled, report.loaded, report.kept)


WARMTH: Final = _warmed()
"""What was done, as each worker tells it to its parent."""
