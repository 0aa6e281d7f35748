"""The spool's books stay true whoever is called off, wherever he stands."""

from __future__ import annotations

import asyncio
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from stream.spool import Cause, Place, Spool
from stream.spool.place import laid_bytes
from tests.stream.spool.shelf import SIZE, Files, drop, laid, spool

_LARGER = (1, 2048)
_LARGE = laid_bytes(_LARGER)


class Gated(Files):
    """Files whose removal waits for us."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may = threading.Event(), threading.Event()

    def remove(self, name: str) -> None:
        """Wait, and forget one."""
        self.asked.set()
        self.may.wait()
        super().remove(name)

    async def until_asked(self) -> None:
        """Wait until something is about to be removed."""
        await asyncio.to_thread(self.asked.wait)


async def _full(files: Files) -> Spool:
    """Return a spool with two warps, which both have to leave for the next: it is larger.

    The first one's file may be written over, the second's is removed.
    """
    one = spool(files, 2)
    await laid(one, files, "a", "b")
    one.learn(_LARGER)
    return one


async def _lay(one: Spool, files: Files, key: str) -> None:
    async with one.room(key) as place:
        assert place is not None
        files.lay(place, _LARGE)


def test_a_job_called_off_while_it_evicts_takes_nothing_along() -> None:
    """The planes that had to leave may be laid again at once, and those stay and count once."""
    files = Gated()

    async def play() -> None:
        one = await _full(files)
        evicting = asyncio.create_task(_lay(one, files, "c"))
        await files.until_asked()
        evicting.cancel()
        await asyncio.wait({evicting})
        assert {one.cause(key, measured=True) for key in "ab"} == {Cause.EVICTED}
        again = asyncio.create_task(_lay(one, files, "a"))
        files.may.set()
        await again
        assert (files.keys, one.bytes, one.entries) == ({"a"}, _LARGE, 1)
        assert one.has("a")

    asyncio.run(play())


def test_damage_found_in_what_is_being_evicted_is_nobodys_any_more() -> None:
    """Its file is on its way out already."""
    files = Gated()

    async def play() -> None:
        one = await _full(files)
        with one.pinned("a") as first, one.pinned("b") as second:
            assert first is not None
            assert second is not None
        evicting = asyncio.create_task(_lay(one, files, "c"))
        await files.until_asked()
        one.drop("a", first)
        one.drop("b", second)
        files.may.set()
        await evicting
        assert (files.keys, one.bytes) == ({"c"}, _LARGE)
        assert {one.cause(key, measured=True) for key in "ab"} == {Cause.EVICTED}

    asyncio.run(play())


def test_one_damage_is_one_decode_however_many_find_it() -> None:
    """Who tells late of a damaged file does not drop the one that was laid in its place."""
    files = Files()

    async def play() -> None:
        one = spool(files)
        await laid(one, files, "a")
        with one.pinned("a") as first, one.pinned("a") as second:
            assert first is not None
            assert second is not None
        one.drop("a", first)
        await laid(one, files, "a")
        one.drop("a", second)
        assert one.has("a")

    asyncio.run(play())


def test_a_larger_warp_that_is_seen_meanwhile_breaks_no_bound() -> None:
    """What is given is what room was made for, though more is kept for the next."""
    files = Gated()

    async def play() -> None:
        one = await _full(files)
        evicting = asyncio.create_task(_lay(one, files, "c"))
        await files.until_asked()
        one.learn((64, 64))
        files.may.set()
        await evicting
        assert one.bytes <= 2 * SIZE

    asyncio.run(play())


def test_what_may_be_written_over_is_removed_if_it_is_not() -> None:
    """One warp leaves for another of its size; its file is there until that one is laid, or not."""
    files = Files()

    async def play() -> None:
        one = spool(files, 1)
        await laid(one, files, "a")
        async with one.room("b") as place:
            assert place is not None
            assert place.old == "/spool/a-0"
            assert (files.keys, one.bytes, one.has("a")) == ({"a"}, SIZE, False)
            files.lay(place)
        assert (files.keys, one.bytes) == ({"b"}, SIZE)
        async with one.room("c") as place:
            assert place is not None  # and nothing is laid
        async with one.room("d") as place:
            assert place == Place("/spool/d-3", SIZE)
        assert (files.keys, one.bytes, one.entries) == (set(), 0, 0)
        assert one.cause("b", measured=True) is Cause.EVICTED

    asyncio.run(play())


def test_after_the_end_there_is_no_room() -> None:
    """A job that still runs when all is closed ends as without a spool."""
    files = Files()

    async def play() -> None:
        one = spool(files)
        async with one.room("a") as place:
            await one.close()
        assert place is not None
        assert not one.has("a")
        async with one.room("b") as place:
            assert place is None

    asyncio.run(play())


JOBS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.booleans(), st.integers(0, 6), st.integers(0, 12)),
    max_size=16,
)


@given(JOBS)
@settings(deadline=None, max_examples=60)
def test_jobs_that_are_called_off_leave_the_books_true(
    jobs: list[tuple[str, bool, int, int]],
) -> None:
    """Wherever they stand then: bytes stay below the bound, and are those of the files at last."""
    files = Files()

    async def job(
        one: Spool, turns: dict[str, asyncio.Lock], key: str, lay: bool, took: int
    ) -> None:
        async with turns[key]:
            if one.has(key):
                drop(one, key)
            async with one.room(key) as place:
                for _ in range(took):
                    await asyncio.sleep(0)
                if place is not None and lay:
                    files.lay(place)
                assert sum(files.sizes.values()) <= one.bytes <= 3 * SIZE

    async def play() -> None:
        one = spool(files, 3)
        turns = {key: asyncio.Lock() for key in "abcde"}
        tasks = [asyncio.create_task(job(one, turns, *args[:3])) for args in jobs]
        for step in range(1, 13):
            await asyncio.sleep(0)
            for task, (*_, cancelled) in zip(tasks, jobs, strict=True):
                if cancelled == step:
                    task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError | None) for end in ends), ends
        await laid(one, files, *"xyz")  # which needs all the room there is
        assert (files.keys, one.bytes, one.entries) == (set("xyz"), 3 * SIZE, 3)

    asyncio.run(play())
