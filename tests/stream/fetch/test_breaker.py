"""The breaker of one storage, on a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.faults import NotThereError, StoreAwayError, StoreTrouble, WarpError, WarpFault
from stream.fetch import FetchLimits
from stream.fetch.breaker import Breaker

STORE = "s3://sky"
LIMITS = FetchLimits(away_after=2, away_s=1.0, longest_away_s=5.0)


@dataclass
class Clock:
    """Time that stands still until it is moved."""

    now: float = 100.0
    due: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def time(self) -> float:
        """Return the time."""
        return self.now

    def call_at(self, when: float, callback: Callable[[], object], /) -> Any:
        """Note what is to be called."""
        entry = (when, callback)
        self.due.append(entry)
        return cast("asyncio.TimerHandle", _Handle(self, entry))

    def create_future(self) -> asyncio.Future[None]:
        """Return one of the running loop."""
        return asyncio.get_running_loop().create_future()

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, and what is due happen in its order."""
        end = self.now + seconds
        while self.due and min(self.due)[0] <= end:
            entry = min(self.due, key=lambda one: one[0])
            self.due.remove(entry)
            self.now = max(self.now, entry[0])
            entry[1]()
            for _ in range(3):
                await asyncio.sleep(0)
        self.now = end


@dataclass
class _Handle:
    clock: Clock
    entry: tuple[float, Callable[[], object]]

    def cancel(self) -> None:
        """Take it back."""
        if self.entry in self.clock.due:
            self.clock.due.remove(self.entry)


@dataclass
class Bench:
    """A breaker, its clock, and what it told."""

    clock: Clock = field(default_factory=Clock)
    told: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        tell = lambda error: self.told.append(error is not None)  # noqa: E731 - a hook
        self.breaker = Breaker(STORE, LIMITS, tell, self.clock)

    def ask(self, error: Exception | None = None) -> StoreTrouble | None:
        """Ask the storage, which answers or fails; return why it was not to be had."""
        try:
            with self.breaker.asked():
                if error is not None:
                    raise error
        except StoreAwayError as met:
            return met.trouble
        except WarpError:
            pass
        return None

    def go_away(self) -> None:
        """Fail as often as it takes."""
        for _ in range(LIMITS.away_after):
            assert self.ask(failure()) is StoreTrouble.FAILED


def failure(store: str = STORE) -> StoreAwayError:
    """Return what a storage does that fails."""
    return StoreAwayError(store, "no", StoreTrouble.FAILED)


def test_failures_in_a_row_open_it() -> None:
    """One failure is nothing to speak of; so many in a row are told, once."""
    bench = Bench()
    for _ in range(5):
        assert bench.ask(failure()) is StoreTrouble.FAILED
        assert bench.ask() is None
    assert not bench.told
    bench.go_away()
    assert bench.told == [True]
    assert bench.breaker.away
    assert bench.ask() is StoreTrouble.AWAY


@pytest.mark.parametrize(
    "answer", [None, NotThereError(STORE), WarpError(WarpFault.CHECKSUM, "other bytes")]
)
async def test_an_answer_closes_it(answer: Exception | None) -> None:
    """After its pause one asks; whatever is answered about a file, the storage is back."""
    bench = Bench()
    bench.go_away()
    await bench.clock.pass_by(LIMITS.away_s)
    bench.ask(answer)
    assert bench.told == [True, False]
    assert bench.ask() is None


async def test_pauses_are_doubled_up_to_the_longest() -> None:
    """Each probe that fails doubles the pause; after an answer it is the first again."""
    bench = Bench()
    for _ in range(2):
        bench.go_away()
        for pause in (1.0, 2.0, 4.0, 5.0, 5.0):
            await bench.clock.pass_by(pause - 0.01)
            assert bench.ask() is StoreTrouble.AWAY
            await bench.clock.pass_by(0.01)
            assert bench.ask(failure()) is StoreTrouble.FAILED
        await bench.clock.pass_by(5.0)
        assert bench.ask() is None
    assert bench.told == [True, False] * 2


async def test_one_probe_at_a_time() -> None:
    """While one asks for all, nobody else does; if it is cancelled, another may."""
    bench = Bench()
    bench.go_away()
    await bench.clock.pass_by(LIMITS.away_s)
    with suppress(asyncio.CancelledError), bench.breaker.asked():
        assert bench.ask() is StoreTrouble.AWAY
        raise asyncio.CancelledError
    assert bench.breaker.away
    assert bench.ask() is None


async def test_those_who_had_asked_double_nothing() -> None:
    """Of many who ask when a storage goes away, all fail, and the pause is the first one."""
    bench = Bench()
    for _ in range(3):
        with suppress(StoreAwayError), bench.breaker.asked():
            bench.go_away()
            raise failure()
        await bench.clock.pass_by(LIMITS.away_s)
        assert bench.ask() is None


def test_anothers_failure_is_not_its_own() -> None:
    """A job on two storages that fails at one says nothing about the other."""
    bench = Bench()
    for _ in range(9):
        bench.ask(failure("s3://other"))
    assert not bench.told
    bench.go_away()
    assert bench.ask(failure("s3://other")) is StoreTrouble.AWAY


async def _waiter(bench: Bench, order: list[int], number: int, *, good: bool) -> None:
    while True:
        await bench.breaker.available()
        order.append(number)
        if bench.ask(None if good else failure()) is None:
            return


async def test_who_waits_longest_asks_first() -> None:
    """Probes go round: a file that always fails cannot keep the storage away from the others."""
    bench, order = Bench(), list[int]()
    bench.go_away()
    jobs = [
        asyncio.create_task(_waiter(bench, order, number, good=number == 2)) for number in range(4)
    ]
    await asyncio.sleep(0)
    await bench.clock.pass_by(LIMITS.away_s)
    assert order == [0]
    await bench.clock.pass_by(20.0)
    assert order[:3] == [0, 1, 2]
    assert jobs[2].done()
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)


async def test_a_waiter_that_leaves_is_passed_over() -> None:
    """Who was woken and never asks, or waits no more, holds up nobody."""
    bench, order = Bench(), list[int]()
    bench.go_away()
    gone = asyncio.create_task(bench.breaker.available())
    silent = asyncio.create_task(bench.breaker.available())
    await asyncio.sleep(0)
    last = asyncio.create_task(_waiter(bench, order, 9, good=True))
    await asyncio.sleep(0)
    gone.cancel()
    await bench.clock.pass_by(LIMITS.away_s)
    assert silent.done()
    assert not last.done()
    await bench.clock.pass_by(LIMITS.away_s)
    assert last.done()
    assert order == [9]


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 3.0)), max_size=30))
def test_told_is_what_is(steps: list[tuple[bool, float]]) -> None:
    """Whatever happens, going away and coming back are told in turn, and the last is true."""

    async def live() -> None:
        bench = Bench()
        for good, seconds in steps:
            bench.ask(None if good else failure())
            assert bench.told == [True, False] * (len(bench.told) // 2) + [True] * (
                len(bench.told) % 2
            )
            assert bench.breaker.away == (len(bench.told) % 2 == 1)
            await bench.clock.pass_by(seconds)

    asyncio.run(live())
