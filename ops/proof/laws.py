"""RELIABILITY row 9: law 2 of the groups, order; ``python -m ops.proof.laws``.

Both halves are tried on the state machine and on the choice of references, with outcomes of jobs
that follow from digests.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from core.groups import Event, Frozen, Group, ManifestSet, Partition, Policy
from core.groups.changed import replace as changed
from ops.proof.simulation_matching import Output, work_out
from ops.proof.simulation_steps import VISITS, Step, event_of

__all__ = ["end_in_any_order", "main", "revision_1_in_any_order"]

_KEY = "group"
_PATIENT = Policy(quiet_ms=None, deadline_ms=10**9)
_LATE = 10**6

_visits = st.integers(0, VISITS - 1)
_gaps = st.sampled_from([0, 0, 0, 1, 5, 19, 20, 21, 61, 401])
_policies = st.builds(
    Policy,
    quorum=st.integers(1, 3),
    quiet_ms=st.sampled_from([None, 60]),
    deadline_ms=st.just(400),
    min_members=st.integers(1, 3),
    update_quiet_ms=st.just(20),
    update_max_ms=st.sampled_from([20, 60]),
    reference_margin=st.just(0.0),
)


def _steps(kind: str, versions: int, numbers: int) -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        st.just(kind),
        visit=_visits,
        version=st.integers(0, versions),
        number=st.integers(0, numbers),
    )


_told = st.one_of(
    *[_steps("arrived", 2, 3)] * 4,
    _steps("withdrawn", 2, 1),
    _steps("manifest", 3, (1 << VISITS) - 1),
    _steps("closed", 2, 0),
)


@dataclass(frozen=True)
class _End:
    """What is left of a group when all is read, settled and published."""

    members: object
    expected: object
    newest: object
    models: object


def revision_1_in_any_order(examples: int, start: int = 0) -> None:
    """Try the first half of the law so many times.

    With one manifest, one version a visit and no other trigger, any order and duplication of the
    events gives the same revision 1: members, trigger, reference, models.

    Parameters
    ----------
    examples : int
    start : int
        Seed.

    Raises
    ------
    AssertionError
        The law does not hold; hypothesis shows the smallest example that it finds.
    """
    _try(_revision_1, examples, start)


def end_in_any_order(examples: int, start: int = 0) -> None:
    """Try the second half of the law so many times.

    With pinning off and nothing sealed any order at all, and any duplication, leaves the same
    members and model_ids.

    Parameters
    ----------
    examples : int
    start : int
        Seed.

    Raises
    ------
    AssertionError
        The law does not hold; hypothesis shows the smallest example that it finds.
    """
    _try(_end, examples, start)


def _try(law: Callable[[st.DataObject], None], examples: int, start: int) -> None:
    tried = given(st.data())(law)
    seed(start)(settings(max_examples=examples, deadline=None, database=None)(tried))()


def _revision_1(data: st.DataObject) -> None:
    visits = data.draw(st.sets(_visits, min_size=1))
    reference = data.draw(st.none() | _visits)
    manifest = ManifestSet(0, 1, tuple(visits), reference)
    others = data.draw(st.sets(_visits))
    members = [_one_event(data, visit) for visit in sorted(visits | others)]
    told = [manifest, *(event for step in members if (event := event_of(step)) is not None)]
    runs = [_read(order, data, _PATIENT) for order in (told, _shuffled(told, data))]
    _same(_first(runs[0]), _first(runs[1]))


def _same(one: object, other: object) -> None:
    """Compare as text: costs that are NaN are alike."""
    if repr(one) != repr(other):
        raise AssertionError(f"{one}\nis not\n{other}")


def _one_event(data: st.DataObject, visit: int) -> Step:
    """Draw the one thing that is ever said of a visit."""
    kind = data.draw(st.sampled_from(["arrived", "arrived", "arrived", "withdrawn"]))
    return Step(kind, visit=visit, version=data.draw(st.integers(0, 2)))


def _first(group: Group) -> tuple[Frozen, Output] | None:
    """Work revision 1 out, and take its times from it."""
    if not group.frozen:
        return None
    _, output = work_out(_KEY, group, _PATIENT)
    frozen = changed(output.frozen, since=0, at=0)
    return frozen, replace(output, frozen=frozen)


def _end(data: st.DataObject) -> None:
    policy = data.draw(_policies)
    steps = data.draw(st.lists(_told, min_size=1, max_size=12))
    told = [event for step in steps if (event := event_of(step)) is not None]
    first, second = (_settled(order, data, policy) for order in (told, _shuffled(told, data)))
    _same(first, second)


def _shuffled(told: Sequence[Event], data: st.DataObject) -> Sequence[Event]:
    copies = data.draw(st.lists(st.sampled_from(told), max_size=5))
    return data.draw(st.permutations([*told, *copies]))


def _read(order: Sequence[Event], data: st.DataObject, policy: Policy) -> Group:
    """Read events with some time between them, publishing nothing."""
    state, now = Partition(lambda _: policy), 0
    for event in order:
        now += data.draw(_gaps)
        _advance(state, now)
        state.feed(_KEY, event)
    return state.groups.get(_KEY, Group())


def _settled(order: Sequence[Event], data: st.DataObject, policy: Policy) -> _End:
    """Read events with some time between them, publish now and then, and all in the end."""
    state, now, newest = Partition(lambda _: policy), 0, None
    for event in order:
        now += data.draw(_gaps)
        _advance(state, now)
        state.feed(_KEY, event)
        newest = (data.draw(st.booleans()) and _publish(state, policy)) or newest
    _advance(state, now + _LATE)
    while (output := _publish(state, policy)) is not None:
        newest = output
    return _end_of(state.groups.get(_KEY, Group()), newest)


def _advance(state: Partition, now: int) -> None:
    for _ in state.advance(now):
        pass


def _publish(state: Partition, policy: Policy) -> Output | None:
    """Publish the next revision of the line, if there is one."""
    group = state.groups.get(_KEY)
    if group is None or not group.frozen:
        return None
    published, output = work_out(_KEY, group, policy)
    state.feed(_KEY, published)
    return output


def _end_of(group: Group, newest: Output | None) -> _End:
    members = () if newest is None else newest.frozen.members
    entries = {} if newest is None else newest.entries
    return _End(
        members=sorted((visit, member.rank) for visit, member in group.members.items()),
        expected=None if group.expected is None else group.expected.rank,
        newest={member.visit: member.digest for member in members},
        models={member.visit: entries.get(member.visit) for member in members},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Try both halves as often as the command line says.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command's words; those of this process if not given.

    Returns
    -------
    int
        0: whatever does not hold is raised.
    """
    parser = argparse.ArgumentParser(prog="python -m ops.proof.laws", description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    for half in (revision_1_in_any_order, end_in_any_order):
        half(asked.examples, asked.seed)
        sys.stdout.write(f"seed {asked.seed}: {half.__name__} held {asked.examples} times\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
