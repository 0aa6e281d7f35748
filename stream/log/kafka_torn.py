"""Whether retention took records of the input that the state has not read, in any partition."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Final

import schemas
from stream.log.judgement import Finding, torn
from stream.log.kafka_link import translated
from stream.log.kafka_read import begins, read
from stream.log.kafka_settings import KafkaSettings
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
        goes_on = await _positions(settings, topics.state, partitions)
    lost = {
        partition: (goes_on.get(partition, 0), begin)
        for (_, partition), begin in sorted(first.items())
        if begin > goes_on.get(partition, 0)
    }
    return torn(topics.warps, lost) if lost else None


async def _positions(settings: KafkaSettings, topic: str, partitions: int) -> dict[int, int]:
    """Return by partition where the state goes on; where there is no state is no entry."""
    found: dict[int, int] = {}
    for tail in (_TAIL, None):
        places = [(topic, one) for one in range(partitions) if one not in found]
        if places:
            found |= await _newest(settings, places, tail)
    return found


async def _newest(
    settings: KafkaSettings, places: Sequence[tuple[str, int]], tail: int | None
) -> dict[int, int]:
    found: dict[int, int] = {}
    async with aclosing(read(settings, dict.fromkeys(places, 0), tail=tail)) as records:
        async for record in records:
            if record.key == schemas.POSITION_KEY and record.value is not None:
                with suppress(schemas.StateError):  # whoever restores it refuses it, in its words
                    position = schemas.unpack_position(record.value)
                    found[record.partition] = position.next_offset
    return found
