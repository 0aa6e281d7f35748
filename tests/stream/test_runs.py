"""Jobs that run once, and what becomes of them when nobody waits any more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec
import pytest
from structlog.testing import capture_logs

from stream.jobs import JobFault, Measured
from stream.recall import Recall
from stream.runs import Run, Runs
from stream.slots import DUE
from tests.schemas import examples

NAME = "ab" * 32
RANK = (DUE, 0, "")
WARP = examples.arrived()
TWIN = msgspec.structs.replace(WARP, patch=WARP.patch + 1, visit=WARP.visit + 1)
RESULT = Measured(WARP.visit, WARP.checksum, 1.0, 2.0, 3.0, (4, 5), (6, 7))
FAULT = JobFault(WARP.visit, "missing", "it is gone")


@dataclass
class Job:
    """A job that begins or not, waits until it is let go, and notes how it ended."""

    answer: Measured | JobFault | Exception = RESULT
    begins: bool = True
    go: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[str] = field(default_factory=list)
    starts: int = 0

    async def __call__(self, run: Run) -> Measured | JobFault:
        """Wait, and answer."""
        self.starts += 1
        run.begun = self.begins
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


Waiter = asyncio.Task[Measured | JobFault]


async def asked(runs: Runs, job: Job, recall: Recall | None = None, warp: object = WARP) -> Waiter:
    """Ask for the job, and let it begin."""
    arrival = TWIN if warp is TWIN else WARP
    waiter = asyncio.create_task(runs.join(NAME, [arrival], RANK, job, recall or Recall()))
    await settled()
    return waiter


async def settled() -> None:
    """Let everything go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def left(waiter: Waiter) -> None:
    """Let one that waits leave."""
    waiter.cancel()
    await asyncio.wait({waiter})
    await settled()


async def test_two_requests_are_one_run() -> None:
    """Whoever asks for a job that runs is given what that run gives."""
    runs, job = Runs(), Job()
    waiters = [await asked(runs, job) for _ in range(2)]
    job.go.set()
    assert await asyncio.gather(*waiters) == [RESULT, RESULT]
    assert job.starts == 1


async def test_after_its_end_a_job_runs_anew() -> None:
    """What is over is not joined: results are kept elsewhere."""
    runs, job = Runs(), Job()
    job.go.set()
    assert [await asked(runs, job) and job.starts for _ in range(2)] == [1, 2]


async def test_a_result_has_the_visit_of_who_asked() -> None:
    """A twin in another group is given the same numbers under its own visit."""
    runs, job = Runs(), Job()
    first, second = await asked(runs, job), await asked(runs, job, warp=TWIN)
    job.go.set()
    assert (await first, await second) == (RESULT, Measured(TWIN.visit, *_numbers()))
    assert job.starts == 1


def _numbers() -> tuple[str, float, float, float, tuple[int, int], tuple[int, int]]:
    return (RESULT.checksum, RESULT.mean, RESULT.variance, RESULT.count, RESULT.shape, (6, 7))


async def test_a_fault_is_not_the_twins() -> None:
    """A twin whose file may lie elsewhere tries for itself; the same warp's fault is shared."""
    runs, job = Runs(), Job(FAULT)
    same = [await asked(runs, job), await asked(runs, job)]
    twin = await asked(runs, job, warp=TWIN)
    job.go.set()
    assert await asyncio.gather(*same) == [FAULT, FAULT]
    await twin
    assert job.starts == 2


@pytest.mark.parametrize(
    ("begins", "released", "goes_on"),
    [(True, True, True), (False, True, False), (True, False, False)],
)
async def test_only_what_has_begun_outlives_a_lost_partition(
    begins: bool,
    released: bool,
    goes_on: bool,
) -> None:
    """Without a waiter a job goes on if it has begun and its partition was lost, else it ends."""
    runs, job, recall = Runs(), Job(begins=begins), Recall()
    waiter = await asked(runs, job, recall)
    if released:
        recall.release()
    await left(waiter)
    assert job.ended == ([] if goes_on else ["cancelled"])
    again = await asked(runs, job)
    job.go.set()
    assert await again == RESULT
    assert job.starts == (1 if goes_on else 2)


async def test_who_stays_keeps_the_job_running() -> None:
    """A job that another waits for is not cancelled."""
    runs, job = Runs(), Job()
    first, second = await asked(runs, job), await asked(runs, job)
    await left(first)
    job.go.set()
    assert await second == RESULT


async def test_a_recall_ends_a_job_that_was_joined() -> None:
    """A job that outlived a loss, was joined and recalled, and has no other waiter is cancelled."""
    runs, job, lost, recall = Runs(), Job(), Recall(), Recall()
    waiter = await asked(runs, job, lost)
    lost.release()
    await left(waiter)
    fault = asyncio.create_task(recall.run([1], runs.join(NAME, [WARP], RANK, job, recall)))
    await settled()
    recall.add([1])
    assert isinstance(await fault, JobFault)
    await settled()
    assert (job.starts, job.ended) == (1, ["cancelled"])


async def test_nothing_runs_once_it_is_closed() -> None:
    """At the end what outlived its partition is cancelled and has ended."""
    runs, job, recall = Runs(), Job(), Recall()
    waiter = await asked(runs, job, recall)
    recall.release()
    await left(waiter)
    await runs.close()
    assert job.ended == ["cancelled"]


async def test_a_mistake_that_nobody_waits_for_is_told() -> None:
    """An error of a job that outlived its partition goes to the operators, and nowhere else."""
    runs, job, recall = Runs(), Job(ValueError("odd")), Recall()
    waiter = await asked(runs, job, recall)
    recall.release()
    await left(waiter)
    job.go.set()
    with capture_logs() as logs:
        await settled()
    assert [one["why"] for one in logs] == ["ValueError('odd')"]
