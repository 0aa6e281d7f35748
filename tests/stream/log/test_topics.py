"""The topics: what DESIGN.md section 4 asks of them."""

from __future__ import annotations

import pytest

from stream.log.seam import Outgoing, TopicSpec
from stream.log.topics import Topics, refuse_strays

DAY_MS = 24 * 3600 * 1000


def _specs(partitions: int = 64) -> dict[str, TopicSpec]:
    return {spec.name: spec for spec in Topics().specs(partitions)}


def test_the_names_are_those_of_the_design() -> None:
    """Six topics, each the prefix and its word."""
    assert Topics().names == (
        "evensky.warps",
        "evensky.state",
        "evensky.models",
        "evensky.groups",
        "evensky.metrics",
        "evensky.dead-letters",
    )
    assert Topics("my-night").dead_letters == "my-night.dead-letters"


@pytest.mark.parametrize("prefix", ["", ".", ".hidden", "a b", "a/b", "ä", "x" * 201, "a\n"])
def test_a_prefix_that_cannot_begin_a_name_is_refused(prefix: str) -> None:
    """The refusal says what a prefix may be."""
    with pytest.raises(ValueError, match="letters, digits"):
        Topics(prefix)


def test_all_topics_have_one_partition_count_and_the_logs_stamps() -> None:
    """What comes of partition p is written to partition p, and carries the log's time."""
    specs = _specs(64)
    assert tuple(specs) == Topics().names
    assert {spec.partitions for spec in specs.values()} == {64}
    assert {spec.config["message.timestamp.type"] for spec in specs.values()} == {"LogAppendTime"}


def test_what_must_last_is_compacted_and_the_rest_has_its_days() -> None:
    """State, models and groups keep the last value of each key; the others a window of time."""
    specs = _specs()
    compacted = {name for name, spec in specs.items() if spec.compacted}
    assert compacted == {"evensky.state", "evensky.models", "evensky.groups"}
    for name, spec in specs.items():
        assert spec.config["cleanup.policy"] == ("compact" if name in compacted else "delete")
    days = {
        name: int(spec.config["retention.ms"]) / DAY_MS
        for name, spec in specs.items()
        if name not in compacted
    }
    assert days == {"evensky.warps": 14, "evensky.metrics": 30, "evensky.dead-letters": 30}
    for name in ("evensky.models", "evensky.groups"):
        assert specs[name].config["min.compaction.lag.ms"] == str(7 * DAY_MS)


def test_an_announcement_is_small_and_a_dead_letter_holds_it() -> None:
    """256 KiB is the most that upstream may send, and its dead letter has room for more."""
    specs = _specs()
    assert specs["evensky.warps"].config["max.message.bytes"] == str(256 * 1024)
    assert int(specs["evensky.dead-letters"].config["max.message.bytes"]) > 256 * 1024


def test_a_models_topic_takes_what_the_settings_allow() -> None:
    """The largest message of a model is the setting's, and moves no other topic."""
    given = {spec.name: spec.config["max.message.bytes"] for spec in Topics().specs(1)}
    larger = Topics(model_bytes=2**24).specs(1)
    changed = [spec for spec in larger if spec.config["max.message.bytes"] != given[spec.name]]
    assert [(one.name, one.config["max.message.bytes"]) for one in changed] == [
        (Topics().models, str(2**24))
    ]


def test_records_go_to_our_topics_only() -> None:
    """Another topic, another partition, or nothing at all in a record is a ValueError."""
    topics = Topics()
    refuse_strays([Outgoing(topics.models, 1, b"k", None)], topics, [1])
    for stray in (
        Outgoing("elsewhere", 1, b"k", b"v"),
        Outgoing(topics.models, 2, b"k", b"v"),
        Outgoing(topics.models, 1, None, None),
    ):
        with pytest.raises(ValueError, match="record"):
            refuse_strays([stray], topics, [1])
