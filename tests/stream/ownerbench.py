"""An owner of one partition on a log in lists, with stub jobs, for tests that go step by step."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import Any

import core
import schemas
from core import groups
from stream import fits
from stream.assemble import Assembler
from stream.foresight import Foresight
from stream.owner import Owner, Shared
from stream.runner import Runner
from stream.telemetry import Telemetry
from stream.workshop import Workshop
from tests.stream.chaos import Script, StubPool, StubStore
from tests.stream.log.plain import PlainLog
from tests.stream.night import CONFIG, FAST, Clock

__all__ = ["GROUP", "KEY", "Bench", "arrived", "whole"]

GROUP: dict[str, Any] = {"skymap": "s", "tract": 1, "patch": 0, "band": "r"}
KEY = "live/s/1/0/r"


class Bench:
    """An owner, its log in lists, and what it was spawned to do."""

    def __init__(
        self,
        profile: core.VerdictProfile = core.VerdictProfile.NONE,
        policy: groups.Policy = FAST,
        pool: StubPool | None = None,
        **shared: Any,
    ) -> None:
        self.clock = Clock()
        self.log = PlainLog(clock=self.clock.ms)
        self.script = Script(Random(0), 1)  # noqa: S311 - only for making records
        self.pool = pool or StubPool(Random(1))  # noqa: S311 - chance that can be had again
        self.policy = policy
        self.tasks: list[asyncio.Task[None]] = []
        self.telemetry = Telemetry()
        self.runner = Runner(StubStore(), self.pool, CONFIG, fits.DecodeLimits(), 4)
        shared = {"foresight": Foresight(on_settled=self.telemetry.ahead)} | shared
        self.shared = Shared(
            log=self.log,
            topics=self.log.topics,
            workshop=Workshop(self.runner),
            assembler=Assembler(CONFIG, profile, "test"),
            telemetry=self.telemetry,
            policy_for=lambda _: self.policy,
            clock=self.clock,
            source="test",
            **shared,
        )
        self.owner = Owner(0, self.shared, self._spawn)

    def _spawn(self, work: Any, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self.tasks.append(task)
        return task

    def shared_with(self, **changes: Any) -> Shared:
        """Return what owners share, but for some of it."""
        return replace(self.shared, **changes)

    def anew(self) -> Owner:
        """Return another owner of the same partition."""
        self.owner = Owner(0, self.shared, self._spawn)
        return self.owner

    def say(self, *messages: schemas.Message) -> None:
        """Append events as upstream does."""
        self.log.append([self.script._record(one, self.clock.now) for one in messages])  # noqa: SLF001 - a helper of ours

    async def hear(self) -> None:
        """Let the owner take in what is new."""
        topic = self.log.topics.warps
        await self.owner.ingest(self.log.kept[topic, 0][self.owner.position.next_offset :])

    async def done(self) -> None:
        """Wait until all that was spawned is over."""
        while any(not task.done() for task in self.tasks):
            await asyncio.wait(self.tasks)
            await asyncio.sleep(0)

    async def live(self, *messages: schemas.Message) -> None:
        """Say something, let the owner hear it, and wait until all that follows is over."""
        self.say(*messages)
        await self.hear()
        await self.done()

    async def update(self, *messages: schemas.Message) -> None:
        """Say something a moment later, and let time pass until an update of it is published."""
        self.clock.now += 1
        self.say(*messages)
        self.clock.now += 40
        await self.live(schemas.ClockTick(partition=0))

    def jobs(self) -> list[tuple[str, str]]:
        """Return the jobs since the last call: what was done, and to which warp's checksum."""
        done, self.pool.jobs = self.pool.jobs, []
        return done

    @property
    def summaries(self) -> list[schemas.GroupMatched]:
        """The summaries published so far."""
        return self.messages(self.log.topics.groups)

    @property
    def models(self) -> list[schemas.BackgroundModel]:
        """The models published so far."""
        return self.messages(self.log.topics.models)

    @property
    def letters(self) -> list[schemas.DeadLetter]:
        """The dead letters so far."""
        return self.messages(self.log.topics.dead_letters)

    def told(self, name: str) -> float:
        """Return a number that the operators see, by its name and labels as they are exposed."""
        lines = self.telemetry.exposition().decode().splitlines()
        (line,) = [one for one in lines if one.startswith(f"{name} ")]
        return float(line.rpartition(" ")[2])

    def messages(self, topic: str) -> list[Any]:
        """Return what stands in a topic."""
        return [schemas.decode(r.key, r.headers, r.value)[1] for r in self.log.kept[topic, 0]]

    def revisions(self) -> list[tuple[int, int]]:
        """Return patch and revision of each summary."""
        return [(one.patch, one.revision) for one in self.messages(self.log.topics.groups)]

    @property
    def end(self) -> int:
        """Where the input ends."""
        return len(self.log.kept[self.log.topics.warps, 0])


def arrived(visit: int, patch: int = 0, name: str = "aa", **more: Any) -> schemas.WarpArrived:
    """Return an arrival; the name gives the warp its variance, a digit of the visit its fate."""
    checksum = f"9{visit:03x}{name:0<60}"
    place: dict[str, Any] = {
        **GROUP,
        "patch": patch,
        "visit": visit,
        "uri": "file:///x",
        "checksum": checksum,
    }
    return schemas.WarpArrived(**place, **more)


def whole(patch: int = 0) -> list[schemas.WarpArrived]:
    """Return the arrivals that complete a group of two."""
    return [arrived(visit, patch, expected=2) for visit in (1, 2)]
