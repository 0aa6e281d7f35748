"""What is refused about a topic, and what is only told."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.log.judgement import Finding, TopicFound, judge, missing, moved, torn
from stream.log.seam import TopicSpec
from stream.log.topics import Topics

DAY_MS = 24 * 3600 * 1000
SAFE = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
SPECS = {spec.name: spec for spec in Topics().specs(64)}
NAMES = sorted(SPECS)


def found(
    spec: TopicSpec, config: Mapping[str, str] | None = None, partitions: int = 64, copies: int = 3
) -> TopicFound:
    """Return a topic as `evensky topics create` makes it on three brokers, but for some values."""
    return TopicFound(partitions, copies, {**spec.config, **SAFE, **(config or {})})


def only(name: str, **changed: str) -> Finding:
    """Return the one finding about a topic of which some values are changed."""
    config = {key.replace("_", "."): value for key, value in changed.items()}
    (one,) = judge(SPECS[name], found(SPECS[name], config))
    return one


@pytest.mark.parametrize("name", NAMES)
def test_a_topic_as_it_should_be_is_not_spoken_of(name: str) -> None:
    """Neither is one that keeps its records longer or for ever, or takes larger ones."""
    spec = SPECS[name]
    assert list(judge(spec, found(spec))) == []
    more = {"max.message.bytes": str(2**30), "min.insync.replicas": "3"}
    for kept in ("-1", str(365 * DAY_MS)):
        longer = {**more, "retention.ms": kept, "min.compaction.lag.ms": str(365 * DAY_MS)}
        assert list(judge(spec, found(spec, longer))) == []


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cleanup.policy", "compact,delete"),
        ("message.timestamp.type", "CreateTime"),
        ("max.message.bytes", "1000"),
    ],
)
def test_each_fault_names_the_topic_and_the_remedy(name: str, value: str) -> None:
    """The sentence tells both values, and the command that sets the right one."""
    said = only("evensky.warps", **{name: value})
    wanted = SPECS["evensky.warps"].config[name]
    assert said.refused
    assert (said.setting, said.found, said.wanted) == (name, value, wanted)
    assert str(said).startswith(f"topic evensky.warps has {name}={value} and needs {wanted}: ")
    assert str(said).endswith(f"--alter --topic evensky.warps --add-config {name}={wanted}")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("policy", ["compact", "delete", "compact,delete", ""])
def test_no_topic_is_cleaned_in_another_way(name: str, policy: str) -> None:
    """Compaction where records are events, or deletion where they are state, would lose data."""
    findings = list(judge(SPECS[name], found(SPECS[name], {"cleanup.policy": policy})))
    right = policy == SPECS[name].config["cleanup.policy"]
    assert [(one.setting, one.refused) for one in findings] == (
        [] if right else [("cleanup.policy", True)]
    )


@given(st.sampled_from(NAMES), st.integers(1, 1024))
def test_another_partition_count_is_a_fault(name: str, partitions: int) -> None:
    """A topic with another count than the input's is named with both counts."""
    said = list(judge(SPECS[name], found(SPECS[name], partitions=partitions)))
    if partitions == 64:
        assert said == []
        return
    (one,) = said
    assert one.refused
    assert f"has {partitions} partitions and should have 64" in str(one)


@given(st.sampled_from(NAMES), st.integers(0, 2**31 - 1))
def test_a_message_that_would_not_fit_is_a_fault(name: str, limit: int) -> None:
    """A limit below the topic's is refused, by a single byte too; one above it is not."""
    spec = SPECS[name]
    said = list(judge(spec, found(spec, {"max.message.bytes": str(limit)})))
    assert bool(said) == (limit < int(spec.config["max.message.bytes"]))
    assert all(one.refused for one in said)


def test_unset_configuration_is_a_fault() -> None:
    """A topic that does not say is not taken at its word."""
    said = list(judge(SPECS["evensky.state"], TopicFound(64, 2, {})))
    assert [one.setting for one in said] == [
        "cleanup.policy",
        "message.timestamp.type",
        "max.message.bytes",
    ]
    assert all(one.refused and one.found == "unset" for one in said)


def test_a_leader_that_lags_may_not_be_elected() -> None:
    """It would drop what was acknowledged; where there is one copy there is nobody to elect."""
    said = only("evensky.state", unclean_leader_election_enable="true")
    assert said.refused
    assert said.wanted == "false"
    spec = SPECS["evensky.state"]
    alone = found(spec, {"unclean.leader.election.enable": "true"}, copies=1)
    assert not any(one.refused for one in judge(spec, alone))


def test_a_missing_topic_is_a_fault() -> None:
    """The remedy is the command that makes it."""
    said = missing(SPECS["evensky.models"])
    assert said.refused
    assert str(said) == ("topic evensky.models is missing: create it with `evensky topics create`")


def test_a_state_of_another_count_is_a_fault() -> None:
    """Both counts are told, and that the keys have moved."""
    said = moved("evensky.state", 8, 4)
    assert said.refused
    assert "has 8 partitions and holds a state that was written for 4" in str(said)
    assert (said.found, said.wanted) == ("8", "4")


def test_lost_input_is_one_fault_with_the_words_that_accept_it() -> None:
    """All partitions together, each with the offsets that are gone."""
    said = torn("evensky.warps", {3: (100, 120), 5: (0, 7)})
    assert said.refused
    assert (said.found, said.wanted) == ("3:120,5:7", "3:100,5:0")
    assert "lost 27 records that nobody has read, in partition 3 (100 to 119), 5 (0 to 6)" in str(
        said
    )
    assert "--accept-loss 3:120,5:7`" in said.remedy


# -- what is only told -----------------------------------------------------------------------------


@given(st.sampled_from(["evensky.warps", "evensky.metrics", "evensky.dead-letters"]), st.data())
def test_a_shorter_retention_is_a_warning(name: str, data: st.DataObject) -> None:
    """How long events are kept is the operator's choice, of which the design's is the least."""
    wanted = int(SPECS[name].config["retention.ms"])
    kept = data.draw(st.integers(0, 2 * wanted))
    said = list(judge(SPECS[name], found(SPECS[name], {"retention.ms": str(kept)})))
    assert bool(said) == (kept < wanted)
    assert not any(one.refused for one in said)


def test_a_bound_in_bytes_is_a_warning() -> None:
    """It ends a history at a size that nobody can tell in days; a compacted topic has no such."""
    said = only("evensky.warps", retention_bytes="1000000")
    assert not said.refused
    assert "has retention.bytes=1000000 and should have -1" in str(said)
    spec = SPECS["evensky.models"]
    assert list(judge(spec, found(spec, {"retention.bytes": "1000000"}))) == []


@pytest.mark.parametrize("name", ["evensky.models", "evensky.groups"])
def test_a_shorter_compaction_lag_is_a_warning(name: str) -> None:
    """Readers that were away for less than a week should see each revision."""
    said = only(name, min_compaction_lag_ms=str(7 * DAY_MS - 1))
    assert not said.refused
    assert said.wanted == str(7 * DAY_MS)
    assert "should have" in said.sentence


def test_one_copy_is_a_warning() -> None:
    """A disk that dies takes it along; a first try on one broker must be possible."""
    spec = SPECS["evensky.state"]
    (said,) = judge(spec, found(spec, {"min.insync.replicas": "1"}, copies=1))
    assert (said.setting, said.refused) == ("replication.factor", False)


@pytest.mark.parametrize(
    ("copies", "in_sync", "told"),
    [(2, 1, False), (2, 2, False), (3, 1, True), (3, 2, False), (5, 1, True), (3, 3, False)],
)
def test_one_in_sync_of_three_is_a_warning(copies: int, in_sync: int, told: bool) -> None:
    """Three copies of which one must be written protect no better than one."""
    spec = SPECS["evensky.state"]
    config = {"min.insync.replicas": str(in_sync)}
    said = list(judge(spec, found(spec, config, copies=copies)))
    assert [one.setting for one in said] == (["min.insync.replicas"] if told else [])
    assert not any(one.refused for one in said)


def test_all_is_told_at_once_and_faults_first() -> None:
    """An operator mends a topic in one go."""
    spec = SPECS["evensky.warps"]
    config = {"cleanup.policy": "compact", "retention.ms": "1", "min.insync.replicas": "1"}
    said = list(judge(spec, found(spec, config, partitions=3)))
    assert [one.setting for one in said] == [
        "partitions",
        "cleanup.policy",
        "retention.ms",
        "min.insync.replicas",
    ]
    assert [one.refused for one in said] == [True, True, False, False]
