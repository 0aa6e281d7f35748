"""Readers on both logs, begun anywhere, while a publisher is killed and the log is compacted."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from stream.log.embedded import EmbeddedReader, create_topics
from stream.log.kafka import KafkaReader, KafkaSettings
from stream.log.kafka import create_topics as create_kafka_topics
from stream.log.seam import ReaderLog, TopicSpec
from stream.log.sqlite import LogFile
from stream.log.topics import Topics
from stream.reader import ReaderOptions, Revision, RevisionReader
from tests.house import ROOT
from tests.stream.reader.publisher import GROUPS, LAST, PARTITIONS, truth

_KILLS = 6
_PATIENCE_S = 120.0
_NEWEST = {(group.key, LAST) for group in GROUPS}

# So that the cleaner finds something to do while the test runs, and does it.
_EAGER = {
    "segment.ms": "300",
    "segment.bytes": str(2**20),
    "min.compaction.lag.ms": "0",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "100",
}


@dataclass
class Scene(ABC):
    """A log, its publisher's words, and a way to have it compacted."""

    topics: Topics

    @abstractmethod
    def log(self) -> ReaderLog:
        """Return a log to read."""

    @property
    @abstractmethod
    def where(self) -> str:
        """Where the publisher writes."""

    @abstractmethod
    async def create(self, specs: list[TopicSpec]) -> None:
        """Create topics."""

    @abstractmethod
    def compact(self) -> None:
        """Have the log compacted."""

    @property
    def options(self) -> ReaderOptions:
        """Options of its readers."""
        return ReaderOptions(topics=self.topics)


@dataclass
class OnFile(Scene):
    """The embedded log."""

    path: Path = Path()

    def log(self) -> ReaderLog:
        """Return a log to read."""
        return EmbeddedReader(self.path)

    @property
    def where(self) -> str:
        """Where the publisher writes."""
        return str(self.path)

    async def create(self, specs: list[TopicSpec]) -> None:
        """Create topics."""
        await create_topics(self.path, specs)

    def compact(self) -> None:
        """Compact what readers read, as nobody does in earnest."""
        with LogFile(self.path) as file:
            file.compact(self.topics.models)
            file.compact(self.topics.groups)


@dataclass
class OnKafka(Scene):
    """A real broker."""

    servers: str = ""

    def log(self) -> ReaderLog:
        """Return a log to read."""
        return KafkaReader(KafkaSettings(self.servers), self.topics)

    @property
    def where(self) -> str:
        """Where the publisher writes."""
        return self.servers

    async def create(self, specs: list[TopicSpec]) -> None:
        """Create topics."""
        await create_kafka_topics(KafkaSettings(self.servers), specs)

    def compact(self) -> None:
        """Leave it to the cleaner, which comes by itself."""


@pytest.fixture
def on_file(tmp_path: Path) -> Scene:
    """Return the embedded log."""
    return OnFile(Topics(), tmp_path / "evensky.db")


@pytest.fixture
def on_kafka(kafka: str) -> Scene:
    """Return topics of its own on the broker."""
    return OnKafka(Topics(f"r{uuid4().hex[:12]}"), kafka)


@pytest_asyncio.fixture(params=["on_file", pytest.param("on_kafka", marks=pytest.mark.kafka)])
async def scene(request: pytest.FixtureRequest) -> Scene:
    """Create the topics of either log, models and summaries such that they are compacted soon."""
    found: Scene = request.getfixturevalue(request.param)
    specs = found.topics.specs(PARTITIONS)
    eager = {found.topics.models, found.topics.groups}
    await found.create(
        [
            replace(spec, config={**spec.config, **_EAGER}) if spec.name in eager else spec
            for spec in specs
        ]
    )
    return found


@dataclass
class Judge:
    """What one reader yielded, each revision looked through."""

    told: list[tuple[str, int]] = field(default_factory=list)

    def take(self, revision: Revision) -> None:
        """Hold that a revision is whole, unmixed, new and not before an earlier one."""
        summary = revision.summary
        said = {visit: model.fit_rms for visit, model in revision.models.items()}
        assert said == truth(summary.group, summary.revision), summary
        assert all(model.group == summary.group for model in revision.models.values())
        before = [one for key, one in self.told if key == summary.group.key]
        assert not before or before[-1] < summary.revision
        self.told.append((summary.group.key, summary.revision))


async def publishing(scene: Scene, seed: int) -> asyncio.subprocess.Process:
    """Start the publisher; return when it has begun."""
    words = ["-m", "tests.stream.reader.publisher", scene.where, scene.topics.prefix, str(seed)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    return process


async def published(scene: Scene, chance: random.Random) -> None:
    """Publish everything, killed again and again on the way."""
    for seed in range(_KILLS):
        process = await publishing(scene, seed)
        await asyncio.sleep(chance.uniform(0.05, 0.35))
        process.kill()
        await process.wait()
        scene.compact()
    process = await publishing(scene, _KILLS)
    assert await process.wait() == 0


async def follow(scene: Scene, judge: Judge) -> None:
    """Follow until the newest of all groups has come."""
    async with RevisionReader(scene.log(), options=scene.options) as reader:
        async for revision in reader:
            judge.take(revision)
            if set(judge.told) >= _NEWEST:
                return


async def somewhere(scene: Scene, chance: random.Random) -> str:
    """Make up positions: anywhere in the log, with some offsets open."""
    log = scene.log()
    await log.start()
    ends = await log.ends([scene.topics.groups])
    await log.close()
    rows = []
    for partition in range(PARTITIONS):
        at = chance.randint(0, ends[scene.topics.groups, partition])
        rows.append([at, *sorted(chance.sample(range(at), min(at, chance.randint(0, 3))))])
    return json.dumps({scene.topics.groups: rows})


async def begin_anywhere(scene: Scene, chance: random.Random, ended: asyncio.Event) -> int:
    """Read to the end from random positions, again and again; return how many revisions came."""
    count = 0
    while not ended.is_set():
        judge, start = Judge(), await somewhere(scene, chance)
        async with RevisionReader(
            scene.log(), start=start, follow=False, options=scene.options
        ) as reader:
            async for revision in reader:
                judge.take(revision)
        count += len(judge.told)
    return count


async def restart(scene: Scene, folder: Path, chance: random.Random) -> list[tuple[str, int]]:
    """Consume in many short runs, each from the positions of the one before."""
    got: list[tuple[str, int]] = []
    start = "all"
    options = replace(scene.options, folder=folder)
    while not set(got) >= _NEWEST:
        judge, most = Judge(), chance.randint(1, 10)
        async with RevisionReader(
            scene.log(), start=start, follow=False, options=options
        ) as reader:
            async for revision in reader:
                judge.take(revision)
                start = reader.positions
                if len(judge.told) == most:
                    break
        got += judge.told
    return got


@pytest.mark.timeout(2 * _PATIENCE_S)
async def test_no_revision_is_mixed_and_the_newest_comes(scene: Scene, tmp_path: Path) -> None:
    """Followed, begun anywhere, or restarted, over kills and compaction every revision is whole.

    Who follows gets the newest of each group, and who restarts gets each once.
    """
    chance, ended, followed = random.Random(4), asyncio.Event(), Judge()  # noqa: S311 - a schedule
    async with asyncio.timeout(_PATIENCE_S):
        following = asyncio.create_task(follow(scene, followed))
        beginning = asyncio.create_task(begin_anywhere(scene, random.Random(5), ended))  # noqa: S311 - the same
        restarting = asyncio.create_task(restart(scene, tmp_path, random.Random(6)))  # noqa: S311 - the same
        await published(scene, chance)
        await following
        got = await restarting
        ended.set()
        assert await beginning > len(GROUPS)
    assert len(followed.told) > 2 * len(GROUPS)
    assert not [one for one, count in Counter(got).items() if count > 1]
    await _hold_compacted(scene)
    judge = Judge()
    await follow(scene, judge)
    assert set(judge.told) >= _NEWEST


async def _hold_compacted(scene: Scene) -> None:
    """Wait until a good part of what was superseded is gone, and read once more while it goes."""
    sent = sum(
        sum(number >= revision for number in truth(group, revision).values())
        for group in GROUPS
        for revision in range(1, LAST + 1)
    )
    scene.compact()
    held = await _held(scene)
    while held > sent // 2:
        await asyncio.sleep(0.2)
        held = await _held(scene)


async def _held(scene: Scene) -> int:
    log = scene.log()
    await log.start()
    found = [one async for one in log.read([scene.topics.models], follow=False)]
    await log.close()
    return len(found)
