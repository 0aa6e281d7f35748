"""Places that fail, lie and dawdle: nobody who works ever notices more than a moment's wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from structlog.testing import capture_logs

from stream import jobs
from stream.results import Result, Results, Shelf
from stream.results.record import encoded
from tests.schemas import examples
from tests.stream.night import eventually

NAME, OTHER = "ab" * 32, "cd" * 32
ARRIVAL = examples.arrived()
RESULT = jobs.Measured(ARRIVAL.visit, ARRIVAL.checksum, 1.0, 2.0, 3.0, (4, 5), (6, 7))


class Drawer:
    """A place in memory that fails when told to."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.wrong: Callable[[], None] = lambda: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False

    async def get(self, name: str) -> bytes | None:
        """Return what is kept."""
        await self._do("get")
        return self.kept.get(name)

    async def put(self, name: str, data: bytes) -> None:
        """Keep bytes."""
        await self._do("put")
        self.kept[name] = data

    async def drop(self, name: str) -> None:
        """Keep nothing."""
        await self._do("drop")
        self.kept.pop(name, None)

    def close(self) -> None:
        """Note it."""
        self.closed = True

    async def _do(self, what: str) -> None:
        self.calls.append(what)
        await self.gate.wait()
        self.wrong()


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time, seconds."""
        return self.now


def full() -> None:
    """Fail as a full disk does."""
    raise OSError(28, "No space left on device")


@pytest.fixture
def near() -> Drawer:
    """Return a place on this host."""
    return Drawer()


@pytest.fixture
def far() -> Drawer:
    """Return a place that others share."""
    return Drawer()


def both(near: Drawer, far: Drawer, told: list[str] | None = None) -> Results:
    """Return results on two shelves."""
    shelves = Shelf("local", near), Shelf("shared", far)
    noted: list[str] = [] if told is None else told
    return Results(shelves, noted.append)


async def found(results: Results, name: str = NAME) -> Result | None:
    """Look for the result of a measurement."""
    return await results.find(name, [ARRIVAL])


async def test_kept_in_both_and_found_in_the_nearer(near: Drawer, far: Drawer) -> None:
    """A result goes to every place, and is looked for in the nearest first."""
    told: list[str] = []
    results = both(near, far, told)
    assert await found(results) is None
    await results.keep(NAME, RESULT)
    await eventually(lambda: near.kept and far.kept)
    assert await found(results) == RESULT
    assert (told, far.calls) == (["local"], ["get", "put"])


async def test_what_is_found_far_is_kept_near(near: Drawer, far: Drawer) -> None:
    """Another copy's result is taken over, and counted as shared."""
    told: list[str] = []
    far.kept[NAME] = encoded(NAME, RESULT)
    results = both(near, far, told)
    assert await found(results) == RESULT
    await eventually(lambda: near.kept)
    assert near.kept == far.kept
    assert told == ["shared"]


async def test_damaged_near_is_dropped_and_found_far(near: Drawer, far: Drawer) -> None:
    """What is damaged is removed where it was found, told of once, and looked for elsewhere."""
    near.kept[NAME], far.kept[NAME] = b"noise", encoded(NAME, RESULT)
    near.kept[OTHER] = far.kept[NAME]  # a file under a foreign name
    results = both(near, far)
    with capture_logs() as logs:
        assert await found(results) == RESULT
        assert await found(results, OTHER) is None
    await eventually(lambda: near.kept == far.kept)
    assert [line["event"] for line in logs] == ["damaged results are computed again"]


async def test_a_match_is_not_taken_for_a_measurement(near: Drawer, far: Drawer) -> None:
    """A result of the wrong kind under the right name is damage too."""
    near.kept[NAME] = encoded(NAME, RESULT)
    assert await both(near, far).find(NAME, [ARRIVAL, ARRIVAL]) is None


async def test_a_full_disk_is_told_once_and_reading_goes_on(near: Drawer, far: Drawer) -> None:
    """A place that refuses is left alone, longer each time, and used again when it works."""
    time = Time()
    results = Results([Shelf("local", near, clock=time)])
    near.kept[OTHER] = encoded(OTHER, RESULT)
    near.wrong = full
    with capture_logs() as logs:
        for now in (0.0, 1.0, 6.0, 7.0, 14.0, 17.0):
            time.now = now
            await results.keep(NAME, RESULT)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert near.calls == ["put"] * 3, "at 0, after 5 s at 6, after 10 s more at 17"
        near.wrong = lambda: None
        assert await found(results, OTHER) == RESULT
        time.now = 100.0
        await results.keep(NAME, RESULT)
        await eventually(lambda: NAME in near.kept)
    told = [(line["event"], line["place"]) for line in logs]
    assert told == [
        ("kept results are left alone for a while", "local, writing"),
        ("kept results are used again", "local, writing"),
    ]
    assert "No space left" in logs[0]["why"]
    assert not far.calls


async def test_a_silent_place_is_waited_for_once(near: Drawer, far: Drawer) -> None:
    """A place that never answers costs one wait, and then none until its pause is over."""
    far.gate.clear()
    results = Results([Shelf("local", near), Shelf("shared", far, limit_s=0.01)])
    for _ in range(3):
        assert await found(results) is None
    assert far.calls == ["get"]
    assert near.calls == ["get"] * 3


async def test_many_failures_at_once_are_one(near: Drawer) -> None:
    """A place that stalls once is left alone for the first pause, however many waited for it."""
    time = Time()
    results = Results([Shelf("local", near, limit_s=0.01, clock=time)])
    near.gate.clear()
    assert await asyncio.gather(*(found(results) for _ in range(16))) == [None] * 16
    near.gate.set()
    await results.keep(NAME, RESULT)
    await eventually(lambda: NAME in near.kept)
    time.now = 4.9
    assert await found(results) is None
    time.now = 5.1
    assert await found(results) == RESULT


async def test_nobody_waits_for_a_slow_write(near: Drawer) -> None:
    """Writes wait in a line of bounded length; what does not fit into it is not kept."""
    near.gate.clear()
    results = Results([Shelf("local", near, most_pending=3)])
    for number in range(10):
        await results.keep(f"{number:064x}", RESULT)
    near.gate.set()
    await eventually(lambda: len(near.kept) == 3)
    await results.keep(NAME, RESULT)
    await eventually(lambda: NAME in near.kept)


async def test_the_end_waits_for_what_is_being_written(near: Drawer, far: Drawer) -> None:
    """What was finished right before the end is kept, and both places are closed."""
    results = both(near, far)
    await results.keep(NAME, RESULT)
    await results.close()
    assert near.kept.keys() == far.kept.keys() == {NAME}
    assert near.closed
    assert far.closed


async def test_what_has_no_bytes_harms_nobody(near: Drawer) -> None:
    """A result that no message could carry is not kept, and that is all."""
    results = Results([Shelf("local", near)])
    odd = jobs.Measured(1, "", 1.0, 2.0, 3.0, (4, 5), (object(), 7))  # type: ignore[arg-type]  # it must be odd
    with capture_logs() as logs:
        await results.keep(NAME, odd)
    assert not near.calls
    assert [line["event"] for line in logs] == ["a result has no bytes and is not kept"]


async def test_without_a_place_nothing_is_kept() -> None:
    """Results that are kept nowhere are found nowhere."""
    results = Results()
    await results.keep(NAME, RESULT)
    assert await found(results) is None
    await results.close()


async def test_the_visit_is_the_askers(near: Drawer) -> None:
    """The same file that was announced as another visit gets that visit's result."""
    results = Results([Shelf("local", near)])
    await results.keep(NAME, RESULT)
    await eventually(lambda: near.kept)
    theirs = await results.find(NAME, [msgspec.structs.replace(ARRIVAL, visit=9)])
    assert theirs is not None
    assert theirs.visit == 9
