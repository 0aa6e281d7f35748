"""A reader follows the real service on the embedded log while that is killed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import schemas
from stream.log.embedded import EmbeddedReader, create_topics
from stream.log.topics import Topics
from stream.reader import Revision, RevisionReader
from stream.simulate import SurveyManifest
from tests.e2e.processes import Place, honest, published, running, until


class Consumer:
    """Coadds nothing, but looks at everything, and stores where it is; in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.got: list[tuple[str, int]] = []
        self.positions = "all"
        self.failed: Exception | None = None

    async def _consume(self) -> None:
        async with RevisionReader(EmbeddedReader(self._path), start=self.positions) as reader:
            async for revision in reader:
                self._take(revision)
                self.positions = reader.positions

    def _take(self, revision: Revision) -> None:
        """Hold that every model is the one that the summary names, by its own bytes."""
        summary = revision.summary
        named = {member.visit: member.model_id for member in summary.members}
        assert dict.fromkeys(named, True) == {
            visit: schemas.model_id(model) == named[visit]
            for visit, model in revision.models.items()
        }
        self.got.append((summary.group.key, summary.revision))

    def _run(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
        try:
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        except Exception as error:  # noqa: BLE001 - it is shown where the thread is waited for
            self.failed = error

    @contextmanager
    def running(self) -> Iterator[None]:
        """Consume for the time of a block."""
        loop = asyncio.new_event_loop()
        task = loop.create_task(self._consume())
        thread = threading.Thread(target=self._run, args=(loop, task))
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(task.cancel)
            thread.join()
            loop.close()
        assert self.failed is None, self.failed


def test_a_reader_follows_over_kills(survey: SurveyManifest, tmp_path: Path) -> None:
    """While the service is killed in the middle of publishing, each revision comes once and whole.

    The reader itself is ended in between and goes on from its positions; in the end it has what
    the log has.
    """
    place = Place.file(tmp_path / "evensky.db")
    asyncio.run(create_topics(tmp_path / "evensky.db", Topics().specs(3)))
    consumer = Consumer(tmp_path / "evensky.db")
    for at in range(0, len(survey.groups), 2):
        pair = survey.groups[at : at + 2]
        place.announce([survey.path(warp) for one in pair for warp in survey.warps_of(one)])
        with consumer.running(), running(place, tmp_path) as service:
            service.until_it_says("group published")  # and others are about to be
            service.kill()
    with consumer.running(), running(place, tmp_path) as service:
        service.until_it_says("started")
        until(lambda: len(consumer.got) >= len(survey.groups))
        assert service.stop() == 0
    honest(place)
    summaries = published(place).summaries
    assert sorted(consumer.got) == sorted((one.group.key, one.revision) for one in summaries)
