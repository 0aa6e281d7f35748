"""Bring all machine code into the process that workers are forked from, before any is forked.

A worker then has every kernel in memory at birth, shared with its siblings, and so has one that
replaces another in the midst of work. Like `stream.onethread` this does its work on import, and
nothing but the fork server may import it.

A compiler leaves 200 MB behind it that machine code from the cache does not need, and that would
count against the limit of every worker. So the first time, when there is something to compile, a
child does that and ends. If it all takes too long, the kernel ends this process, even in the midst
of a compiler's C++, and whoever waits for a worker hears of that.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from types import ModuleType
from typing import Any, Final, cast

from numba.core.event import Event, Listener, install_listener

import core
from stream.worker import LONGEST_WARM_UP_S, Warmth, end_with

__all__ = ["WARMTH"]


class _ColdError(Exception):
    """There is something to compile."""


class _Refusal(Listener):
    """Does not let anything be compiled."""

    def on_start(self, event: Event) -> None:  # noqa: ARG002 - numba's signature
        """Hear that a compilation begins."""
        raise _ColdError

    def on_end(self, event: Event) -> None:
        """Hear that a compilation ended, which none does."""


def _warmed() -> Warmth:
    began = time.monotonic()
    signal.alarm(LONGEST_WARM_UP_S)
    with _without_blas():
        compiled, report = _warm()
    signal.alarm(0)
    gc.collect()
    gc.freeze()  # a collection in a worker would copy the pages of what it looks at
    gc.enable()
    return Warmth(time.monotonic() - began, compiled, report.loaded, report.kept)


@contextmanager
def _without_blas() -> Iterator[None]:
    """Spare numba the look for a BLAS, which no kernel calls: a seventh of the start."""
    sys.modules["scipy.linalg"] = cast("ModuleType", None)
    try:
        yield
    finally:
        del sys.modules["scipy.linalg"]


def _warm() -> tuple[int, core.WarmUp]:
    """Warm up, and return how many functions a child had to compile for that."""
    try:
        with install_listener("numba:compile", _Refusal()):
            return 0, core.warm_up()
    except _ColdError:
        compiled = _compiled_by_a_child()
        return compiled, core.warm_up()


def _compiled_by_a_child() -> int:
    """Compile what the cache lacks, and return how many functions that were."""
    told, telling = Pipe(duplex=False)
    lifeline, ours = Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _compile(telling, lifeline)
    telling.close()
    os.waitpid(pid, 0)
    try:
        compiled: int = told.recv()
    except EOFError:  # it was killed; what is missing is compiled here
        return 0
    return compiled


def _compile(telling: Any, lifeline: Any) -> None:
    """Fill the cache, and end this process, with its parent's end at the latest."""
    try:
        gc.enable()
        end_with(lifeline)
        signal.alarm(LONGEST_WARM_UP_S)
        telling.send(core.warm_up().compiled)
    finally:
        os._exit(0)


WARMTH: Final = _warmed()
"""What was done, as each worker tells it to its parent."""
