"""One fixture for either log, so that one suite holds both to the seam."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from stream.log.topics import Topics
from tests.stream.log.benches import (
    PARTITIONS,
    Bench,
    EmbeddedBench,
    KafkaBench,
    quick_settings,
)


@pytest_asyncio.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedBench]:
    """Set up the embedded log on a new file."""
    bench = EmbeddedBench(Topics(), tmp_path / "night.db")
    await bench.create(bench.topics.specs(PARTITIONS))
    yield bench
    await bench.close()


@asynccontextmanager
async def _set_up(address: str, name: str) -> AsyncIterator[KafkaBench]:
    bench = KafkaBench(Topics(name), quick_settings(address, name))
    await bench.create(bench.topics.specs(PARTITIONS))
    yield bench
    await bench.close()


@pytest_asyncio.fixture
async def on_kafka(kafka: str, name: str) -> AsyncIterator[KafkaBench]:
    """Set up new topics and a new group on Kafka."""
    async with _set_up(kafka, name) as bench:
        yield bench


@pytest_asyncio.fixture
async def on_older_kafka(older_kafka: str, name: str) -> AsyncIterator[KafkaBench]:
    """Set them up on the oldest Kafka."""
    async with _set_up(older_kafka, name) as bench:
        yield bench


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Bench:
    """Set up either log."""
    found: Bench = request.getfixturevalue(request.param)
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes a `bench` on both logs, and the contract on the oldest Kafka as well."""
    if "bench" in metafunc.fixturenames:
        kafkas = ["on_kafka"]
        if getattr(metafunc.module, "__name__", "").endswith(".test_contract"):
            kafkas.append("on_older_kafka")
        marked = [pytest.param(one, marks=pytest.mark.kafka) for one in kafkas]
        metafunc.parametrize("bench", ["embedded", *marked], indirect=True)
