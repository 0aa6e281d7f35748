"""The service on a real broker, killed, and what consumers see of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from stream.log.seam import Outgoing
from stream.log.topics import Topics
from stream.simulate import SurveyManifest
from stream.wiring import publisher_log
from tests.e2e.processes import Place, evensky, honest, published, running, until
from tests.e2e.test_bytes import on_kafka

pytestmark = pytest.mark.kafka

# A static name takes its place back at once; without one Kafka waits for the dead one's session.
_STATIC = ("--instance", "one", "--session-timeout-s", "6")


async def _publish_garbage(place: Place, value: bytes) -> None:
    log = publisher_log(place.settings)
    await log.start()
    try:
        topic = Topics(place.settings.topic_prefix).warps
        await log.publish([Outgoing(topic, 1, b"no identity", value, ())])
    finally:
        await log.close()


def test_killed_on_kafka(survey: SurveyManifest, tmp_path: Path, kafka: str) -> None:
    """Killed in its work and started again, the service publishes each group once, read committed.

    What nobody can read becomes one dead letter, and `watch --json` tells all of it as CloudEvents.
    """
    place = on_kafka(kafka, survey.directory)
    asyncio.run(_publish_garbage(place, b"\xc1 not msgpack"))
    place.announce([survey.path(warp) for warp in survey.warps])
    with running(place, tmp_path, *_STATIC) as service:
        service.until_it_says("group frozen")
        service.kill()
    honest(place)
    with running(place, tmp_path, *_STATIC) as service:
        service.until_it_says("started")
        honest(place)
        until(lambda: len(published(place).summaries) == len(survey.groups))
        until(lambda: place.records("dead_letters"))
        assert service.stop() == 0
    expected = {entry.key: [w.visit for w in survey.warps_of(entry)] for entry in survey.groups}
    honest(place)
    published(place).hold_complete(expected)
    told, _ = evensky("audit", *place.options)
    assert "nothing is lost, nothing is doubled" in told
    _hold_watched(place, len(survey.warps), len(survey.groups))


def _hold_watched(place: Place, models: int, groups: int) -> None:
    told, _ = evensky("watch", "--once", "--json", *place.options)
    events = [json.loads(line) for line in told.splitlines()]
    assert all(event["specversion"] == "1.0" and event["id"] for event in events)
    kinds = [event["type"] for event in events]
    assert kinds.count("background.model.v1") == models
    assert kinds.count("group.matched.v1") == groups
    (letter,) = [event["data"] for event in events if event["type"] == "dead.letter.v1"]
    assert (letter["partition"], letter["offset"]) == (1, 0)
    told, _ = evensky("watch", "--once", *place.options)
    assert sum("complete by manifest" in line for line in told.splitlines()) == groups
    assert sum(line.startswith("dead letter") for line in told.splitlines()) == 1
