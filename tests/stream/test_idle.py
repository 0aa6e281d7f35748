"""Those who rest and those who wait: nobody is lost, and the order is that of asking."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from stream.idle import Idle

STEPS = st.lists(
    st.one_of(st.just("put"), st.just("get"), st.just("first"), st.integers(0, 5)), max_size=30
)


async def _lived_through(steps: list[str | int]) -> None:
    idle, resting, waiting = Idle[int](), list[int](), list[asyncio.Task[int]]()
    number = 0
    for step in steps:
        if step == "put":
            number += 1
            idle.put(number)
            if waiting:
                assert await waiting.pop(0) == number
            else:
                resting.append(number)
        elif isinstance(step, int):
            if step < len(waiting):
                gone = waiting.pop(step)
                gone.cancel()
                await asyncio.wait({gone})
        else:
            asking = asyncio.create_task(idle.get(first=step == "first"))
            await asyncio.sleep(0)
            if resting:
                assert await asking == resting.pop(0)
            else:
                waiting.insert(0 if step == "first" else len(waiting), asking)
    for one in waiting:
        one.cancel()


@given(STEPS)
def test_who_asks_is_served_in_the_order_of_the_sentences(steps: list[str | int]) -> None:
    """Whoever waits longest is next, unless one goes first; whoever leaves takes none along."""
    asyncio.run(_lived_through(steps))


async def test_what_was_given_to_one_who_leaves_is_passed_on() -> None:
    """One that is cancelled at the very moment it is given something gives it back."""
    idle = Idle[str]()
    first, second = (asyncio.create_task(idle.get()) for _ in range(2))
    await asyncio.sleep(0)
    idle.put("one")
    first.cancel()
    await asyncio.wait({first})
    assert first.cancelled()
    assert await asyncio.wait_for(second, 5) == "one"
