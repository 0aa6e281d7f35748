"""How workers come to have all machine code at birth, and what is said when they cannot."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import structlog

from stream.pool import WorkerPool
from stream.settings import Settings
from stream.starting import start_workers
from stream.worker import Warmth
from tests.house import ROOT
from tests.stream import pooljobs

GIB = 1 << 30


class Pool:
    """A pool of which only the start is wanted."""

    alive = 3

    def __init__(self, warmth: Warmth, seconds: float = 0.0) -> None:
        self._warmth = warmth
        self._seconds = seconds

    async def start(self) -> Warmth:
        """Take a while to be started."""
        await asyncio.sleep(self._seconds)
        return self._warmth


def script(tmp_path: Path, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script of which workers can be forked."""
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    return subprocess.run(  # noqa: S603 - our own words
        [sys.executable, path],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


# -- machine code ----------------------------------------------------------------------------------


async def test_a_job_compiles_nothing() -> None:
    """A worker of a pool has all machine code in memory, its first job and its replacement's."""
    pool = WorkerPool(1, 60.0, GIB, 2)
    try:
        await pool.start()
        assert await pool.run(pooljobs.match_and_watch, 200) == (0, True)
        before = pool.pids
        os.kill(next(iter(before)), signal.SIGKILL)
        assert await pool.run(pooljobs.match_and_watch, 230) == (0, True)
        assert not pool.pids & before
    finally:
        await pool.close(0)


async def test_the_least_memory_is_enough() -> None:
    """A worker with the least memory that can be set matches a million pixels in it."""
    least = 256 * 2**20
    assert Settings.model_fields["worker_memory_bytes"].metadata[0].ge == least
    pool = WorkerPool(1, 60.0, least, 1)
    try:
        await pool.start()
        assert await pool.run(pooljobs.match_and_watch, 1000) == (0, True)
    finally:
        await pool.close(0)


SWITCHES = """
    import asyncio
    from stream.pool import WorkerPool
    from tests.stream import pooljobs

    async def main():
        pool = WorkerPool(1, 60.0, 1 << 30)
        await pool.start()
        print(sorted((await pool.run(pooljobs.switches)).items()))
        await pool.close(0)

    if __name__ == "__main__":
        asyncio.run(main())
"""


def test_nobodys_switches_reach_the_compiler(tmp_path: Path) -> None:
    """Variables that would slow kernels down, left over in a shell, do not reach the workers."""
    left = {"NUMBA_DISABLE_JIT": "1", "NUMBA_BOUNDSCHECK": "1", "NUMBA_NUM_THREADS": "8"}
    done = script(tmp_path, SWITCHES, **left)
    assert (done.stdout, done.stderr) == ("[('NUMBA_NUM_THREADS', '1')]\n", "")


# -- what goes wrong -------------------------------------------------------------------------------

BROKEN = """
    import asyncio
    from stream import worker
    from stream.pool import WorkerPool

    async def main():
        pool = WorkerPool(2, 60.0, 1 << 30)
        try:
            await pool.start()
        except worker.WorkerDiedError as error:
            print(error)
        await pool.close(0)

    if __name__ == "__main__":
        worker._PRELOADED.append("broken")
        asyncio.run(main())
"""


def test_a_warm_up_that_fails_is_an_error_of_the_start(tmp_path: Path) -> None:
    """If the process that workers are forked from ends, the start ends, and says so."""
    (tmp_path / "broken.py").write_text("1 / 0")
    done = script(tmp_path, BROKEN, PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert "ended before it was ready" in done.stdout
    assert "ZeroDivisionError" in done.stderr


LEFT = """
    import asyncio, time
    from stream import worker
    from stream.pool import WorkerPool

    async def main():
        pool = WorkerPool(2, 60.0, 1 << 30)
        start = asyncio.create_task(pool.start())
        await asyncio.sleep(1)
        start.cancel()
        await pool.close(0)

    if __name__ == "__main__":
        worker._PRELOADED.append("endless")
        asyncio.run(main())
"""


def test_nobody_waits_for_a_compiler_to_stop(tmp_path: Path) -> None:
    """A start that is given up ends soon, though the workers' machine code is still being made."""
    (tmp_path / "endless.py").write_text("import time; time.sleep(60)")
    began = time.monotonic()
    done = script(tmp_path, LEFT, PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 20


ENDLESS = """
    import time
    import core
    from stream import worker
    worker.LONGEST_WARM_UP_S = 1
    core.warm_up = lambda: time.sleep(60)
    import stream.warmed
"""


def test_a_warm_up_has_an_end(tmp_path: Path) -> None:
    """A warm-up that takes too long is ended by the kernel."""
    assert script(tmp_path, ENDLESS).returncode == -signal.SIGALRM


def test_a_warm_up_leaves_no_alarm(tmp_path: Path) -> None:
    """The alarm that bounds the warm-up does not go off later."""
    told = script(tmp_path, "import signal, stream.warmed; print(signal.alarm(0))")
    assert told.stdout == "0\n"


# -- what is told ----------------------------------------------------------------------------------


async def test_the_log_says_what_the_start_took() -> None:
    """One line says how many workers there are, and what was compiled and loaded in what time."""
    with structlog.testing.capture_logs() as lines:
        await start_workers(Pool(Warmth(1.23456, 2, 40, kept=True)))
    assert lines == [
        {
            "event": "workers are ready",
            "log_level": "info",
            "workers": 3,
            "compiled": 2,
            "loaded": 40,
            "warm_up_s": 1.235,
        }
    ]


@pytest.mark.parametrize(("compiled", "kept", "warned"), [(9, False, True), (0, False, False)])
async def test_code_that_cannot_be_kept_is_warned_of(
    compiled: int, kept: bool, warned: bool
) -> None:
    """An operator hears of it when every start compiles anew, and of the remedy."""
    with structlog.testing.capture_logs() as lines:
        await start_workers(Pool(Warmth(20.0, compiled, 0, kept=kept)))
    remedies = [line["remedy"] for line in lines if line["log_level"] == "warning"]
    assert ["NUMBA_CACHE_DIR" in remedy for remedy in remedies] == [True] * warned


async def test_a_start_is_no_standstill() -> None:
    """Whoever watches us is told that we move while the workers start, and not afterwards."""
    told: list[float] = []
    await start_workers(Pool(Warmth(0.1, 0, 9, kept=True), 2.5), lambda: told.append(1))
    assert len(told) == 3
    await asyncio.sleep(1.2)
    assert len(told) == 3
