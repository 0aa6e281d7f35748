"""`evensky watch` on a log whose content is known."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

import schemas
from stream.log.embedded import EmbeddedOwner
from stream.log.seam import Outgoing
from stream.log.topics import Topics
from tests.schemas import examples
from tests.stream.commands.conftest import Say

TOPICS = Topics()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Write a log with one of each message in its topic, and a record that nobody can read."""
    homes = {
        "BackgroundModel": TOPICS.models,
        "GroupMatched": TOPICS.groups,
        "DeadLetter": TOPICS.dead_letters,
    }
    records = [
        Outgoing(homes[name], 0, one.key, one.value, one.headers)
        for message in examples.EXAMPLES
        if (name := type(message).__name__) in homes
        for one in [examples.record(message)]
    ]
    asyncio.run(_write(tmp_path / "evensky.db", records))
    return tmp_path / "evensky.db"


async def _write(path: Path, records: list[Outgoing]) -> None:
    owner = EmbeddedOwner(path, TOPICS, 1)
    await owner.start()
    try:
        await owner.poll(1, 0.0)
        await owner.take(0)
        await owner.transact(0, records)
    finally:
        await owner.close()


def test_cloud_events(say: Say, log: Path) -> None:
    """With --json each message is one line, a CloudEvent in structured mode, arrays as text."""
    said = say("watch", "--once", "--json", "--log", log)
    assert (said.code, said.err) == (0, "")
    events = [json.loads(line) for line in said.out.splitlines()]
    assert sorted(event["type"] for event in events) == [
        "background.model.v1",
        "dead.letter.v1",
        "group.matched.v1",
    ]
    for event in events:
        assert set(event) == {
            *("specversion", "id", "source", "type", "time", "datacontenttype", "data")
        }


def test_for_people(say: Say, log: Path) -> None:
    """A summary and a dead letter are told in words; a model is told of by its summary."""
    said = say("watch", "--once", "--log", log)
    assert said.code == 0
    assert "reference 1228" in said.out
    assert "bad_msgpack: the value is not msgpack" in said.out
    assert "warning: visit 1240 has no good pixel" in said.out
    assert "rejected" not in said.out


def test_rejections_are_counted_and_explained(say: Say, log: Path) -> None:
    """Whoever watches sees which of the matched models a coadder should not use, and why."""
    summary = next(one for one in examples.EXAMPLES if type(one).__name__ == "GroupMatched")
    assert isinstance(summary, schemas.GroupMatched)
    members = tuple(
        one
        if one.status == "reference"
        else msgspec.structs.replace(one, verdict="reject", reason=f"{one.visit} is\x1b bad")
        for one in summary.members
    )
    bad = examples.record(msgspec.structs.replace(summary, members=members))
    record = Outgoing(TOPICS.groups, 0, bad.key, bad.value, bad.headers)
    asyncio.run(_write(log, [record]))
    told = say("watch", "--once", "--log", log).out
    assert "1 matched, 1 failed, 1 rejected" in told
    assert told.count("rejected: ") == 1
    assert "\n    visit 1230: rejected: 1230 is\ufffd bad\n" in told
    assert "\n    visit 1232: failed: 1232 is\ufffd bad\n" in told


def test_from_now_on(say: Say, log: Path) -> None:
    """With --new what stands there already is not told."""
    assert say("watch", "--once", "--new", "--log", log).out == ""


def test_a_record_of_the_future(say: Say, log: Path) -> None:
    """A record that cannot be read is named on stderr, the rest is told, the exit code is 1."""
    asyncio.run(_write(log, [Outgoing(TOPICS.groups, 0, b"k", b"v", ())]))
    said = say("watch", "--once", "--log", log)
    assert said.code == 1
    assert "evensky.groups [0] 1 cannot be read" in said.err
    assert "reference 1228" in said.out


def test_nothing_steers_the_terminal(say: Say, log: Path) -> None:
    """What strangers wrote cannot move the cursor or change colours of who watches."""
    letter = next(one for one in examples.EXAMPLES if type(one).__name__ == "DeadLetter")
    evil = examples.record(msgspec.structs.replace(letter, message="\x1b[2Jgone"))
    record = Outgoing(TOPICS.dead_letters, 0, evil.key, evil.value, evil.headers)
    asyncio.run(_write(log, [record]))
    said = say("watch", "--once", "--log", log)
    assert "gone" in said.out
    assert "\x1b" not in said.out
