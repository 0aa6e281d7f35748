"""Jobs that end when one of their warps is taken back."""

from __future__ import annotations

import asyncio

import pytest

from stream.jobs import JobFault
from stream.recall import Recall


class Job:
    """A job that waits until it is let go, and notes how it ended."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.ended = ""

    async def __call__(self) -> str:
        """Wait, and answer."""
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        self.ended = "done"
        return "answer"


async def begun(recall: Recall, job: Job, *visits: int) -> asyncio.Task[str | JobFault]:
    """Begin a job on some warps."""
    task = asyncio.create_task(recall.run(visits, job()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_a_job_that_nobody_recalls_is_done() -> None:
    """A job answers, whatever is recalled of other warps."""
    recall, job = Recall([9]), Job()
    task = await begun(recall, job, 1, 2)
    recall.add([3, 9])
    job.go.set()
    assert await task == "answer"


async def test_a_recalled_job_is_cancelled_and_named() -> None:
    """The fault names the warp that went; other jobs go on."""
    recall, jobs = Recall(), [Job(), Job()]
    tasks = [await begun(recall, job, 1, 2 + n) for n, job in enumerate(jobs)]
    recall.add([3])
    fault = await tasks[1]
    assert isinstance(fault, JobFault)
    assert (fault.visit, fault.reason, jobs[1].ended) == (3, "superseded", "cancelled")
    jobs[0].go.set()
    assert await tasks[0] == "answer"


async def test_of_two_the_first_is_at_fault() -> None:
    """When reference and science warp both went, the reference is named: it concerns all."""
    job = Job()
    fault = await Recall([1, 2]).run((2, 1), job())
    assert isinstance(fault, JobFault)
    assert (fault.visit, job.ended) == (2, "")


async def test_what_is_recalled_twice_is_cancelled_once() -> None:
    """Saying it again does not touch what a job does to clean up after itself."""
    recall = Recall()

    async def slow() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # a second cancellation would end this
            cleaned.append(True)
            raise
        return ""

    cleaned: list[bool] = []
    task = asyncio.create_task(recall.run((1,), slow()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    recall.add([1])
    await asyncio.sleep(0)
    recall.add([1])
    assert isinstance(await task, JobFault)
    assert cleaned == [True]


async def test_whoever_waits_can_be_ended() -> None:
    """The end of an owner goes through, whether a warp was recalled or not."""
    for visits in ((), (1,)):
        recall, job = Recall(), Job()
        task = await begun(recall, job, 1)
        task.cancel()
        recall.add(visits)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert job.ended == "cancelled"


async def test_what_goes_wrong_in_a_job_goes_on() -> None:
    """An error is no recall."""

    async def broken() -> str:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await Recall().run((1,), broken())
