"""The coadder's page: what stands there runs, and does what is said."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import core
import schemas
from ops import guide
from stream.log.embedded import EmbeddedPublisher
from stream.log.seam import Outgoing
from stream.log.topics import Topics
from stream.rebuild import background
from tests.schemas import examples
from tests.stream.reader.messages import published_model, published_summary

PAGE = Path(guide.__file__).with_name("reading.md").read_text(encoding="utf-8")
GROUP = schemas.GroupId("live", "map", 1, 2, "r")


@pytest.fixture
def consume() -> Callable[..., AsyncIterator[Any]]:
    """Return the function on the page, as it stands there."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(block.splitlines()) <= 15
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - the page's own lines are what is tested
    found: Callable[..., AsyncIterator[Any]] = names["consume"]
    return found


async def publish(path: Path, revision: int, *visits: int) -> None:
    """Publish a revision of the group, whose models were sent with it."""
    topics = Topics()
    models = [published_model(GROUP, visit, revision, 0.5) for visit in visits]
    records = [(topics.models, examples.record(one)) for one in models]
    records.append((topics.groups, examples.record(published_summary(GROUP, revision, models))))
    log = EmbeddedPublisher(path, topics, 2)
    await log.start()
    await log.publish(
        [Outgoing(topic, 0, one.key, one.value, one.headers) for topic, one in records]
    )
    await log.close()


async def test_the_lines_run_and_go_on(
    consume: Callable[..., AsyncIterator[Any]], tmp_path: Path
) -> None:
    """The page's function gives each revision once, over its own restarts, with models' images."""
    path, start = tmp_path / "evensky.db", "all"
    for revision, visits in ((1, (4, 5)), (2, (4, 5, 6))):
        await publish(path, revision, *visits)
        ((summary, images, start),) = [one async for one in consume(path, start, follow=False)]
        assert (summary.group, summary.revision) == (GROUP, revision)
        assert set(images) == set(visits)
        model = published_model(GROUP, 4, 1, 0.5).model
        assert model is not None
        assert images[4].tobytes() == background(model).image().tobytes()
    assert [one async for one in consume(path, start, follow=False)] == []


def test_what_is_said_of_adding_holds() -> None:
    """An image of the page has the size of its warp and is added to it as it is."""
    model = published_model(GROUP, 4, 1, 0.5).model
    assert model is not None
    image = background(model).image()
    assert image.dtype == np.float32
    assert image.shape == (model.height, model.width)
    assert isinstance(background(model), core.Background)


def test_what_the_page_names_is_there() -> None:
    """Each name of ours on the page can be imported from where it says."""
    from stream.log.kafka import KafkaReader, KafkaSettings  # noqa: PLC0415 - as a user would
    from stream.reader import ReaderOptions, RevisionReader  # noqa: PLC0415 - the same

    for one in (KafkaReader, KafkaSettings, ReaderOptions, RevisionReader):
        assert one.__name__ in PAGE
    for option in ("folder", "cache_bytes", "on_bad"):
        assert hasattr(ReaderOptions(), option)
        assert option in PAGE
