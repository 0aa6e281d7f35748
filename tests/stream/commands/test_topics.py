"""`evensky topics`: what it makes, what it finds, and how it ends."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

import schemas
from ops.proof.damage import trim
from stream.log.embedded import create_topics as create_embedded
from stream.log.kafka import KafkaPublisher
from stream.log.kafka_topics import create_topics
from stream.log.seam import Outgoing
from stream.log.topics import Topics
from tests.stream.commands.conftest import Said, Say
from tests.stream.log.benches import quick_settings

# -- Kafka -----------------------------------------------------------------------------------------


@pytest.fixture
def prefix() -> str:
    """Make a prefix that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def topics(say: Say, kafka: str, prefix: str) -> Any:
    """Give a function that runs `evensky topics` on a broker, under the prefix."""

    def run(*words: object) -> Said:
        return say("topics", *words, "--bootstrap-servers", kafka, "--topic-prefix", prefix)

    return run


def rows(said: Said) -> dict[str, dict[str, Any]]:
    """Return what was told of each topic."""
    return {row["topic"].partition(".")[2]: row for row in json.loads(said.out)["topics"]}


@pytest.mark.kafka
def test_create_can_be_repeated(topics: Any) -> None:
    """The first time everything is made, the second time everything was there, and both are well.

    Nobody needs to remember how many partitions were asked for.
    """
    first, second = topics("create", "--partitions", 3, "--json"), topics("create", "--json")
    assert (first.code, second.code) == (0, 0)
    assert {row["state"] for row in rows(first).values()} == {"made"}
    assert {row["state"] for row in rows(second).values()} == {"was there"}
    assert [row["partitions"] for row in rows(second).values()] == [3] * 6


@pytest.mark.kafka
def test_create_makes_what_is_missing_like_the_rest(topics: Any, kafka: str, prefix: str) -> None:
    """A topic that was lost is made with the number of partitions that the others have."""
    specs = Topics(prefix).specs(5)
    asyncio.run(create_topics(quick_settings(kafka, prefix), specs[:-1]))
    found = rows(topics("create", "--json"))
    assert [name for name, row in found.items() if row["state"] == "made"] == ["dead-letters"]
    assert found["dead-letters"]["partitions"] == 5


@pytest.mark.kafka
def test_create_does_not_mix_partition_counts(topics: Any, kafka: str, prefix: str) -> None:
    """Where a topic has another count than was asked for, nothing is made, and the code is 1."""
    asyncio.run(create_topics(quick_settings(kafka, prefix), Topics(prefix).specs(5)[:1]))
    said = topics("create", "--partitions", 6)
    assert said.code == 1
    assert "fault: has 5 partitions and should have 6" in said.out
    assert [line.split()[0] for line in said.out.splitlines() if prefix in line[:40]] == [
        "was",
        *["missing"] * 5,
    ]


@pytest.mark.kafka
def test_create_leaves_a_wrong_topic_and_says_so(topics: Any, kafka: str, prefix: str) -> None:
    """What is wrong with a topic that was there is told with the remedy, and the code is 1."""
    specs = Topics(prefix, model_bytes=2**17).specs(2)
    asyncio.run(create_topics(quick_settings(kafka, prefix), specs[:3]))
    said = topics("create")
    assert said.code == 1
    assert f"was there  {prefix}.models" in said.out
    assert f"made       {prefix}.groups" in said.out
    assert "fault: has max.message.bytes=131072 and needs 4194304: kafka-configs.sh" in said.out
    assert said.out.splitlines()[-1] == "1 fault, 6 warnings"


@pytest.mark.kafka
def test_check_tells_what_is_missing(topics: Any) -> None:
    """Before anything is made, check names all six with the command that makes them."""
    said = topics("check")
    assert said.code == 1
    assert said.out.count("missing: create it with `evensky topics create`") == 6


@pytest.mark.kafka
def test_check_of_what_create_made_is_well(topics: Any) -> None:
    """One copy on one broker is warned of, topic by topic, and is no reason to fail."""
    topics("create", "--partitions", 2)
    said = topics("check", "--json")
    assert said.code == 0
    facts = json.loads(said.out)
    assert (facts["log"], facts["ok"]) == ("kafka", True)
    for row in rows(said).values():
        assert (row["state"], row["partitions"], row["copies"]) == ("there", 2, 1)
        assert row["faults"] == []
        assert [one["setting"] for one in row["warnings"]] == ["replication.factor"]
    assert topics("check").out.splitlines()[-1] == "0 faults, 6 warnings"


@pytest.mark.kafka
def test_check_finds_what_create_was_not_asked_for(topics: Any) -> None:
    """A larger message in the settings than the models topic takes is a fault, with both sizes."""
    topics("create", "--partitions", 2)
    said = topics("check", "--json", "--max-message-bytes", "8MiB")
    assert said.code == 1
    (fault,) = rows(said)["models"]["faults"]
    assert (fault["found"], fault["wanted"]) == (str(4 * 2**20), str(8 * 2**20))


def _cut(kafka: str, prefix: str, records: list[Outgoing], firsts: dict[int, int]) -> None:
    """Publish records, and let retention take some of the input."""

    async def play() -> None:
        topics = Topics(prefix)
        log = KafkaPublisher(quick_settings(kafka, prefix), topics)
        await log.start()
        await log.publish(records)
        await log.close()
        await trim(kafka, topics.warps, firsts)

    asyncio.run(play())


@pytest.mark.kafka
def test_check_finds_input_that_is_lost_unread(topics: Any, kafka: str, prefix: str) -> None:
    """Of all partitions at once, with what accepts it; what was read may be gone."""
    topics("create", "--partitions", 4)
    names = Topics(prefix)
    events = [Outgoing(names.warps, one, b"key", b"x") for one in range(4) for _ in range(9)]
    state = []
    for partition, at in ((0, 2), (1, 5), (1, 6), (2, 3)):
        value = schemas.pack_position(schemas.Position(next_offset=at, partitions=4))
        state.append(Outgoing(names.state, partition, schemas.POSITION_KEY, value))
    many = [Outgoing(names.state, 2, b"M|a/b/0/0/r|%d" % n, b"\x80") for n in range(10_500)]
    _cut(kafka, prefix, [*events, *state, *many], {0: 4, 1: 6, 2: 7, 3: 1})
    said = topics("check", "--json")
    assert said.code == 1
    (fault,) = rows(said)["warps"]["faults"]
    assert (fault["found"], fault["wanted"]) == ("0:4,2:7,3:1", "0:2,2:3,3:0")
    assert "go on without them by `evensky run --accept-loss 0:4,2:7,3:1`" in topics("check").out


# -- the embedded log ------------------------------------------------------------------------------


def test_there_is_nothing_to_check_about_a_file(say: Say, tmp_path: Path) -> None:
    """An embedded log keeps everything and stamps by itself; check says so, and its partitions."""
    asyncio.run(create_embedded(tmp_path / "night.db", Topics().specs(5)))
    said = say("topics", "check", "--log", "night.db")
    assert said.code == 0
    assert "night.db is an embedded log of 5 partitions" in said.out
    assert "nothing to check" in said.out
    facts = json.loads(say("topics", "check", "--log", "night.db", "--json").out)
    assert facts == {
        "log": "embedded",
        "file": "night.db",
        "ok": True,
        "state": "there",
        "partitions": 5,
        "topics": [],
    }


def test_check_makes_no_log(say: Say, tmp_path: Path) -> None:
    """A file that is not there is told, and stays away."""
    said = say("topics", "check")
    assert said.code == 0
    assert "there is no log evensky.db yet" in said.out
    assert json.loads(say("topics", "check", "--json").out)["state"] == "missing"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_log_is_refused(say: Say) -> None:
    """It is neither called well nor touched."""
    other = Path("notes.txt")
    other.write_text("my notes", encoding="utf-8")
    said = say("topics", "check", "--log", other)
    assert said.code == 2
    assert "not a log" in said.err
    assert other.read_text(encoding="utf-8") == "my notes"


def test_both_explain_themselves(say: Say) -> None:
    """The help says what makes the exit code 1."""
    for name in ("create", "check"):
        assert "Exit code 1" in say("topics", name, "--help").out
