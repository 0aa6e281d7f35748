"""The pulse: health is the age of our own progress."""

from __future__ import annotations

import asyncio

import pytest

from stream.pulse import Pulse


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def ignore(_: float) -> None:
    """Take no note of a lag."""


def test_alive_at_first() -> None:
    """A service that has just started has nothing to be blamed for."""
    assert Pulse(ignore, Clock()).ailments() == ()


@pytest.mark.parametrize(("after", "ailing"), [(9.9, False), (10.0, True)])
def test_loop_stands_still(after: float, *, ailing: bool) -> None:
    """Ten seconds without a tick are a loop that hangs."""
    clock = Clock()
    pulse = Pulse(ignore, clock)
    clock.now += after
    assert bool(pulse.ailments()) is ailing


@pytest.mark.parametrize(("after", "ailing"), [(59.9, False), (60.0, True)])
def test_log_not_polled(after: float, *, ailing: bool) -> None:
    """A minute without a poll is a service that does not move, even when its loop ticks."""
    clock = Clock()
    pulse = Pulse(ignore, clock)
    clock.now += after
    pulse.tick(clock.now)
    assert bool(pulse.ailments()) is ailing
    pulse.polled()
    assert pulse.ailments() == ()


def test_lag_is_told() -> None:
    """Each tick tells by how much it was late, and never less than nothing."""
    clock, lags = Clock(), list[float]()
    pulse = Pulse(lags.append, clock)
    pulse.tick(due=98.5)
    pulse.tick(due=100.5)
    assert lags == [1.5, 0.0]


async def test_beats() -> None:
    """The beat goes on until it is cancelled."""
    lags: asyncio.Queue[float] = asyncio.Queue()
    pulse = Pulse(lags.put_nowait)
    task = asyncio.create_task(pulse.beat(0.001))
    for _ in range(3):
        assert await lags.get() >= 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pulse.since_tick_s < 10
