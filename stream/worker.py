"""One worker process, seen from both sides of its pipe.

A worker has a pipe of its own and shares no lock with anyone, so that whatever kills it, wherever
it stands, leaves the others alone. It is forked from a fork server: a clean, single-threaded
process that has imported what jobs need and has all machine code in memory (`stream.warmed`), so a
new worker is there in some milliseconds, compiles nothing, and never holds a copy of the parent's
locks, sockets or event loop.

A worker must not outlive its parent, however the parent ends, nor may it live on unseen when the
fork server is killed. So each has a lifeline: a pipe into which nobody writes, and whose other end
only the parent holds. The kernel kills the worker when that end is closed (F_SETSIG). A thread of
the worker that watched the pipe could not do so in an endless loop of C code, and PR_SET_PDEATHSIG
watches the fork server, not the parent.
"""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import pickle
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from stream.faults import WarpFault
from stream.memory import keep_pages

__all__ = [
    "LONGEST_WARM_UP_S",
    "Broken",
    "Done",
    "Warmth",
    "Worker",
    "WorkerDiedError",
    "end_fork_server",
    "end_with",
]

LONGEST_WARM_UP_S = 300
"""Time in which the fork server must have its machine code. To load it takes less than a second, to
compile it for the first time on a machine well below a minute."""

_PRELOADED = ["stream.onethread", "stream.warpjobs", "stream.cli", "stream.warmed"]
"""What the fork server has at hand. A new worker runs the main script again (multiprocessing does
so), and the command's script imports `stream.cli`, which imports little."""

_GREETING_S = 60.0
_REAP_S = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """A job came to its end with a value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Broken:
    """A job raised, or its worker ended.

    Attributes
    ----------
    fault : WarpFault
    message : str
    again : bool
        Whether another worker may come to another end: the cause may have been another process, a
        machine that was suspended, or what the worker had done before.
    """

    fault: WarpFault
    message: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Warmth:
    """What the fork server did to have all machine code in memory.

    Attributes
    ----------
    seconds : float
        Time that it took.
    compiled, loaded : int
        Functions that were compiled, and that were found in the cache.
    kept : bool
        Whether what was compiled will be found at the next start.
    """

    seconds: float
    compiled: int
    loaded: int
    kept: bool


class WorkerDiedError(Exception):
    """A worker ended while it had a job, or before its first."""


class Worker:
    """The parent's handle of a worker that is ready; its methods block, so threads call them.

    Parameters
    ----------
    memory_bytes : int
        What the worker may allocate. The limit is RLIMIT_DATA: private memory however it was
        allocated, but not shared mappings of files.

    Attributes
    ----------
    pid : int
        Process id.
    sentinel : int
        A file descriptor that becomes readable when the process is gone.
    condemned : bool
        Whether it was killed, or shall not be used again.
    used : bool
        Whether it has had a job.
    warmth : Warmth
        What its fork server did before it was forked.

    Raises
    ------
    OSError
        If no process can be had.
    WorkerDiedError
        If the process ended, or did not greet in time, before its first job.
    """

    def __init__(self, memory_bytes: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._pipe, pipe = context.Pipe()
        lifeline, self._lifeline = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_serve, args=(pipe, lifeline, memory_bytes), name="evensky-worker", daemon=True
        )
        with pipe, lifeline, _sigint_blocked():
            self._start()
        self.pid = self._process.pid
        self.sentinel = self._process.sentinel
        self.condemned = self.used = False
        self._calling = threading.Lock()
        self.warmth = self._greeting()

    def _start(self) -> None:
        """Have the process forked; waits until the fork server has its machine code."""
        try:
            self._process.start()
        except EOFError:
            raise WorkerDiedError(
                "the process that workers are forked from ended before it was ready, of an error "
                f"that it has told or because it was not ready in {LONGEST_WARM_UP_S} s"
            ) from None

    def _greeting(self) -> Warmth:
        with contextlib.suppress(EOFError, OSError):
            if self._pipe.poll(_GREETING_S):
                warmth: Warmth = self._pipe.recv()
                return warmth
        self.kill()
        raise WorkerDiedError(f"a new worker was never ready: {self.reap()}")

    def call(self, function: Callable[..., Any], args: tuple[object, ...]) -> Done | Broken:
        """Run a job in the worker and wait for its answer.

        Raises
        ------
        WorkerDiedError
            If the worker ended first; it is condemned then.
        """
        self.used = True
        with self._calling:
            try:
                self._pipe.send((function, args))
                answer: Done | Broken = self._pipe.recv()
            except (EOFError, OSError) as error:
                self.kill()
                raise WorkerDiedError from error
            return answer

    def kill(self) -> None:
        """End the worker wherever it stands. Harmless if it has ended."""
        self.condemned = True
        with contextlib.suppress(ValueError):
            self._process.kill()

    def reap(self) -> str:
        """Wait for the end of a worker that was killed or died, and say how it ended."""
        self._lifeline.close()
        self._process.join(_REAP_S)
        code = self._process.exitcode
        with self._calling:  # whoever calls must notice first: its descriptor may be reused
            self._pipe.close()
        with contextlib.suppress(ValueError):
            self._process.close()
        return _described(code)


def end_fork_server() -> None:
    """Kill the process that workers are forked from: those that wait for one are told at once.

    Its workers end with it. The next worker starts another.
    """
    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # noqa: SLF001 - told nowhere else
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Let the fork server be born deaf to Ctrl-C, which a terminal sends to all our processes.

    It would ignore it by itself, but only once Python has started in it; before, it would end with
    a traceback.
    """
    resource_tracker.ensure_running()  # or it starts below, and unblocks SIGINT behind itself
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _described(code: int | None) -> str:
    if code is None:
        return "it cannot be ended"
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


# The worker's side


def _serve(pipe: Connection, lifeline: Connection, memory_bytes: int) -> None:
    """Do the parent's jobs one after the other, until it hangs up."""
    end_with(lifeline)
    _confine(memory_bytes)
    with contextlib.suppress(EOFError, OSError, MemoryError):
        pipe.send(_warmth())
        while True:
            pipe.send_bytes(_answer(pipe))


def _warmth() -> Warmth:
    from stream.warmed import WARMTH  # noqa: PLC0415 - the fork server has it; others must not

    return WARMTH


def end_with(lifeline: Connection) -> None:
    """Have the kernel kill this process when the lifeline's other end is closed.

    Parameters
    ----------
    lifeline : Connection
        One end of a pipe whose other end only the parent holds, and never writes into.
    """
    descriptor = lifeline.fileno()
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    if hasattr(fcntl, "F_SETSIG"):  # Linux; elsewhere it is SIGIO, which ends a process too
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
    if lifeline.poll():  # closed before the kernel watched it
        os._exit(0)


def _confine(memory_bytes: int) -> None:
    """Leave Ctrl-C to the parent, and set the limits and the habits of a worker's memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_pages()
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(pipe: Connection) -> bytes:
    """Do the next job; whatever it raises becomes an answer."""
    request = pipe.recv_bytes()
    try:
        function, args = pickle.loads(request)  # noqa: S301 - the bytes are our parent's
        del request  # holds a whole file, which the job has as an argument now
        return pickle.dumps(Done(function(*args)))
    except MemoryError:
        broken = Broken(WarpFault.OUT_OF_MEMORY, "the job needs more memory than a worker may have")
    except Exception as error:  # noqa: BLE001 - a job's fault is the caller's to judge
        broken = Broken(WarpFault.INTERNAL, f"{type(error).__name__}: {error}")
    return pickle.dumps(broken)
