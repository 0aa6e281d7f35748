"""Logs for hypothesis: few visits, few versions, times around the policy's limits."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st

from core.groups import Event, Policy
from tests.core.groups.drive import (
    Record,
    arrived,
    closed,
    manifest,
    measured,
    published,
    reopened,
    sealed,
    suspected,
    withdrawn,
)

__all__ = ["events", "inside", "law", "logs", "one_group", "policies", "unsealed"]

law = settings(deadline=None, max_examples=60)
"""How hard a law is tried; a busy machine may take its time over one example."""

_VISITS = st.integers(1, 4)
_VERSIONS = st.integers(0, 2)
_STEPS = st.sampled_from([0, 0, 0, 1, 5, 19, 20, 21, 50, 60, 400])

policies = st.builds(
    Policy,
    quorum=st.integers(1, 3),
    quiet_ms=st.sampled_from([None, 50]),
    deadline_ms=st.just(400),
    min_members=st.integers(1, 3),
    update_quiet_ms=st.just(20),
    update_max_ms=st.sampled_from([20, 60]),
    seal_after_ms=st.sampled_from([None, None, 30, 100]),
    seal_retention_ms=st.sampled_from([50, 1000]),
)

_arrivals = st.builds(
    arrived,
    _VISITS,
    _VERSIONS,
    time=st.integers(1, 2),
    digest=st.sampled_from(["", "same"]),
    expected=st.sampled_from([None, None, None, 2, 4]),
)
_withdrawals = st.builds(withdrawn, _VISITS, _VERSIONS)
_manifests = st.builds(
    lambda visits, version, reference, deadline: manifest(
        *visits, version=version, reference=reference, deadline=deadline
    ),
    st.lists(_VISITS, max_size=4),
    st.integers(1, 3),
    st.none() | _VISITS,
    st.sampled_from([None, None, 0, 30, 1000]),
)

unsealed: st.SearchStrategy[Event] = st.one_of(
    *[_arrivals] * 5, _withdrawals, _manifests, st.builds(closed, st.integers(1, 2))
)
"""What comes to a group whose history never ends."""

events: st.SearchStrategy[Event] = st.one_of(
    *[unsealed] * 6,
    st.builds(sealed, st.integers(1, 3)),
    st.builds(reopened, st.integers(1, 3)),
    st.builds(
        suspected,
        _VISITS,
        st.sampled_from("xy"),
        alone=st.booleans(),
        time=st.integers(1, 4),
    ),
)
inside: st.SearchStrategy[Event] = st.one_of(
    st.builds(measured, _VISITS),
    st.builds(
        published,
        st.integers(0, 4),
        st.none() | _VISITS,
        st.dictionaries(_VISITS, st.sampled_from(["a", "b"]), max_size=2),
    ),
)


def _timed(steps: Sequence[tuple[int, str, Event | None]]) -> list[Record]:
    now, log = 0, []
    for step, key, event in steps:
        now += step
        log.append((now, key, event))
    return log


def logs(
    keys: str = "ab", max_size: int = 25, told: st.SearchStrategy[Event] = events
) -> st.SearchStrategy[list[Record]]:
    """Make logs of input records, ticks among them, with a last tick long after."""
    record = st.tuples(_STEPS, st.sampled_from(keys), st.none() | told)
    ended = st.lists(record, min_size=5, max_size=max_size).map(
        lambda made: [*made, (5000, keys[0], None)]
    )
    return ended.map(_timed)


def one_group(
    max_size: int = 14, told: st.SearchStrategy[Event] = events
) -> st.SearchStrategy[list[Record]]:
    """Make logs of a single group."""
    return logs("a", max_size, told)
