"""Who gets which partition: as evenly as round robin, and each stays where it is if it can.

What an owner has in memory of a partition that comes back to it need not be read again, so a copy
that joins or leaves should move no more partitions than it must. To the group this is the client's
"roundrobin": copies of a release that does not know of it deal as that does, and are dealt to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)

__all__ = ["StayingAssignor", "dealt"]

_DIGITS = 10  # of an int32; Python refuses thousands of them, and the group would have no hands


def dealt(partitions: Collection[int], held: Mapping[str, Iterable[int]]) -> dict[str, list[int]]:
    """Deal partitions to members, evenly, and so that each keeps what it may.

    Parameters
    ----------
    partitions : collection of int
    held : mapping of str to iterable of int
        By member, what it had before; of what two claim, one gets it.

    Returns
    -------
    dict of str to list of int
        By member, in order; their numbers differ by one at most.
    """
    free = set(partitions)
    most = sorted(held, key=lambda member: (-len(free.intersection(held[member])), member))
    least, more = divmod(len(free), max(1, len(most)))
    room = {member: least + (number < more) for number, member in enumerate(most)}
    hands: dict[str, list[int]] = {}
    for member in most:
        hands[member] = sorted(free.intersection(held[member]))[: room[member]]
        free.difference_update(hands[member])
    rest = sorted(free, reverse=True)
    for member, hand in hands.items():
        while len(hand) < room[member]:
            hand.append(rest.pop())
        hand.sort()
    return hands


class StayingAssignor:
    """The assignor of one member, with all that the client asks of one.

    Parameters
    ----------
    topic : str
        The one that all members read.

    Attributes
    ----------
    held : collection of int
        What this member was assigned last, which it tells when it joins.
    """

    name = "roundrobin"
    version = 0

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.held: Collection[int] = ()

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return what this member tells of itself when it joins."""
        told = ",".join(map(str, self.held)).encode()
        return ConsumerProtocolMemberMetadata(self.version, list(topics), told)

    def assign(
        self, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Deal, as the member whose turn it is to do so for all."""
        partitions = cluster.partitions_for_topic(self._topic) or ()
        hands = dealt(partitions, {name: _told(one.user_data) for name, one in members.items()})
        return {
            name: ConsumerProtocolMemberAssignment(self.version, [(self._topic, hand)], b"")
            for name, hand in hands.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Hear what this member was dealt; the group's listener tells us more of it."""


def _told(user_data: bytes | None) -> list[int]:
    """Return what a member said that it held; another release may say anything."""
    words = (user_data or b"").split(b",")
    return [int(word) for word in words if len(word) <= _DIGITS and word.isdigit()]
