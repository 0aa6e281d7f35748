"""One fixture for either log, so that one suite holds both to the seam."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
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


@pytest.fixture
def name() -> str:
    """Make a name that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest_asyncio.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedBench]:
    """Set up the embedded log on a new file."""
    bench = EmbeddedBench(Topics(), tmp_path / "night.db")
    await bench.create(bench.topics.specs(PARTITIONS))
    yield bench
    await bench.close()


@pytest_asyncio.fixture
async def on_kafka(kafka: str, name: str) -> AsyncIterator[KafkaBench]:
    """Set up new topics and a new group on Kafka."""
    bench = KafkaBench(Topics(name), quick_settings(kafka, name))
    await bench.create(bench.topics.specs(PARTITIONS))
    yield bench
    await bench.close()


@pytest.fixture(params=["embedded", pytest.param("on_kafka", marks=pytest.mark.kafka)])
def bench(request: pytest.FixtureRequest) -> Bench:
    """Set up either log."""
    found: Bench = request.getfixturevalue(request.param)
    return found
