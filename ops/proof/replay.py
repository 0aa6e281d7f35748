"""The same input once more, with nothing else there: no state, no position, nothing published."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import uuid
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from ops.proof.place import Place
from stream.log.kafka_topics import create_topics
from stream.wiring import kafka_settings, our_topics

__all__ = ["emptied"]

_LOOK_S = 0.1
_FORGET = (
    "DELETE FROM record WHERE stream IN (SELECT id FROM stream WHERE topic != ?)",
    "UPDATE stream SET next_offset = 0, committed = NULL WHERE topic != ?",
    "UPDATE stream SET committed = NULL WHERE topic = ?",
)


def emptied(place: Place) -> Place:
    """Return a place with the input of another and nothing else; no service may run on that one.

    An embedded log is copied. On Kafka the input is the same topic, and all other topics of the
    place are made anew: what they held is gone.
    """
    if place.settings.brokers:
        return asyncio.run(_emptied_on_kafka(place))
    return _emptied_copy(place)


def _emptied_copy(place: Place) -> Place:
    source = place.settings.log
    copy = source.with_name(f"{source.stem}-{uuid.uuid4().hex[:8]}.db")
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)
        for statement in _FORGET:
            new.execute(statement, (place.topics.warps,))
        new.commit()
    roots = source.with_name(f"{source.name}.roots")
    if roots.exists():
        shutil.copy(roots, copy.with_name(f"{copy.name}.roots"))
    return _moved(place, source, copy)


def _moved(place: Place, source: Path, copy: Path) -> Place:
    options = tuple(str(copy) if word == str(source) else word for word in place.options)
    return replace(place, options=options)


async def _emptied_on_kafka(place: Place) -> Place:
    settings = place.settings
    topics = our_topics(settings)
    others = [name for name in topics.names if name != topics.warps]
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.brokers))
    await admin.start()
    try:
        partitions = len((await admin.describe_topics([topics.warps]))[0]["partitions"])
        await admin.delete_topics(others)
        while set(others) & set(await admin.list_topics()):  # noqa: ASYNC110 - a broker's, not ours
            await asyncio.sleep(_LOOK_S)
    finally:
        await admin.close()
    await create_topics(kafka_settings(settings), topics.specs(partitions))
    # Another group: the positions of the one before are those of work that nobody did.
    words = list(place.service)
    words[words.index("--app") + 1] = f"again-{uuid.uuid4().hex[:8]}"
    return replace(place, service=tuple(words))
