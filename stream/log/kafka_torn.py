"""Whether retention took records of the input that the state has not read, in any partition."""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

from stream.log.judgement import Finding, torn
from stream.log.kafka_link import translated
from stream.log.kafka_read import begins
from stream.log.kafka_settings import KafkaSettings
from stream.log.kafka_topics import positions
from stream.log.topics import Topics

__all__ = ["torn_input"]

_TAIL: Final = 10_000
"""Records of a changelog among which its newest position is likely."""


async def torn_input(settings: KafkaSettings, topics: Topics, partitions: int) -> Finding | None:
    """Compare where the input begins with where the state would go on.

    Parameters
    ----------
    settings : KafkaSettings
    topics : Topics
        All are there.
    partitions : int
        Of each.

    Returns
    -------
    Finding or None
        One for all partitions together; None if nothing is lost.

    Raises
    ------
    LogRefusedError
        We may not look.
    LogUnavailableError
        Nothing answers.
    """
    places = [(topics.warps, one) for one in range(partitions)]
    with translated(settings):
        first = await begins(settings, places)
        goes_on = await _newest(settings, topics.state, partitions)
    lost = {
        partition: (goes_on.get(partition, 0), begin)
        for (_, partition), begin in sorted(first.items())
        if begin > goes_on.get(partition, 0)
    }
    return torn(topics.warps, lost) if lost else None


async def _newest(settings: KafkaSettings, topic: str, partitions: int) -> dict[int, int]:
    """Return by partition where the state goes on; where there is no state is no entry."""
    newest: dict[int, int] = {}
    for tail in (_TAIL, None):
        places = [(topic, one) for one in range(partitions) if one not in newest]
        if places:
            async with aclosing(positions(settings, places, tail)) as found:
                async for partition, position in found:
                    newest[partition] = position.next_offset
    return newest
