"""A pool of worker processes in which one death costs one job.

Each worker has its own pipe and process (`stream.worker`), and each job its own worker, deadline
and attempts. Pools with one queue for all lose every job when one worker dies (concurrent.futures,
loky), or when it dies at the wrong moment: pebble 5 guards one shared pipe with locks between
processes, and a worker killed while idle, or while a job of some MB is on its way, ends that pool.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from stream.faults import WarpError, WarpFault
from stream.idle import Idle
from stream.worker import Broken, Done, Warmth, Worker, WorkerDiedError, end_fork_server

__all__ = ["AttemptRecord", "PoolClosedError", "WorkerPool"]

T = TypeVar("T")

_RETRY_FIRST_S = 0.05
_RETRY_MOST_S = 5.0
_POLL_S = 0.005
_END_S = 10.0
_HIRING_S = 2.0


class PoolClosedError(RuntimeError):
    """The pool was closed before the job had its result: nothing is known about the job."""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt at one job, for telemetry.

    Attributes
    ----------
    job : str
        Name of the function.
    attempt : int
        1 for the first.
    outcome : str
        "ok", or the value of the `WarpFault` that ended it: "killed", "timeout", "out_of_memory",
        "internal".
    waited_s, seconds : float
        Time until a worker was free, and time in the worker.
    arguments : tuple
        What the function was given.
    """

    job: str
    attempt: int
    outcome: str
    waited_s: float
    seconds: float
    arguments: tuple[object, ...] = ()


class WorkerPool:
    """Runs functions in worker processes that may die.

    Parameters
    ----------
    workers : int
        Processes, and so jobs at once.
    job_timeout_s : float
        What one attempt may take, in seconds; then its worker is killed.
    worker_memory_bytes : int
        What a worker may allocate, in bytes.
    max_attempts : int
        How many workers may die of a job, or be killed at its deadline, before it is given up.
    on_attempt : callable, optional
        Called in the event loop with an `AttemptRecord` after each attempt.
    """

    def __init__(
        self,
        workers: int,
        job_timeout_s: float,
        worker_memory_bytes: int,
        max_attempts: int = 3,
        on_attempt: Callable[[AttemptRecord], None] = lambda _: None,
    ) -> None:
        self._size = workers
        self._timeout_s = job_timeout_s
        self._memory_bytes = worker_memory_bytes
        self._max_attempts = max_attempts
        self._on_attempt = on_attempt
        self._workers: dict[Worker, asyncio.Future[str]] = {}
        self._idle: Idle[Worker | None] = Idle()
        self._repairs: set[asyncio.Task[None]] = set()
        self._hiring: set[Future[Worker]] = set()
        self._settled = asyncio.Event()
        self._settled.set()
        self._running = 0
        self._closing = False
        self._threads = ThreadPoolExecutor(2 * workers + 2, thread_name_prefix="evensky-pool")

    @property
    def running(self) -> int:
        """Jobs that have a worker."""
        return self._running

    @property
    def alive(self) -> int:
        """Workers that are up and not about to be replaced."""
        return sum(not worker.condemned for worker in self._workers)

    @property
    def pids(self) -> frozenset[int]:
        """Process ids of the workers that are up."""
        return frozenset(w.pid for w in self._workers if w.pid and not w.condemned)

    async def start(self) -> Warmth:
        """Start the workers; return when all are ready, with all machine code in memory.

        Returns
        -------
        Warmth
            What was done for the machine code, in the process that all workers are forked from.

        Raises
        ------
        OSError, stream.worker.WorkerDiedError
            If no worker comes up at all, which trying again would not mend.
        """
        hired = await asyncio.gather(*(self._hire() for _ in range(self._size)))
        return hired[0].warmth

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        """Run ``function(*args)`` in a worker and return what it returns.

        Both travel by pickle. If the caller is cancelled, the job's worker is killed.

        Raises
        ------
        WarpError
            `killed` or `timeout` after `max_attempts`, `out_of_memory` if a worker that had no job
            before has too little, or `internal` for anything else that the function raised.
        PoolClosedError
            If the pool was closed first.
        """
        attempt, deaths = 1, 0
        answer = await self._attempt(attempt, function, args)
        while isinstance(answer, Broken):
            deaths += answer.fault is not WarpFault.OUT_OF_MEMORY
            if not answer.again or deaths >= self._max_attempts:
                raise WarpError(answer.fault, answer.message)
            attempt += 1
            answer = await self._attempt(attempt, function, args, answer)
        value: T = answer.value
        return value

    async def close(self, grace_s: float) -> None:
        """Refuse new jobs, let the running ones finish for `grace_s` seconds, and end all workers.

        A job that did not finish raises `PoolClosedError` where it was awaited.
        """
        self._closing = True
        self._idle.put(None)
        try:
            await asyncio.wait_for(self._settled.wait(), grace_s)
        except TimeoutError:
            pass
        finally:
            await self._end()

    # One attempt

    async def _attempt(
        self,
        attempt: int,
        function: Callable[..., Any],
        args: tuple[object, ...],
        before: Broken | None = None,
    ) -> Done | Broken:
        asked = time.monotonic()
        worker = await self._free_worker(before)
        began = time.monotonic()
        self._running += 1
        self._settled.clear()
        try:
            answer = await self._drive(worker, function, args)
        finally:
            self._running -= 1
            if not self._running:
                self._settled.set()
            self._give_back(worker)
        outcome = "ok" if isinstance(answer, Done) else answer.fault.value
        name = getattr(function, "__name__", "job")
        ended = time.monotonic()
        self._on_attempt(AttemptRecord(name, attempt, outcome, began - asked, ended - began, args))
        return answer

    async def _free_worker(self, before: Broken | None) -> Worker:
        """Wait for a worker; a job that lost one goes first, or what killed it meets it again.

        Behind the others it would be at work at the time of the next trouble as likely as they,
        and it alone is given up after a few. One that ran out of memory gets a fresh worker.
        """
        fresh = before is not None and before.fault is WarpFault.OUT_OF_MEMORY
        while not self._closing:
            worker = await self._idle.get(first=before is not None)
            if worker is None:
                break
            if fresh and worker.used:
                worker.kill()
            if not worker.condemned:
                return worker
        self._idle.put(None)  # the next one who waits must hear of it too
        raise PoolClosedError("the pool is closed")

    async def _drive(
        self, worker: Worker, function: Callable[..., Any], args: tuple[object, ...]
    ) -> Done | Broken:
        """Have one worker do one job; at the deadline, or if nobody waits, it is killed."""
        loop = asyncio.get_running_loop()
        ended = self._workers[worker]
        deadline = loop.call_later(self._timeout_s, worker.kill)
        due, used = loop.time() + self._timeout_s, worker.used
        try:
            answer = await loop.run_in_executor(self._threads, worker.call, function, args)
        except WorkerDiedError:
            return await self._death(ended, timed_out=loop.time() >= due)
        except asyncio.CancelledError:
            worker.kill()
            raise
        finally:
            deadline.cancel()
        if isinstance(answer, Broken) and answer.fault is WarpFault.OUT_OF_MEMORY:
            worker.kill()
            return replace(answer, again=used)  # what it kept of other jobs may be what was missing
        return answer

    async def _death(self, ended: asyncio.Future[str], *, timed_out: bool) -> Broken:
        await asyncio.wait({ended}, timeout=_END_S)
        how = ended.result() if ended.done() else "it has not ended yet"
        if self._closing:
            raise PoolClosedError("the pool was closed while the job ran")
        if timed_out:
            message = f"the job took longer than {self._timeout_s:g} s"
            return Broken(WarpFault.TIMEOUT, message, again=True)
        message = f"the worker died while it had the job: {how}"
        return Broken(WarpFault.KILLED, message, again=True)

    def _give_back(self, worker: Worker) -> None:
        if not worker.condemned:
            self._idle.put(worker)

    # Workers come and go

    async def _hire(self) -> Worker:
        """Start one worker and let it rest until it is needed."""
        loop = asyncio.get_running_loop()
        hiring = self._threads.submit(Worker, self._memory_bytes)
        self._hiring.add(hiring)
        hiring.add_done_callback(self._hiring.discard)
        try:
            worker = await asyncio.wrap_future(hiring)
        except asyncio.CancelledError:
            hiring.add_done_callback(_dismiss)
            raise
        self._workers[worker] = loop.create_future()
        loop.add_reader(worker.sentinel, self._on_end, worker)
        if self._closing:
            worker.kill()
        self._give_back(worker)
        return worker

    def _on_end(self, worker: Worker) -> None:
        """Replace a worker that has ended, whatever it ended of and whether it had a job or not."""
        asyncio.get_running_loop().remove_reader(worker.sentinel)
        worker.condemned = True
        repair = asyncio.create_task(self._replace(worker))
        self._repairs.add(repair)
        repair.add_done_callback(self._repairs.discard)

    async def _replace(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        how = await loop.run_in_executor(self._threads, worker.reap)
        self._workers.pop(worker).set_result(how)
        pause_s = _RETRY_FIRST_S
        while not self._closing:
            try:
                await self._hire()
            except (OSError, WorkerDiedError):
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _RETRY_MOST_S)
            else:
                return

    async def _end(self) -> None:
        """Kill every worker, and wait until each was reaped; who is still hired is waited for.

        But not long: a fork server that compiles would keep the process alive for as long.
        """
        patience = time.monotonic() + _HIRING_S
        while self._workers or self._repairs or self._hiring:
            for worker in self._workers:
                worker.kill()
            if self._hiring and time.monotonic() > patience:
                end_fork_server()
            await asyncio.sleep(_POLL_S)
        self._threads.shutdown(wait=False)


def _dismiss(hiring: Future[Worker]) -> None:
    """End a worker that came up when nobody waited for it any more."""
    if not hiring.cancelled() and hiring.exception() is None:
        worker = hiring.result()
        worker.kill()
        worker.reap()
