"""An honest log, made once, and copies of it to be damaged."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import schemas
from stream.log.seam import Outgoing
from tests.stream.audit.damage import TOPICS, Planted
from tests.stream.chaos import PARTITIONS, Storm
from tests.stream.night import FAST

SEAL_RETENTION_S = FAST.seal_retention_ms / 1000 + 1


class Steady(Storm):
    """A service with stub jobs to which known things happen, one after the other."""

    async def live_through(self) -> None:
        """Let four groups have a history, with records in between that are good for nothing."""
        whole = [arrived(0, visit) for visit in (1, 2, 3, 4)]
        await self.say(manifest(0, (1, 2, 3, 4)), *whole)
        await self.say(*(arrived(1, visit) for visit in (1, 2, 3)), arrived(2, 7))
        self.clock.now += 100
        await self.say(poison(b"\xc1"), poison(None), tick())
        await self.say(arrived(0, 2, version=1), withdrawn(1, 3))
        self.clock.now += 20
        await self.say(tick(), arrived(0, 3, version=1), arrived(0, 1))
        self.clock.now += 20
        await self.say(tick(), poison(b"\xc0", "live/s/1/0/r"), closed(3), arrived(3, 1))
        await self.say(sealed(1), arrived(1, 9), sealed(2), reopened(2), suspected(3, 1))
        self.clock.now += SEAL_RETENTION_S
        await self.say(arrived(1, 9), reopened(1), sealed(3))
        await self.end()

    async def say(self, *records: Outgoing) -> None:
        """Publish some records, and let the service do all that comes of them."""
        self.clock.now += 1
        await self._publish({self.clock.ms(): records})
        await self._calm()


def _group(patch: int) -> dict[str, Any]:
    return {"skymap": "s", "tract": 1, "patch": patch, "band": "r"}


def arrived(patch: int, visit: int, version: int = 0) -> Outgoing:
    """Return the arrival of a warp that can be measured and matched."""
    checksum = f"{16 * (patch + 8 * version) + 4 + visit:04x}{visit:04x}" * 8
    message = schemas.WarpArrived(
        **_group(patch), visit=visit, version=version, uri=f"file:///{visit}", checksum=checksum
    )
    return _record(message, f"a{patch}-{visit}-{version}")


def withdrawn(patch: int, visit: int) -> Outgoing:
    """Return a withdrawal."""
    message = schemas.WarpWithdrawn(**_group(patch), visit=visit, version=1, reason="clouds")
    return _record(message, f"w{patch}-{visit}")


def manifest(patch: int, visits: tuple[int, ...]) -> Outgoing:
    """Return a manifest."""
    return _record(schemas.GroupManifest(**_group(patch), version=0, visits=visits), f"m{patch}")


def closed(patch: int) -> Outgoing:
    """Return a closing."""
    return _record(schemas.GroupClosed(**_group(patch), version=0), f"c{patch}")


def sealed(patch: int) -> Outgoing:
    """Return a seal."""
    return _record(schemas.GroupSealed(**_group(patch), version=1), f"s{patch}")


def reopened(patch: int) -> Outgoing:
    """Return a reopening, which ranks above a seal of the same version."""
    return _record(schemas.GroupReopened(**_group(patch), version=1), f"o{patch}")


def suspected(patch: int, visit: int) -> Outgoing:
    """Return the report of a death."""
    message = schemas.JobSuspected(**_group(patch), visit=visit, job="f" * 64, alone=True)
    return _record(message, f"j{patch}-{visit}")


def tick() -> Outgoing:
    """Return a record that moves a clock, as anybody's does."""
    return _record(schemas.ClockTick(partition=0), "t", 0)


def poison(value: bytes | None, key: str = "nobody") -> Outgoing:
    """Return a record that nothing can be done with."""
    home = schemas.partition_of(key.encode(), PARTITIONS)
    return Outgoing(TOPICS.warps, home, key.encode(), value, ())


def _record(message: schemas.Message, name: str, partition: int | None = None) -> Outgoing:
    time = schemas.time_text(1_790_000_000_000_000)
    encoded = schemas.encode(message, id=name, source="upstream", time=time)
    if partition is None:
        partition = schemas.partition_of(encoded.key, PARTITIONS)
    return Outgoing(TOPICS.warps, partition, encoded.key, encoded.value, encoded.headers)


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the log of a real service."""
    path = tmp_path_factory.mktemp("honest") / "log.db"
    asyncio.run(Steady(path, 0, 0).live_through())
    return path


@pytest.fixture
def planted(honest: Path, tmp_path: Path) -> Planted:
    """Return a copy of it."""
    return Planted.copy(honest, tmp_path)


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for brokers, where nothing is in flight."""
    monkeypatch.setattr("stream.audit.terms.SETTLE_S", 0.0)
    monkeypatch.setattr("stream.audit.terms.AGAIN_S", 0.0)
