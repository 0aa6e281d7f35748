"""Dead letters found again: by their place, by the record's place, by reason and time."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from stream.letters import Choice, Found, Place, Unreadable, read_letters
from stream.log.seam import Record
from tests.schemas import examples
from tests.stream.letterbox import TOPICS, Shelf, letter_of, misrouted, posted, put_at, stored
from tests.stream.records import POISON

PLACES = st.builds(
    Place,
    topic=st.none() | st.from_regex(r"[A-Za-z0-9._-]{1,30}", fullmatch=True),
    partition=st.integers(0, 10**9),
    offset=st.integers(0, 10**18),
)


@given(PLACES)
def test_a_place_is_read_as_it_is_written(place: Place) -> None:
    """What `list` prints is what `show` and `replay` take."""
    assert Place.parse(str(place)) == place


@pytest.mark.parametrize(
    "text",
    ["", "3", "3:", ":3", "a:3", "-1:3", "3:x", "a:b:3", "a b:1:2", "1:2:3:4", "٣:٤", "1:2\n"],
)
def test_what_is_no_place_is_refused_with_an_example(text: str) -> None:
    """The sentence shows how a position is written."""
    with pytest.raises(ValueError, match="for example 3:17"):
        Place.parse(text)


def test_a_letter_is_found_by_either_place() -> None:
    """A person may say where the letter stands, or where the record stood that it is about."""
    letter = letter_of(misrouted(offset=77))
    found = put_at(letter, 2, 5)
    about = f"{letter.topic}:{letter.partition}:77"
    for text in ("2:5", f"{TOPICS.dead_letters}:2:5", about):
        assert found.stands_at(Place.parse(text)), text
    for text in ("2:6", "5:2", f"{letter.partition}:77", f"{TOPICS.models}:2:5", "other:2:5"):
        assert not found.stands_at(Place.parse(text)), text
    assert str(found.about) == about


FOUND = put_at(letter_of(misrouted(offset=77)), 2, 5)  # written at 1005


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(), True),
        (Choice(reasons=frozenset({schemas.DeadReason.MISROUTED})), True),
        (Choice(reasons=frozenset({schemas.DeadReason.SEALED})), False),
        (Choice(partitions=frozenset({1, 2})), True),
        (Choice(partitions=frozenset({1})), False),
        (Choice(since=1005), True),
        (Choice(since=1006), False),
        (Choice(until=1006), True),
        (Choice(until=1005), False),
        (Choice(places=frozenset({Place(None, 2, 5), Place(None, 0, 0)})), True),
        (Choice(places=frozenset({Place(None, 0, 0)})), False),
        (Choice(since=1000, until=1006, partitions=frozenset({3})), False),
    ],
)
def test_each_condition_must_hold(choice: Choice, taken: bool) -> None:
    """Of several conditions all count; a time counts from its instant to before its instant."""
    assert choice.takes(FOUND) is taken


async def all_of(shelf: Shelf) -> list[Found | Unreadable]:
    """Read a shelf to its end."""
    return [one async for one in read_letters(shelf, TOPICS.dead_letters)]


async def test_every_letter_is_read_with_its_place() -> None:
    """What the service wrote of each kind of poison is read back, in order."""
    sources = [poisoned for poisoned, _, _ in POISON.values()]
    shelf = Shelf([stored(posted(one), offset) for offset, one in enumerate(sources)])
    found = await all_of(shelf)
    assert [one.place.offset for one in found] == list(range(len(sources)))
    for one, source in zip(found, sources, strict=True):
        assert isinstance(one, Found)
        assert one.letter == letter_of(source)


async def test_what_is_no_letter_is_told_and_hides_nothing() -> None:
    """Noise, other messages and letters of a reason yet unknown do not end the reading."""
    good = stored(posted(misrouted()), 3)
    letter = msgspec.to_builtins(letter_of(misrouted()), builtin_types=(bytes,))
    later = replace(good, value=examples.raw({**letter, "reason": "cursed"}))
    other = examples.record(examples.arrived())
    foreign = Record(TOPICS.dead_letters, 0, 1, 0, other.key, other.value, other.headers)
    found = await all_of(Shelf([replace(good, value=b"\xc1"), foreign, later, good]))
    assert [type(one) for one in found] == [Unreadable, Unreadable, Unreadable, Found]
    whys = [one.why for one in found if isinstance(one, Unreadable)]
    assert "0xc1" in whys[0]
    assert whys[1] == "warp.arrived.v1 is no dead letter"
    assert "cursed" in whys[2]


async def test_who_stops_early_leaves_nothing_open() -> None:
    """The log's reading ends with the reading of letters, not some time later."""
    shelf = Shelf([stored(posted(misrouted()), offset) for offset in range(5)])
    async with aclosing(read_letters(shelf, TOPICS.dead_letters)) as letters:
        async for _ in letters:
            break
    assert shelf.ended == 1
