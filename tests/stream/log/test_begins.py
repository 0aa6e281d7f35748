"""Where a log begins, on either log."""

from __future__ import annotations

from tests.stream.log.benches import Bench


async def test_nothing_was_deleted_of_a_new_log(bench: Bench) -> None:
    """Where no record went by age each partition begins at 0, whatever stands in it."""
    publisher = await bench.started_publisher()
    await publisher.publish([bench.warp(1), bench.warp(2)])
    reader = await bench.started_reader()
    topics = (bench.topics.warps, bench.topics.models)
    assert await reader.begins(topics) == dict.fromkeys(await reader.ends(topics), 0)
