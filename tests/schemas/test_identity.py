"""Identities, keys, and the partition that a key belongs to."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from schemas import (
    DeadReason,
    GroupId,
    SchemaError,
    check_partition,
    model_key,
    parse_model_key,
    partition_of,
)

NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="/"),
    min_size=1,
    max_size=64,
)
NUMBERS = st.integers(0, 2**63 - 1)
GROUPS = st.builds(GroupId, NAMES, NAMES, NUMBERS, NUMBERS, NAMES)

GROUP = GroupId("live", "hsc_rings_v1", 9813, 42, "r")


@given(GROUPS)
def test_a_key_read_back_is_the_group(group: GroupId) -> None:
    """Whatever the parts, a key names one group and that group alone."""
    assert GroupId.parse(group.key) == group
    assert GroupId.parse(group.key.encode().decode()) == group


@given(GROUPS, NUMBERS)
def test_a_models_key_read_back_is_group_and_visit(group: GroupId, visit: int) -> None:
    """A model's key holds its group's and the visit."""
    assert parse_model_key(model_key(group, visit)) == (group, visit)


def test_the_key_is_the_five_parts_in_order() -> None:
    """The key is campaign, skymap, tract, patch and band, with slashes."""
    assert GROUP.key == str(GROUP) == "live/hsc_rings_v1/9813/42/r"
    assert model_key(GROUP, 7) == "live/hsc_rings_v1/9813/42/r/7"


def test_the_fields_of_a_group_make_it_again() -> None:
    """The flat fields are the group's own."""
    assert GroupId(**GROUP.fields) == GROUP


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"campaign": ""}, "campaign"),
        ({"campaign": "a/b"}, "campaign"),
        ({"skymap": "x" * 65}, "skymap"),
        ({"skymap": "tab\there"}, "skymap"),
        ({"skymap": "line\u2028here"}, "skymap"),
        ({"band": "\ud800"}, "band"),
        ({"band": "r\n"}, "band"),
        ({"band": None}, "band"),
        ({"tract": -1}, "tract"),
        ({"tract": 2**63}, "tract"),
        ({"patch": True}, "patch"),
        ({"patch": 1.0}, "patch"),
    ],
)
def test_an_impossible_part_is_refused_by_name(changes: dict[str, object], named: str) -> None:
    """A group with an impossible part cannot be made, and the error names the part."""
    parts: dict[str, object] = {**GROUP.fields, **changes}
    with pytest.raises(SchemaError, match=f"^{named} must be") as caught:
        GroupId(**parts)  # type: ignore[arg-type]  # wrong types are the point
    assert caught.value.reason is DeadReason.BAD_IDENTITY


@pytest.mark.parametrize(
    "key",
    [
        "",
        "live",
        "live/s/1/2/r/9/9",
        "live/s/1/2",
        "live/s/-1/2/r",
        "live/s/01/2/r",
        "live/s/1/+2/r",
        "live/s/1/ 2/r",
        "live/s/٣/2/r",
        "live//1/2/r",
        "live/s/99999999999999999999/2/r",
    ],
)
def test_a_key_that_no_group_writes_is_refused(key: str) -> None:
    """One group has one key: no other spelling of it is read."""
    with pytest.raises(SchemaError) as caught:
        GroupId.parse(key)
    assert caught.value.reason is DeadReason.BAD_IDENTITY


def test_a_refused_part_is_shown_in_brief() -> None:
    """A sentence stays a sentence, however long what was refused."""
    with pytest.raises(SchemaError) as caught:
        GroupId("x" * 10_000, "s", 1, 1, "r")
    assert len(str(caught.value)) < 200


def test_groups_sort_by_their_parts() -> None:
    """Groups have an order: tracts by number, not by digits."""
    ninth, tenth = GroupId("live", "s", 9, 0, "r"), GroupId("live", "s", 10, 0, "g")
    assert sorted([tenth, ninth]) == [ninth, tenth]


# Of the Java client's own test of org.apache.kafka.common.utils.Utils.murmur2.
JAVA = [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]


@pytest.mark.parametrize(("key", "hashed"), JAVA)
def test_the_partition_is_the_java_clients(key: bytes, hashed: int) -> None:
    """The vectors of Kafka's own tests go where the Java client sends them."""
    assert partition_of(key, 64) == (hashed & 0x7FFFFFFF) % 64
    assert partition_of(key, 2**31) == hashed & 0x7FFFFFFF


@given(st.binary(max_size=200), st.integers(1, 10_000))
def test_the_partition_is_aiokafkas(key: bytes, partitions: int) -> None:
    """Any key at all goes where aiokafka's default partitioner sends it."""
    assert partition_of(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions


def test_a_topic_without_partitions_is_refused() -> None:
    """There is no partition to choose among none."""
    with pytest.raises(ValueError, match="at least 1"):
        partition_of(b"key", 0)


@given(st.binary(max_size=50), st.integers(0, 63))
def test_only_the_right_partition_passes(key: bytes, partition: int) -> None:
    """A record in another partition than its key's is misrouted, and only such a one."""
    right = partition_of(key, 64)
    check_partition(key, right, 64)
    if partition != right:
        with pytest.raises(SchemaError, match=f"belongs to {right}") as caught:
            check_partition(key, partition, 64)
        assert caught.value.reason is DeadReason.MISROUTED
