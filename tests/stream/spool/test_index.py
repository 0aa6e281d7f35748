"""The index of the spool: bounded, true to its files, with a cause for all that left."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.spool import Cause, Place, Spool, Worth, index, key_of
from tests.stream.spool.shelf import SIZE, Files, drop, laid, name_of, spool


def test_keys_tell_warps_and_scales_apart() -> None:
    """A warp in another scale is another warp, however little it differs."""
    scales = (1.0, 2.0, 1.0 + 2**-52)
    assert len({key_of(checksum, scale) for checksum in ("a", "b") for scale in scales}) == 6
    assert key_of("a", 1.0) == key_of("a", 1)


def test_the_one_used_longest_ago_goes_first() -> None:
    """Among equals, and what had to go is told."""
    files = Files()

    async def play() -> None:
        one = spool(files)
        await laid(one, files, *"abcd")
        with one.pinned("a") as path:
            assert path == "/spool/a-0"
        await laid(one, files, "e")
        assert files.keys == set("acde")
        assert one.cause("b", measured=True) is Cause.EVICTED
        assert one.cause("z", measured=True) is Cause.RESTART
        assert one.cause("z", measured=False) is Cause.FIRST
        assert one.evictions == 1

    asyncio.run(play())


def test_worth_goes_before_use() -> None:
    """What was matched goes before what is to be, and that before the reference."""
    files = Files()

    async def play() -> None:
        one = spool(files)
        await laid(one, files, *"rabc")
        one.deem("r", Worth.REFERENCE)
        one.deem("c", Worth.SPENT)
        await laid(one, files, "d")
        assert files.keys == set("rabd")
        await laid(one, files, "e", "f", "g")
        assert files.keys == set("refg")
        one.deem("r", Worth.SPENT)
        await laid(one, files, "h")
        assert files.keys == set("efgh")

    asyncio.run(play())


def test_references_of_many_groups_leave_room_for_others() -> None:
    """No more than half of all is held for references that wait, those that were used last."""
    files = Files()

    async def play() -> None:
        one = spool(files)
        await laid(one, files, *"abcd")
        for key in "abcd":
            one.deem(key, Worth.REFERENCE)
        await laid(one, files, "x", "y")
        assert files.keys == set("cdxy")
        await laid(one, files, "z")
        assert files.keys == set("cdyz")

    asyncio.run(play())


def test_what_is_in_use_stays() -> None:
    """Where all is in use there is no room, and that is the cause of the next decode."""
    files = Files()

    async def play() -> None:
        one = spool(files, 2)
        await laid(one, files, "a", "b")
        with one.pinned("a"), one.pinned("b"):
            assert not one.has_room()
            async with one.room("c") as place:
                assert place is None
        assert one.cause("c", measured=True) is Cause.NO_ROOM
        assert one.has_room()

    asyncio.run(play())


def test_small_warps_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a warp takes in memory is bounded too, and so is the memory of those that left."""
    monkeypatch.setattr(index, "_MOST_ENTRIES", 3)
    monkeypatch.setattr(index, "_MOST_GONE", 2)
    files = Files()

    async def play() -> None:
        one = spool(files, 100)
        await laid(one, files, *"abcdefg")
        assert files.keys == set("efg")
        causes = [one.cause(key, measured=True) for key in "abcd"]
        assert causes == [Cause.RESTART] * 2 + [Cause.EVICTED] * 2

    asyncio.run(play())


def test_what_was_not_laid_takes_no_room() -> None:
    """A job that could not lay its planes leaves no entry; what is laid counts as it is."""
    files = Files()

    async def play() -> None:
        one = spool(files)
        with contextlib.suppress(ValueError):
            async with one.room("a"):
                assert one.bytes == SIZE
                raise ValueError
        assert (one.bytes, one.entries) == (0, 0)
        assert one.cause("a", measured=True) is Cause.RETRY
        async with one.room("a"):
            pass
        assert (one.bytes, one.entries) == (0, 0)
        assert one.cause("a", measured=True) is Cause.NO_ROOM
        async with one.room("b") as place:
            assert place is not None
            files.lay(place, 1)
        assert (one.bytes, one.entries) == (1, 1)

    asyncio.run(play())


def test_a_damaged_one_is_dropped() -> None:
    """It is removed, and decoded again for that cause."""
    files = Files()

    async def play() -> None:
        one = spool(files)
        await laid(one, files, "a")
        drop(one, "a")
        one.drop("never", "/spool/never")
        assert not one.has("a")
        await one.close()
        assert (files.sizes, one.bytes) == ({}, 0)
        assert one.cause("a", measured=True) is Cause.DAMAGED

    asyncio.run(play())


def test_a_disk_that_fails_is_no_reason_to_fail() -> None:
    """There is no room until it works."""
    files = Files(broken=True)

    async def play() -> None:
        one = spool(files)
        await one.start()
        for broken in (True, False):
            files.broken = broken
            async with one.room("a") as place:
                assert (place is None) is broken
                assert isinstance(place, Place | None)

    asyncio.run(play())


def test_a_disk_that_took_nothing_is_doubted_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is decoded only to be laid, until something is laid or the while is over."""
    files, now = Files(), [100.0]
    monkeypatch.setattr("stream.spool.index.time.monotonic", lambda: now[0])

    async def play() -> None:
        one = spool(files)
        for cure in ("laid", "over"):
            async with one.room("a") as place:
                assert place is not None
            one.doubt(place, (99, 99))
            assert one.has_room()
            one.doubt(place, (1, 1))
            assert not one.has_room()
            if cure == "laid":
                await laid(one, files, "b")
            else:
                now[0] += index._DOUBT_S  # noqa: SLF001 - how long that is
            assert one.has_room()

    asyncio.run(play())


def test_the_first_warp_has_room_for_the_largest() -> None:
    """Until a shape is known, what is kept for a warp is what the largest may take."""

    async def play() -> None:
        one = Spool(Files(), 10 * SIZE, 5 * SIZE)
        async with one.room("a") as first:
            pass
        one.learn((1, 1))
        async with one.room("b") as second:
            pass
        assert first is not None
        assert second is not None
        assert (first.room, second.room) == (5 * SIZE, SIZE)

    asyncio.run(play())


def test_warps_of_a_size_that_nobody_knows_wait_for_the_first() -> None:
    """Where the largest that there may be would fill all, the others find room behind it."""
    files = Files()

    async def one_job(one: Spool, key: str) -> bool:
        async with one.room(key) as place:
            await asyncio.sleep(0)
            if place is not None:
                files.sizes[name_of(place)] = SIZE
        one.learn((1, 1))
        return place is not None

    async def play() -> None:
        one = Spool(files, 10 * SIZE, 9 * SIZE)
        assert all(await asyncio.gather(*(one_job(one, key) for key in "abcdef")))
        assert (one.entries, one.evictions) == (6, 0)

    asyncio.run(play())


def test_who_waits_for_the_first_may_be_called_off() -> None:
    """And the first may fail: those behind it go on."""
    files = Files()

    async def play() -> None:
        one = Spool(files, 10 * SIZE, 9 * SIZE)
        async with AsyncExitStack() as first:
            await first.enter_async_context(one.room("a"))
            waits = [asyncio.ensure_future(laid_by(one, files, key)) for key in "bc"]
            await asyncio.sleep(0)
            assert one.has_room()
            waits[0].cancel()
        assert await waits[1]
        assert waits[0].cancelled()

    asyncio.run(play())


async def laid_by(one: Spool, files: Files, key: str) -> bool:
    """Lay planes, if there is room; tell whether there was."""
    async with one.room(key) as place:
        if place is not None:
            files.sizes[name_of(place)] = SIZE
    return place is not None


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["lay", "fail", "pin", "drop", "unpin"]), st.sampled_from("abcdefg")
        ),
        st.tuples(st.sampled_from(list(Worth)), st.sampled_from("abcdefg")),
    ),
    max_size=60,
)


@given(STEPS)
@settings(deadline=None)
def test_it_is_bounded_and_true_whatever_happens(steps: list[tuple[object, str]]) -> None:
    """Bytes never pass the bound, what is pinned stays, and the index is what lies on the disk."""
    files = Files()

    async def play() -> None:
        one = spool(files, 3)
        pins: dict[str, ExitStack] = {}
        known: set[str] = set()
        async with AsyncExitStack():
            for step, key in steps:
                await _step(one, files, pins, step, key)
                known |= files.keys
                assert sum(files.sizes.values()) <= one.bytes <= 3 * SIZE
                assert pins.keys() <= files.keys
                for seen in known:
                    expected = not one.has(seen)
                    assert (one.cause(seen, measured=True) is not Cause.RESTART) is expected

    asyncio.run(play())


async def _step(
    one: Spool, files: Files, pins: dict[str, ExitStack], step: object, key: str
) -> None:
    if isinstance(step, Worth):
        one.deem(key, step)
    elif step in ("lay", "fail") and not one.has(key):
        async with one.room(key) as place:
            if place is not None and step == "lay":
                files.lay(place)
    elif step == "pin" and key not in pins and one.has(key):
        pins[key] = ExitStack()
        pins[key].enter_context(one.pinned(key))
    elif step == "unpin" and key in pins:
        pins.pop(key).close()
    elif step == "drop" and key not in pins:
        drop(one, key)


def test_many_at_once_share_the_bound() -> None:
    """Jobs that ask for room at the same time never have more than there is, and all end."""
    folder = Path(tempfile.mkdtemp())
    highest = 0

    class Slow(Files):
        def remove(self, name: str) -> None:
            """Take some time, as a file system does."""
            nonlocal highest
            highest = max(highest, sum(self.sizes.values()))
            (folder / name).write_bytes(b"")
            super().remove(name)

    files = Slow()

    async def one_job(one: Spool, key: str) -> None:
        nonlocal highest
        async with one.room(key) as place:
            if place is not None:
                await asyncio.sleep(0)
                files.lay(place)
                highest = max(highest, sum(files.sizes.values()))
            await asyncio.sleep(0)

    async def play() -> None:
        one = spool(files, 3)
        await asyncio.gather(*(one_job(one, str(number)) for number in range(40)))
        assert one.entries > 0
        await one.close()

    asyncio.run(play())
    shutil.rmtree(folder)
    assert highest <= 3 * SIZE
    assert files.sizes == {}


# -- interleavings ---------------------------------------------------------------------------------
