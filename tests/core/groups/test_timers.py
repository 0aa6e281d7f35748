"""Timers: the true ones, in order, at a bounded cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.groups.timers import Timers
from tests.core.groups.strategies import law

_KEYS = st.sampled_from("abcd")
_MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), _KEYS, st.none() | st.integers(0, 30)),
        st.tuples(st.just("pop"), st.just(""), st.integers(0, 30)),
        st.tuples(st.just("look"), st.just(""), st.none()),
    ),
    max_size=60,
)


@law
@given(_MOVES)
def test_timers_are_a_sorted_dictionary(moves: list[tuple[str, str, int | None]]) -> None:
    """Whatever is armed, moved and popped, it behaves as a dictionary that is searched."""
    timers, plain = Timers(), dict[str, int]()
    for what, key, due in moves:
        first = min(((at, name) for name, at in plain.items()), default=None)
        if what == "look":
            assert timers.next_due() == (None if first is None else first[0])
        elif what == "pop" and due is not None:
            wanted = first if first is not None and first[0] <= due else None
            assert timers.pop(due) == wanted
            plain.pop("" if wanted is None else wanted[1], None)
        elif what == "arm":
            timers.arm(key, due)
            plain.pop(key, None)
            plain.update({} if due is None else {key: due})
        assert timers.due() == plain
        assert len(timers) == len(plain)


def test_prolonging_a_timer_does_not_grow_the_heap() -> None:
    """A timer that only moves later, as quiet does, takes one place however often it moves."""
    timers = Timers()
    for due in range(10_000):
        timers.arm("group", due)
    assert len(timers._heap) == 1  # noqa: SLF001 - the bound is the law, and is not public
    assert timers.pop(10_000) == (9_999, "group")


def test_forgotten_timers_do_not_stay_for_ever() -> None:
    """The heap stays within a multiple of the timers that are armed."""
    timers = Timers()
    for number in range(10_000):
        timers.arm(f"group-{number}", number + 5)
        timers.arm(f"group-{number}", None)
        timers.arm("steady", 10_000 - number)
    assert len(timers._heap) < 200  # noqa: SLF001 - the bound is the law, and is not public
