"""Which rights are needed, and what is said of those that are lacking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from stream.log.kafka_security import Security
from stream.log.rights import (
    Operation,
    group_right,
    lacking,
    owner_rights,
    surveyor_rights,
    transactions_right,
)
from stream.log.topics import Topics

TOPICS = Topics()
NIGHT = Security(protocol="SASL_PLAINTEXT", user="night", password=SecretStr("secret"))
ALL = sum(1 << one for one in Operation)


def test_the_service_reads_two_topics_and_writes_six() -> None:
    """It never reads what it publishes, and looks how each topic is configured."""
    rights = owner_rights(TOPICS)
    assert tuple(rights) == TOPICS.names
    assert [name for name, some in rights.items() if Operation.READ in some] == [
        TOPICS.warps,
        TOPICS.state,
    ]
    assert all(
        {Operation.WRITE, Operation.DESCRIBE_CONFIGS} <= set(some) for some in rights.values()
    )


def test_who_looks_topics_over_writes_nothing() -> None:
    """Of records only the state's are read, because they tell what they were written for."""
    rights = surveyor_rights(TOPICS)
    assert tuple(rights) == TOPICS.names
    assert [name for name, some in rights.items() if Operation.READ in some] == [TOPICS.state]
    assert not any(Operation.WRITE in some for some in rights.values())


@given(st.dictionaries(st.sampled_from(TOPICS.names), st.integers(0, ALL)))
def test_exactly_what_is_not_allowed_is_told(operations: dict[str, int]) -> None:
    """Each right without its bit, of each topic that is there, in the order of the topics."""
    told = {
        one.what.removeprefix("topic "): one.operations
        for one in lacking(owner_rights(TOPICS), operations, NIGHT)
    }
    expected = {
        name: tuple(one for one in needed if name in operations and not operations[name] & 1 << one)
        for name, needed in owner_rights(TOPICS).items()
    }
    assert told == {name: some for name, some in expected.items() if some}


def test_a_broker_that_does_not_tell_is_believed() -> None:
    """What it refuses it will refuse in its own words."""
    untold = dict.fromkeys(TOPICS.names, -(2**31))
    assert list(lacking(owner_rights(TOPICS), untold, NIGHT)) == []


def test_a_sentence_names_user_operation_and_topic_and_the_line_that_gives_the_right() -> None:
    """An operator pastes it, with the address of a broker."""
    operations = {TOPICS.models: ALL & ~(1 << Operation.WRITE)}
    (said,) = lacking(owner_rights(TOPICS), operations, NIGHT)
    assert str(said) == (
        "user night may not Write topic evensky.models: kafka-acls.sh --bootstrap-server HOST:PORT "
        "--add --allow-principal User:night --operation Write --topic evensky.models"
    )


def test_the_group_and_the_transactions_are_named() -> None:
    """Ids are told as the prefix that all partitions share."""
    assert "user night may not Read group live" in str(group_right("live", NIGHT))
    said = str(transactions_right("live", NIGHT))
    assert "may not Write under transactional ids live.*" in said
    assert said.endswith("--transactional-id live. --resource-pattern-type prefixed")


@pytest.mark.parametrize("operation", Operation)
def test_operations_have_kafkas_words(operation: Operation) -> None:
    """They are those that kafka-acls.sh takes."""
    assert operation.word in {"Read", "Write", "Create", "Describe", "DescribeConfigs"}


def test_nobody_has_no_name() -> None:
    """Without a user, the sentence has a place for one, and no None."""
    said = str(group_right("live", Security()))
    assert "User:NAME" in said
    assert "None" not in said
