"""Two copies of one static name: at most one of them ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from stream.log.holdings import Replacements


@dataclass
class _Copy:
    """A copy as the client is: it hears late, more than once, or only that it is unknown."""

    name: str
    replacements: Replacements = field(default_factory=Replacements)
    in_hand: str = ""
    given: str = ""
    old: list[str] = field(default_factory=list)
    ended: bool = False

    def hear(self, replaced: str) -> None:
        """Hear of one of its ids, perhaps an old one, that it was replaced."""
        self.ended = self.replacements.add(replaced, self.in_hand, 0.0) or self.ended


@dataclass
class _Group:
    """A coordinator: whoever joins takes the name."""

    member: str = ""
    joins: int = 0

    def join(self, copy: _Copy) -> None:
        self.joins += 1
        self.member = copy.given = f"{copy.name}-{self.joins}"


def _step(group: _Group, copy: _Copy, random: Random, missed: float) -> None:
    """Let one thing happen to a copy: a late answer, a join, its answer, or a replacement."""
    if copy.old and random.random() < 0.5:
        copy.hear(random.choice(copy.old))
    elif not copy.in_hand and not copy.given:
        group.join(copy)
    elif not copy.in_hand:
        copy.in_hand, copy.given = copy.given, ""
    elif copy.in_hand != group.member:
        copy.old.append(copy.in_hand)
        if random.random() >= missed:
            copy.hear(copy.in_hand)
        if not copy.ended and random.random() < 0.7:
            copy.in_hand = ""


def _ended(seed: int, missed: float) -> list[bool]:
    random, group, copies = Random(seed), _Group(), [_Copy("a"), _Copy("b")]  # noqa: S311 - a seeded walk
    share = random.random()
    for _ in range(400):
        copy = copies[random.random() < share]
        if not copy.ended:
            _step(group, copy, random, missed)
    return [copy.ended for copy in copies]


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_of_two_copies_at_most_one_ends(seed: int, missed: float) -> None:
    """In whatever order joins and answers come, and whatever is missed, one goes on."""
    assert sum(_ended(seed, missed)) <= 1


def test_of_two_copies_one_ends() -> None:
    """Where both run and hear of it, one gives up."""
    random, group, copies = Random(6), _Group(), [_Copy("a"), _Copy("b")]  # noqa: S311 - a seeded walk
    for turn in range(400):
        if not any(copy.ended for copy in copies):
            _step(group, copies[turn % 2], random, 0.0)
    assert sum(copy.ended for copy in copies) == 1


def test_one_replacement_counts_once() -> None:
    """Neither a second answer about it nor a late one is another."""
    replacements = Replacements()
    told = ["a", "a", "a", "b", "a", "b", "a"]
    assert not any(
        replacements.add(one, "b" if "b" in told[:at] else one, 0.0) for at, one in enumerate(told)
    )
    assert replacements.add("c", "c", 0.0)
