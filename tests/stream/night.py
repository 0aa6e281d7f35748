"""A small survey and a whole service for the tests: a real embedded log, real pixels, no processes.

The pool runs its jobs in a thread and the clock is the test's, so that hours pass in no time.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

import core
import schemas
from core import groups
from stream import fits
from stream.announce import closings, manifests
from stream.assemble import Assembler
from stream.describe import Described, Override, describe
from stream.fetch import Fetcher, FetchLimits
from stream.foresight import Foresight
from stream.log.embedded import EmbeddedOwner, EmbeddedPublisher, EmbeddedReader
from stream.log.seam import LogRefusedError, Outgoing, OwnerLog
from stream.log.topics import Topics
from stream.owner import Shared
from stream.pulse import Pulse
from stream.results import Results
from stream.runner import Pool, Runner
from stream.service import Limits, Service
from stream.suspects import Watch
from stream.telemetry import Telemetry
from stream.workshop import Workshop

__all__ = [
    "CONFIG",
    "FAST",
    "Clock",
    "InlinePool",
    "Night",
    "arrival",
    "closing_of",
    "events_of",
    "eventually",
    "manifest_of",
    "read_all",
    "write_larger_warp",
    "write_warp",
]

T = TypeVar("T")

CONFIG = core.MatchConfig(bin_size=16)
PLANES = {
    "BAD": 0,
    "SAT": 1,
    "INTRP": 2,
    "CR": 3,
    "DETECTED": 5,
    "DETECTED_NEGATIVE": 6,
    "NO_DATA": 8,
}
START_S = 1_790_000_000.0
FAST = groups.Policy(
    quorum=2,
    quiet_ms=60_000,
    deadline_ms=600_000,
    update_quiet_ms=10_000,
    update_max_ms=30_000,
)
"""Hours made seconds: what a test would not wait for."""
GROUP: dict[str, str | int] = {"SKYMAP": "rings", "TRACT": 7, "PATCH": 3, "BAND": "r"}


def write_warp(
    folder: Path,
    visit: int,
    *,
    sky: float | None = None,
    seed: int | None = None,
    keep: slice | None = None,
    **header: Any,
) -> Path:
    """Write a warp of noise on a level, with one detected source; `keep` leaves only some columns.

    The level is 100 counts and the visit's number, so that models can be told apart.
    """
    random = np.random.default_rng(visit if seed is None else seed)
    level = 100.0 + visit if sky is None else sky
    image = random.normal(level, 2.0, (64, 64)).astype(np.float32)
    mask = np.zeros((64, 64), np.int32)
    mask[10:14, 10:14] = 1 << PLANES["DETECTED"]
    if keep is not None:
        gone = np.ones(64, bool)
        gone[keep] = False
        image[:, gone] = np.nan
        mask[:, gone] = 1 << PLANES["NO_DATA"]
    variance = np.full((64, 64), 4.0, np.float32)
    exposure = core.MaskedImage(image, mask, variance, PLANES, (100, 200))
    path = folder / f"warp-{str(header.get('BAND', 'r')).replace('/', '_')}-{visit}.fits"
    path.write_bytes(fits.encode(exposure, {"VISIT": visit, "BUNIT": "nJy", **GROUP, **header}))
    return path


def write_larger_warp(folder: Path, visit: int) -> Path:
    """Write a warp of 96 x 96 pixels at the same corner, whose cost is the lowest."""
    image = np.full((96, 96), 100.0 + visit, np.float32)
    exposure = core.MaskedImage(image, np.zeros((96, 96), np.int32), image, PLANES, (100, 200))
    path = folder / f"larger-{visit}.fits"
    path.write_bytes(fits.encode(exposure, {"VISIT": visit, "BUNIT": "nJy", **GROUP}))
    return path


def arrival(path: Path, **changes: Any) -> schemas.WarpArrived:
    """Return the announcement of a file."""
    described = describe(path, Override())
    assert isinstance(described, Described), described
    return msgspec.structs.replace(described.message, **changes)


class Clock:
    """Wall time as the test has it, seconds; the log stamps with it too."""

    def __init__(self, now: float = START_S) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time, seconds."""
        return self.now

    def ms(self) -> int:
        """Return the time, milliseconds."""
        return round(self.now * 1000)


class InlinePool:
    """Runs jobs in a thread; `before` may wait, or raise what a dying worker would."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, int]] = []
        self.before: Callable[[str, int], None] = lambda _name, _visit: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = 0
        self.alive = 1

    async def run(self, function: Callable[..., T], /, *args: Any) -> T:
        """Run a job in a thread."""
        name, visit = getattr(function, "__name__", "job"), args[len(args) - 3].visit
        self.jobs.append((name, visit))
        await self.gate.wait()
        self.before(name, visit)
        return await asyncio.to_thread(function, *args)


@dataclass
class Night:
    """One service on one embedded log in a folder.

    `wrap` may put something between the service and its log.
    """

    folder: Path
    policy: groups.Policy = field(default_factory=groups.Policy)
    partitions: int = 2
    clock: Clock = field(default_factory=Clock)
    wrap: Callable[[OwnerLog], OwnerLog] = lambda log: log
    limits: Limits = field(default_factory=lambda: Limits(poll_wait_s=0.01, grace_s=5.0))
    profile: core.VerdictProfile = core.VerdictProfile.SURVEY
    results: Results = field(default_factory=Results)
    foresight: Foresight = field(default_factory=Foresight)

    def __post_init__(self) -> None:
        self.topics = Topics()
        self.path = self.folder / "log.db"
        self.pool = InlinePool()
        self.telemetry = Telemetry()

    def service(self, pool: Pool | None = None) -> Service:
        """Return a service, not yet started."""
        limits = FetchLimits(missing_grace_s=0.05, pause_s=0.01)
        store = Fetcher([self.folder], self.folder / "landing", limits)
        watch = Watch(lambda _: self.policy, self.clock)
        runner = Runner(store, pool or self.pool, CONFIG, fits.DecodeLimits(), 4)
        owner = EmbeddedOwner(self.path, self.topics, self.partitions, clock=self.clock.ms)
        shared = Shared(
            log=self.wrap(owner),
            topics=self.topics,
            workshop=Workshop(runner.equip(self.results, watch)),
            assembler=Assembler(CONFIG, self.profile, "test"),
            telemetry=self.telemetry,
            policy_for=lambda _: self.policy,
            clock=self.clock,
            source="test",
            foresight=self.foresight,
        )
        service = Service(shared, self.pool, Pulse(self.telemetry.loop_lagged), self.limits)
        watch.know(service)
        return service

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        """Run a service for the time of the context, and stop it gently."""
        service = self.service()
        task = asyncio.create_task(service.run())
        try:
            yield service
        finally:
            service.stop()
            await task

    async def publish(self, *messages: schemas.Message) -> None:
        """Publish events as upstream does."""
        await self.publish_raw(*(self._record(message) for message in messages))

    async def publish_raw(self, *records: Callable[[int], Outgoing] | Outgoing) -> None:
        """Publish records as they are, or as they come out for the number of partitions."""
        log = EmbeddedPublisher(self.path, self.topics, self.partitions, clock=self.clock.ms)
        await log.start()
        try:
            made = [r(log.partitions) if callable(r) else r for r in records]
            await log.publish(made)
        finally:
            await log.close()

    def _record(self, message: schemas.Message) -> Callable[[int], Outgoing]:
        time = schemas.time_text(round(self.clock.now * 1e6))
        encoded = schemas.encode(message, id=str(uuid.uuid4()), source="test", time=time)

        def make(partitions: int) -> Outgoing:
            partition = schemas.partition_of(encoded.key, partitions)
            key, value, headers = encoded.key, encoded.value, encoded.headers
            return Outgoing(self.topics.warps, partition, key, value, headers)

        return make

    async def summaries(self) -> list[schemas.GroupMatched]:
        """Return the summaries published so far, in order."""
        return [
            m
            for m in await read_all(self, self.topics.groups)
            if isinstance(m, schemas.GroupMatched)
        ]

    async def models(self) -> list[schemas.BackgroundModel]:
        """Return the models published so far, in order."""
        return [
            m
            for m in await read_all(self, self.topics.models)
            if isinstance(m, schemas.BackgroundModel)
        ]

    async def letters(self) -> list[schemas.DeadLetter]:
        """Return the dead letters so far, in order."""
        found = await read_all(self, self.topics.dead_letters)
        return [m for m in found if isinstance(m, schemas.DeadLetter)]

    async def until(self, count: int, what: str = "summaries") -> list[Any]:
        """Wait until there are so many summaries (or letters, models), and return them."""
        async with asyncio.timeout(60):
            while True:
                found: list[Any] = []
                with contextlib.suppress(LogRefusedError):  # it may not be made yet
                    found = await getattr(self, what)()
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.02)


async def eventually(holds: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.02)


async def read_all(night: Night, topic: str) -> list[schemas.Message]:
    """Return every message of a topic."""
    log = EmbeddedReader(night.path)
    await log.start()
    try:
        found = log.read([topic], follow=False)
        return [schemas.decode(r.key, r.headers, r.value)[1] async for r in found]
    finally:
        await log.close()


def events_of(paths: Sequence[Path], **changes: Any) -> list[schemas.WarpArrived]:
    """Return the announcements of files."""
    return [arrival(path, **changes) for path in paths]


def manifest_of(*paths: Path, **changes: object) -> schemas.GroupManifest:
    """Return the manifest that names exactly these files."""
    described = [Described(path, arrival(path)) for path in paths]
    (manifest,) = manifests(described)
    return msgspec.structs.replace(manifest, **changes)


def closing_of(path: Path) -> schemas.GroupClosed:
    """Return the message that closes a file's group."""
    (closing,) = closings([Described(path, arrival(path))])
    return closing
