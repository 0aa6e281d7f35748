"""Who gets which partition."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from stream.log.kafka_assignor import StayingAssignor, dealt

MEMBERS = st.dictionaries(
    st.sampled_from("abcde"), st.lists(st.integers(0, 14), unique=True), min_size=1
)


class Cluster:
    """A topic of twelve partitions."""

    def partitions_for_topic(self, _: str) -> set[int]:
        """Return them."""
        return set(range(12))


@given(MEMBERS, st.integers(0, 12))
def test_each_partition_is_dealt_once_and_evenly(held: dict[str, list[int]], count: int) -> None:
    """Whatever members claim, each partition has one owner and no two shares differ by two."""
    hands = dealt(range(count), held)
    assert sorted(chain.from_iterable(hands.values())) == list(range(count))
    assert max(map(len, hands.values())) - min(map(len, hands.values())) <= 1
    assert hands.keys() == held.keys()


@given(st.sets(st.sampled_from("abcde"), min_size=2), st.data())
def test_no_more_moves_than_must(names: set[str], data: st.DataObject) -> None:
    """Who stays keeps all when another leaves, and gives away only a share when it comes back."""
    before = dealt(range(12), dict.fromkeys(names, ()))
    gone = data.draw(st.sampled_from(sorted(names)))
    after = dealt(range(12), {name: before[name] for name in names - {gone}})
    assert all(set(before[name]) <= set(hand) for name, hand in after.items())
    back = dealt(range(12), {**after, gone: []})
    assert all(set(back[name]) <= set(hand) for name, hand in after.items())


def test_members_tell_what_they_hold() -> None:
    """A claim goes by the group's metadata; what another release tells there is no claim."""
    ours, new = StayingAssignor("warps"), StayingAssignor("warps")
    ours.held = [3, 5, 11]
    members = {"a": new.metadata(["warps"]), "b": ours.metadata(["warps"])}
    members["c"] = type(members["a"])(0, ["warps"], b"\x00\xff,x," + b"7" * 5000)
    hands = {name: hand.assignment for name, hand in ours.assign(Cluster(), members).items()}
    assert {3, 5, 11} < set(hands["b"][0][1])
    assert {len(hand[0][1]) for hand in hands.values()} == {4}
