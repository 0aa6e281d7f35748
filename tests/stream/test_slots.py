"""Slots: never more than there are, and the oldest revision first."""

from __future__ import annotations

import asyncio
import contextlib

from hypothesis import given
from hypothesis import strategies as st

from stream.slots import AHEAD_MATCH, DUE, JOB_SHARE_MS, Rank, Slots, Turn, due_time

RANKS = st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from("ab"))


async def settled() -> None:
    """Let everything go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def served(
    ranks: list[Rank], gone: set[int], slots: int, promoted: dict[int, Rank] | None = None
) -> tuple[list[int], int]:
    """Have all ask while none is free, and some leave; return the order, and most at once."""
    turns = [Turn(rank) for rank in ranks]
    shelf, order, inside, most = Slots(slots), list[int](), set[int](), 0
    opened = asyncio.Event()

    async def hold() -> None:
        async with shelf.take(Turn((0, 0, ""))):
            await opened.wait()

    async def ask(number: int) -> None:
        nonlocal most
        async with shelf.take(turns[number]):
            order.append(number)
            inside.add(number)
            most = max(most, len(inside))
            await settled()
            inside.remove(number)

    holders = [asyncio.create_task(hold()) for _ in range(slots)]
    await settled()
    waiters = [asyncio.create_task(ask(number)) for number in range(len(ranks))]
    await settled()
    for number, rank in (promoted or {}).items():
        turns[number].promote(rank)
    for number in gone:
        waiters[number].cancel()
    opened.set()
    await asyncio.gather(*holders, *waiters, return_exceptions=True)
    async with asyncio.timeout(5):  # all came back
        for _ in range(slots):
            await shelf.take(Turn((9, 0, ""))).__aenter__()
    return order, most


@given(st.lists(RANKS, max_size=8), st.sets(st.integers(0, 7)), st.integers(1, 3))
def test_the_oldest_is_served_first(ranks: list[Rank], gone: set[int], slots: int) -> None:
    """Slots go by rank, equal ranks in the order of asking; who leaves takes none with him."""
    gone = {number for number in gone if number < len(ranks)}
    order, most = asyncio.run(served(ranks, gone, slots))
    stay = [number for number in range(len(ranks)) if number not in gone]
    assert order == sorted(stay, key=lambda number: ranks[number])
    assert most <= slots


async def test_a_slot_given_to_one_who_leaves_is_passed_on() -> None:
    """One that is cancelled at the very moment it is given a slot gives it back."""
    slots = Slots(1)
    held = slots.take(Turn((0, 0, "")))
    await held.__aenter__()
    waiter = asyncio.create_task(slots.take(Turn((0, 1, ""))).__aenter__())
    await settled()
    await held.__aexit__(None, None, None)
    waiter.cancel()
    await asyncio.wait({waiter})
    async with asyncio.timeout(5), slots.take(Turn((0, 2, ""))):
        assert waiter.cancelled()


@given(
    st.lists(RANKS, max_size=8),
    st.sets(st.integers(0, 7)),
    st.integers(1, 3),
    st.dictionaries(st.integers(0, 7), RANKS),
)
def test_who_is_promoted_is_served_by_the_better_rank(
    ranks: list[Rank], gone: set[int], slots: int, promoted: dict[int, Rank]
) -> None:
    """One who waits is served once, by the least rank that was asked for; others keep theirs."""
    gone = {number for number in gone if number < len(ranks)}
    promoted = {n: rank for n, rank in promoted.items() if n < len(ranks)}
    order, most = asyncio.run(served(ranks, gone, slots, promoted))
    now = {n: min(rank, promoted.get(n, rank)) for n, rank in enumerate(ranks)}
    stay = [n for n in now if n not in gone]
    assert sorted(order) == stay
    assert [now[n] for n in order] == sorted(now[n] for n in stay)
    assert most <= slots


async def test_what_is_due_passes_what_is_ahead() -> None:
    """A job that waits with a rank of work ahead passes all such work once it is due."""
    order, most = await served(
        [(AHEAD_MATCH, 0, "a"), (AHEAD_MATCH, 1, "b")], set(), 1, {1: (DUE, 9, "b")}
    )
    assert (order, most) == ([1, 0], 1)


def _ends(groups: dict[str, tuple[int, int]], slots: int) -> dict[str, int]:
    """Serve groups (when frozen, and warps) by rank, 100 ms a job; return their ends, ms."""
    left = {key: warps for key, (_, warps) in groups.items()}
    ends: dict[str, int] = {}
    now = 0
    while left:
        for _ in range(slots):
            ready = [key for key in left if groups[key][0] <= now]
            if ready:
                first = min(ready, key=lambda key: (due_time(*groups[key]), key))
                left[first] -= 1
                if not left[first]:
                    del left[first]
                    ends[first] = now + 100
        now += 100
    return ends


SMALL = st.lists(st.tuples(st.integers(0, 90_000), st.integers(1, 20)), max_size=20)


@given(SMALL, st.integers(1, 4))
def test_small_groups_do_not_wait_for_a_large_one(small: list[tuple[int, int]], slots: int) -> None:
    """A small group beside one of a thousand ends as it would without that one."""
    groups = {f"small-{number}": one for number, one in enumerate(small)}
    ends = _ends({"large": (0, 1000), **groups}, slots)
    assert {key: ends[key] for key in groups} == _ends(groups, slots)


@given(st.integers(0, 10**6), st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_large_group_waits_for_a_bounded_time(frozen: int, large: int, small: int) -> None:
    """What freezes later than a large group's share comes behind it, however small it is."""
    assert due_time(frozen, large) < due_time(frozen + JOB_SHARE_MS * large, small)


class Shelf:
    """Slots under jobs that are asked for, served, ended and called off one by one."""

    def __init__(self, slots: int) -> None:
        self.slots = Slots(slots)
        self.waiting: dict[int, tuple[asyncio.Task[None], contextlib.AsyncExitStack]] = {}
        self.inside: dict[int, contextlib.AsyncExitStack] = {}

    async def ask(self, number: int, rank: Rank, store: str) -> None:
        """Ask for a slot."""
        held = contextlib.AsyncExitStack()
        entering = held.enter_async_context(self.slots.take(Turn(rank), store))
        self.waiting[number] = asyncio.create_task(entering), held
        await self._settle()

    async def end(self, number: int) -> None:
        """Give a slot back."""
        await self.inside.pop(number).aclose()
        await self._settle()

    async def call_off(self, number: int) -> None:
        """Let one that waits leave."""
        entering, _ = self.waiting.pop(number)
        entering.cancel()
        await self._settle()

    async def _settle(self) -> None:
        await settled()
        for number, (entering, held) in list(self.waiting.items()):
            if entering.done():
                self.inside[number] = held
                del self.waiting[number]


class Twin:
    """The same in plain words: lists, and a look at all of them."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.waiting: dict[int, tuple[Rank, str]] = {}
        self.inside: dict[int, str] = {}

    def serve(self) -> None:
        """Give free slots away: to a storage with less than half of them first, then by rank."""
        while self.waiting and len(self.inside) < self.slots:
            held = [*self.inside.values()]
            number = min(
                self.waiting,
                key=lambda n: (
                    2 * held.count(self.waiting[n][1]) >= self.slots,
                    self.waiting[n][0],
                    n,
                ),
            )
            self.inside[number] = self.waiting.pop(number)[1]


async def _lived_through(data: st.DataObject, slots: int) -> None:
    shelf, twin = Shelf(slots), Twin(slots)
    for number in range(data.draw(st.integers(1, 14))):
        rank, store = data.draw(RANKS), data.draw(st.sampled_from(["", "file", "s3"]))
        twin.waiting[number] = rank, store
        twin.serve()
        await shelf.ask(number, rank, store)
        for gone in data.draw(st.lists(st.integers(0, number), max_size=2, unique=True)):
            if gone in twin.inside:
                del twin.inside[gone]
                twin.serve()
                await shelf.end(gone)
            elif gone in twin.waiting:
                del twin.waiting[gone]
                await shelf.call_off(gone)
            assert set(shelf.inside) == set(twin.inside)
            assert set(shelf.waiting) == set(twin.waiting)
    for number in sorted(twin.inside.keys() | twin.waiting.keys()):
        await (shelf.end(number) if number in shelf.inside else shelf.call_off(number))


@given(st.data(), st.integers(1, 5))
def test_whoever_is_served_is_who_the_sentences_say(data: st.DataObject, slots: int) -> None:
    """Whatever comes, ends and leaves, slots go to whom a plain look at all gives them."""
    asyncio.run(_lived_through(data, slots))


async def test_a_slow_storage_leaves_half_to_the_others() -> None:
    """It may have all slots while nobody else asks; then each that ends goes to others, to half."""
    shelf = Shelf(4)
    for number in range(6):
        await shelf.ask(number, (DUE, 0, "slow"), "slow")
    assert [*shelf.inside] == [0, 1, 2, 3]
    for number in range(10, 14):
        await shelf.ask(number, (DUE, 9, "fast"), "fast")
    seen = []
    for number in (0, 1, 2, 10, 11):
        await shelf.end(number)
        seen.append(sorted(shelf.inside))
    assert seen == [[1, 2, 3, 10], [2, 3, 10, 11], [3, 4, 10, 11], [3, 4, 11, 12], [3, 4, 12, 13]]
