"""`evensky reopen`: what it publishes, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

import schemas
from core import groups
from stream.log.embedded import EmbeddedReader
from stream.log.seam import Outgoing, Record
from stream.log.topics import Topics
from tests.stream.commands.conftest import Say
from tests.stream.letterbox import write
from tests.stream.records import PARTITIONS

GROUP = schemas.GroupId("live", "rings", 7, 3, "r")
LOG = Path("evensky.db")


def store(header: groups.Header | None) -> None:
    """Write the state of a partition, with the group's header or without."""
    partition = schemas.partition_of(GROUP.key.encode(), PARTITIONS)
    position = schemas.Position(next_offset=0, partitions=PARTITIONS)
    puts = [(schemas.POSITION_KEY, schemas.pack_position(position))]
    if header is not None:
        puts.append((schemas.header_key(GROUP.key), schemas.pack_state(header)))
    write(LOG, [Outgoing(Topics().state, partition, key, value) for key, value in puts])


def sealed(ago_s: float = 60) -> groups.Header:
    """Return the header of a group that was sealed a while ago."""
    return groups.Header(sealing=4, sealed_at=round(1000 * (time.time() - ago_s)))


def published() -> list[Record]:
    """Return what stands on the input."""

    async def read() -> list[Record]:
        log = EmbeddedReader(LOG)
        await log.start()
        try:
            return [one async for one in log.read([Topics().warps], follow=False)]
        finally:
            await log.close()

    return asyncio.run(read())


def test_a_sealed_group_is_reopened(say: Say) -> None:
    """The reopening stands on the group's own partition, with a version that counts."""
    store(sealed())
    said = say("reopen", GROUP.key)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"{GROUP.key} is reopened (version 4)")
    (one,) = published()
    _, message = schemas.decode(one.key, one.headers, one.value)
    assert message == schemas.GroupReopened(**GROUP.fields, version=4)
    assert one.partition == schemas.partition_of(GROUP.key.encode(), PARTITIONS)


def test_json(say: Say) -> None:
    """With --json what was published is one JSON document."""
    header = sealed()
    store(header)
    said = say("reopen", GROUP.key, "--json")
    assert json.loads(said.out) == {
        "group": GROUP.key,
        "version": 4,
        "sealed_at": (header.sealed_at or 0) / 1000,
    }


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, "there is no group"),
        (groups.Header(opened_at=1), "is not sealed"),
        (sealed(ago_s=31 * 86_400), "seal_retention_s, 2.592e+06 s, is over"),
        (groups.Header(sealed_at=1, forgotten=True), "cannot be reopened"),
    ],
)
def test_a_refusal_is_a_sentence(say: Say, header: groups.Header | None, words: str) -> None:
    """Where nothing can be reopened nothing is published, and the exit code is 2."""
    store(header)
    said = say("reopen", GROUP.key)
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert len(said.err.splitlines()) == 1
    assert published() == []


def test_the_services_own_file_says_how_long(say: Say) -> None:
    """Where policies differ, that of the group counts."""
    store(sealed(ago_s=60))
    Path("e.toml").write_text('[[policies]]\nband = "r"\nseal_retention_s = 30\n', encoding="utf-8")
    assert "30 s, is over" in say("reopen", GROUP.key, "--config", "e.toml").err
    assert say("reopen", GROUP.key, "--seal-retention-s", "90").code == 0


@pytest.mark.parametrize("name", ["live/rings/7/3", "a/b/c/d/e", ""])
def test_a_group_has_five_parts(say: Say, name: str) -> None:
    """What names no group is wrong usage, with the right form in the sentence."""
    said = say("reopen", name)
    assert said.code == 2
    assert "Invalid value for 'GROUP'" in said.err


def test_there_is_no_log(say: Say) -> None:
    """Without a log there is nothing to be reopened, and none is made."""
    said = say("reopen", GROUP.key)
    assert said.code == 2
    assert "there is no log" in said.err
    assert not LOG.exists()
