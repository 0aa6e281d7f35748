"""The worker pool, with real signals."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from stream.faults import WarpError, WarpFault
from stream.pool import AttemptRecord, PoolClosedError, WorkerPool
from stream.worker import Worker, WorkerDiedError
from tests.stream import pooljobs

GIB = 1 << 30


@asynccontextmanager
async def pooled(
    workers: int = 2, *, timeout_s: float = 20.0, attempts: int = 3, memory: int = GIB
) -> AsyncIterator[tuple[WorkerPool, list[AttemptRecord]]]:
    """Give a started pool and the list that its attempts are recorded in."""
    records: list[AttemptRecord] = []
    pool = WorkerPool(workers, timeout_s, memory, attempts, records.append)
    await pool.start()
    try:
        yield pool, records
    finally:
        await pool.close(0)


async def fault_of(job: Awaitable[object]) -> WarpError:
    """Return the WarpError that a job ends with."""
    with pytest.raises(WarpError) as caught:
        await job
    return caught.value


async def until(condition: Callable[[], bool], seconds: float = 2.0) -> float:
    """Wait until something is so, and return how long it took; too long is a failure."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def _replaced(pool: WorkerPool, before: frozenset[int]) -> bool:
    return pool.alive == 2 and not pool.pids & before


def _all_gone(pids: list[int], seconds: float = 5.0) -> bool:
    alive = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    return not psutil.wait_procs(alive, timeout=seconds)[1]


# Ordinary days


async def test_a_job_gives_its_value() -> None:
    """What a function returns in a worker is what the caller gets."""
    async with pooled() as (pool, _):
        assert pool.alive == 2
        assert await pool.run(pooljobs.add, 1, 2) == 3
        assert os.getpid() != await pool.run(pooljobs.sleep, 0.0)


async def test_many_jobs_share_few_workers() -> None:
    """More jobs than workers wait their turn, and each gets its own answer."""
    async with pooled() as (pool, _):
        sums = await asyncio.gather(*(pool.run(pooljobs.add, n, 1) for n in range(100)))
        assert sums == [n + 1 for n in range(100)]
        assert pool.running == 0


async def test_large_arguments_travel() -> None:
    """A file of a warp's size goes to a worker in one piece."""
    async with pooled(1) as (pool, _):
        assert await pool.run(len, bytes(50_000_000)) == 50_000_000


async def test_running_counts_jobs_that_have_a_worker() -> None:
    """Jobs that wait for a worker are not running yet."""
    async with pooled() as (pool, _):
        jobs = [asyncio.create_task(pool.run(pooljobs.sleep, 0.3)) for _ in range(5)]
        await asyncio.sleep(0.1)
        assert pool.running == 2
        await asyncio.gather(*jobs)
        assert pool.running == 0


async def test_numeric_libraries_have_one_thread() -> None:
    """A worker has one thread, and tells each numeric library to be content with it."""
    async with pooled(1) as (pool, _):
        count, preloaded, environment = await pool.run(pooljobs.threads)
    assert (count, preloaded) == (1, True)
    assert environment["OPENBLAS_NUM_THREADS"] == environment["OMP_NUM_THREADS"] == "1"


async def test_a_worker_is_confined() -> None:
    """A worker has its memory limit, writes no core file, and leaves Ctrl-C to its parent."""
    async with pooled(1, memory=GIB // 2) as (pool, _):
        assert await pool.run(pooljobs.limits) == (GIB // 2, 0, True)


async def test_attempts_are_recorded() -> None:
    """Each attempt is told with its job, its number, its end and its times."""
    async with pooled(1, attempts=2) as (pool, records):
        await pool.run(pooljobs.sleep, 0.1)
        await fault_of(pool.run(pooljobs.die_of, signal.SIGKILL))
    assert [(r.job, r.attempt, r.outcome) for r in records] == [
        ("sleep", 1, "ok"),
        ("die_of", 1, "killed"),
        ("die_of", 2, "killed"),
    ]
    assert 0.1 <= records[0].seconds < 5
    assert all(r.waited_s >= 0 for r in records)


# Deaths


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGBUS])
async def test_a_death_costs_the_job_that_caused_it_alone(number: signal.Signals) -> None:
    """A job that ends its worker each time is given up; its neighbours know nothing of it."""
    async with pooled() as (pool, _):
        neighbours = [asyncio.create_task(pool.run(pooljobs.sleep, 0.05)) for _ in range(10)]
        error = await fault_of(pool.run(pooljobs.die_of, int(number)))
        assert error.reason is WarpFault.KILLED
        assert number.name in error.message
        await asyncio.gather(*neighbours)
        await until(lambda: pool.alive == 2)


async def test_a_segfault_and_an_exit_are_deaths() -> None:
    """However a worker ends, its job is killed, and the pool goes on."""
    async with pooled(1, attempts=1) as (pool, _):
        assert "SIGSEGV" in (await fault_of(pool.run(pooljobs.segfault))).message
        assert "exit code 3" in (await fault_of(pool.run(pooljobs.exit_at_once))).message
        assert await pool.run(pooljobs.add, 1, 1) == 2


@pytest.mark.parametrize(("deaths", "given_up"), [(1, False), (2, False), (3, True)])
async def test_a_job_may_die_less_often_than_it_may_be_tried(
    deaths: int, given_up: bool, tmp_path: Path
) -> None:
    """A job is tried again until it was tried max_attempts times."""
    async with pooled(1) as (pool, _):
        job = pool.run(pooljobs.die_first, str(tmp_path / "tally"), deaths)
        if given_up:
            assert (await fault_of(job)).reason is WarpFault.KILLED
        else:
            assert await job == deaths + 1


async def test_idle_workers_that_die_are_replaced_at_once() -> None:
    """Killing every idle worker costs no job, and the pool is whole again in 2 s."""
    async with pooled() as (pool, records):
        for _ in range(3):
            before = pool.pids
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            await until(functools.partial(_replaced, pool, before))
        assert await pool.run(pooljobs.add, 1, 2) == 3
    assert [r.outcome for r in records] == ["ok"]


async def test_workers_killed_at_random_cost_no_job() -> None:
    """Workers shot at any moment, payloads of some MB on their way, lose no job and no answer."""
    chance = random.Random(7)  # noqa: S311 - a schedule, not a secret
    payload = bytes(8_000_000)
    async with pooled(attempts=50) as (pool, records):
        jobs = [asyncio.create_task(pool.run(len, payload)) for _ in range(40)]
        kills = 0
        while not all(job.done() for job in jobs):
            await asyncio.sleep(chance.uniform(0.0, 0.03))
            for pid in [p for p in pool.pids if kills < 49 and chance.random() < 0.5]:
                with suppress(ProcessLookupError):  # dead, and not yet noticed
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
        assert await asyncio.gather(*jobs) == [len(payload)] * 40
        await until(lambda: pool.alive == 2)
    assert kills > 3
    assert sum(r.outcome == "ok" for r in records) == 40


async def test_the_end_of_the_fork_server_is_survived() -> None:
    """When the fork server is killed, its workers go with it, and others come."""
    async with pooled(timeout_s=5.0) as (pool, _):
        before = pool.pids
        servers = {psutil.Process(pid).ppid() for pid in before}
        assert len(servers) == 1
        job = asyncio.create_task(pool.run(pooljobs.sleep, 0.5))
        await until(lambda: pool.running == 1)
        os.kill(servers.pop(), signal.SIGKILL)
        assert await job not in before
        await until(lambda: pool.alive == 2, 10)
        assert _all_gone(list(before))


async def test_a_stopped_worker_is_killed_at_its_deadline() -> None:
    """A worker that is stopped, so that it cannot even take its job, costs its deadline."""
    async with pooled(1, timeout_s=0.5, attempts=2) as (pool, records):
        os.kill(next(iter(pool.pids)), signal.SIGSTOP)
        assert await pool.run(len, bytes(8_000_000)) == 8_000_000
    assert [r.outcome for r in records] == ["timeout", "ok"]


async def test_an_endless_loop_ends_at_the_deadline() -> None:
    """A job that never ends is killed each time it is tried, and is then given up."""
    async with pooled(timeout_s=0.3, attempts=2) as (pool, _):
        began = time.monotonic()
        error = await fault_of(pool.run(pooljobs.loop))
        assert error.reason is WarpFault.TIMEOUT
        assert 0.6 <= time.monotonic() - began < 5
        await until(lambda: pool.alive == 2)


async def test_memory_has_a_limit() -> None:
    """A job beyond its worker's memory is refused at once; the worker gives way to a fresh one."""
    async with pooled(1) as (pool, records):
        before = pool.pids
        error = await fault_of(pool.run(pooljobs.allocate, 4 * GIB))
        assert error.reason is WarpFault.OUT_OF_MEMORY
        assert await pool.run(pooljobs.allocate, GIB // 4) == GIB // 4 / 8
        assert not pool.pids & before
    assert [r.outcome for r in records] == ["out_of_memory", "ok"]


async def test_what_a_worker_keeps_does_not_fail_a_job() -> None:
    """A job that a used worker has too little memory for is tried in a fresh one, always."""
    async with pooled(2, attempts=1) as (pool, records):
        before = pool.pids
        await asyncio.gather(*(pool.run(pooljobs.hoard, GIB // 2) for _ in range(2)))
        assert await pool.run(pooljobs.allocate, 5 * GIB // 8) == 5 * GIB // 64
        assert await pool.run(pooljobs.add, 1, 2) == 3
        assert not pool.pids & before
    outcomes = [r.outcome for r in records]
    assert outcomes == ["ok", "ok", "out_of_memory", "ok", "ok"]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="its memory is its own")
async def test_pages_are_kept_for_the_next_job() -> None:
    """A worker that had a large job has the next one without asking the system for memory."""
    async with pooled(1) as (pool, _):
        first, *others = [await pool.run(pooljobs.faults, GIB // 4) for _ in range(3)]
        assert max(others) * 4 < first


async def test_what_a_job_raises_is_internal() -> None:
    """An exception is a fault of ours: told, not tried again, and the worker lives."""
    async with pooled(1) as (pool, records):
        before = pool.pids
        error = await fault_of(pool.run(pooljobs.fail, "by zero"))
        assert (error.reason, error.message) == (WarpFault.INTERNAL, "ZeroDivisionError: by zero")
        assert (await fault_of(pool.run(pooljobs.unpicklable))).reason is WarpFault.INTERNAL
        assert pool.pids == before
    assert [r.outcome for r in records] == ["internal", "internal"]


async def test_a_cancelled_job_frees_its_worker() -> None:
    """Nobody waits for a job that was cancelled: its worker is killed and replaced."""
    async with pooled(1) as (pool, _):
        job = asyncio.create_task(pool.run(pooljobs.loop))
        await until(lambda: pool.running == 1)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert await asyncio.wait_for(pool.run(pooljobs.add, 1, 2), 5) == 3


async def test_a_job_cancelled_in_the_queue_costs_nothing() -> None:
    """A job that never had a worker leaves no trace."""
    async with pooled(1) as (pool, records):
        running = asyncio.create_task(pool.run(pooljobs.sleep, 0.2))
        waiting = asyncio.create_task(pool.run(pooljobs.loop))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await running
        assert await pool.run(pooljobs.add, 1, 2) == 3
    assert [r.outcome for r in records] == ["ok", "ok"]


# The end


async def test_closing_lets_running_jobs_finish() -> None:
    """Within the grace time a running job comes to its end; one that waits does not begin."""
    async with pooled(1) as (pool, _):
        running = asyncio.create_task(pool.run(pooljobs.sleep, 0.4))
        waiting = asyncio.create_task(pool.run(pooljobs.add, 1, 2))
        await until(lambda: pool.running == 1)
        await pool.close(10)
        assert isinstance(await running, int)
        with pytest.raises(PoolClosedError):
            await waiting
        with pytest.raises(PoolClosedError):
            await pool.run(pooljobs.add, 1, 2)


async def test_closing_abandons_what_outlasts_the_grace() -> None:
    """A job beyond the grace time is abandoned: it did not fail, and is not tried again."""
    async with pooled(1) as (pool, records):
        job = asyncio.create_task(pool.run(pooljobs.loop))
        await until(lambda: pool.running == 1)
        began = time.monotonic()
        await pool.close(0.2)
        assert time.monotonic() - began < 3
        with pytest.raises(PoolClosedError):
            await job
    assert records == []


async def test_closing_leaves_no_process() -> None:
    """After close, no worker is left, whatever it was doing."""
    async with pooled() as (pool, _):
        pids = pool.pids
        jobs = [asyncio.create_task(pool.run(pooljobs.loop)) for _ in range(2)]
        await until(lambda: pool.running == 2)
        await pool.close(0)
        await asyncio.gather(*jobs, return_exceptions=True)
        assert not any(psutil.pid_exists(pid) for pid in pids)
        assert (pool.alive, pool.running) == (0, 0)


def test_a_worker_that_died_says_so() -> None:
    """A handle whose process is gone raises, and tells how it ended."""
    worker = Worker(GIB)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerDiedError):
        worker.call(pooljobs.add, (1, 2))
    assert worker.condemned
    assert worker.reap() == "signal SIGKILL"


async def test_a_pool_whose_workers_die_at_once_does_not_start() -> None:
    """Workers that die before their first job are an error of the start, not a busy loop."""
    impossible_limit = 10**30
    pool = WorkerPool(1, 1.0, impossible_limit, 1)
    with pytest.raises(WorkerDiedError, match="never ready"):
        await asyncio.wait_for(pool.start(), 20)
    await pool.close(0)


# The parent's end


PARENT = """
    import asyncio, signal, sys
    from stream.pool import WorkerPool
    from tests.stream import pooljobs

    # A shell has what it starts in the background ignore SIGINT, tests and all.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    async def main():
        pool = WorkerPool(2, 60.0, 1 << 30, 3)
        await pool.start()
        jobs = [asyncio.create_task(pool.run(pooljobs.loop))]
        while pool.running < 1:
            await asyncio.sleep(0.01)
        print(*pool.pids, flush=True)
        try:
            await asyncio.sleep(60)
        finally:
            await pool.close(0)
            await asyncio.gather(*jobs, return_exceptions=True)
            print("closed", flush=True)

    if __name__ == "__main__":
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            sys.exit(130)
"""


def _parent(tmp_path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """Start a process with a busy pool in a process group of its own; return its workers too."""
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT))
    parent = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert parent.stdout is not None
    return parent, [int(pid) for pid in parent.stdout.readline().split()]


def test_no_worker_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    """When the parent is killed with SIGKILL, its workers end too, one in an endless loop."""
    parent, pids = _parent(tmp_path)
    assert len(pids) == 2
    descendants = [p.pid for p in psutil.Process(parent.pid).children(recursive=True)]
    assert set(pids) <= set(descendants)
    parent.kill()
    parent.communicate()
    assert _all_gone(descendants)


def test_ctrl_c_is_the_parents(tmp_path: Path) -> None:
    """Ctrl-C reaches the whole process group, and the parent alone answers it, quietly."""
    parent, pids = _parent(tmp_path)
    os.killpg(parent.pid, signal.SIGINT)
    out, err = parent.communicate(timeout=100)
    assert (parent.returncode, out.strip(), err) == (130, "closed", "")
    assert _all_gone(pids)


async def test_a_job_that_lost_its_worker_goes_first(tmp_path: Path) -> None:
    """It has another before all who wait: behind them the next trouble might meet it again."""
    order: list[str] = []

    async def job(name: str, deaths: int) -> None:
        await pool.run(pooljobs.die_first, str(tmp_path / name), deaths)
        order.append(name)

    async with pooled(1) as (pool, records):
        await asyncio.gather(*(job(name, 2 * (name == "b")) for name in "abcd"))
    assert order == [*"abcd"]
    assert [record.outcome for record in records] == ["ok", "killed", "killed", "ok", "ok", "ok"]
