"""The laws: replay, order, totality, a clock that only records move."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.groups import (
    Event,
    Group,
    Kind,
    Outcome,
    Partition,
    Phase,
    Policy,
    Reopened,
    Sealed,
    TimerFired,
    Transition,
    apply,
    next_timer,
    step,
    superseded,
)
from core.groups.changed import replace
from core.groups.draft import digest_in, digests_in
from core.groups.table import ROWS
from tests.core.groups import strategies as logs
from tests.core.groups.drive import (
    KEY,
    POLICY,
    Changelog,
    Record,
    Run,
    counters,
    published,
    run,
    standing,
)
from tests.core.groups.twin import deaths, tell

_PATIENT = Policy(quiet_ms=None, deadline_ms=10**9)


@logs.law
@given(logs.logs(), logs.policies)
def test_replay_gives_the_same_history(log: list[Record], policy: Policy) -> None:
    """The same log and policy give the same transitions, state and timers."""
    once, again = Run(policy).read(log), Run(policy).read(log)
    assert once.said == again.said
    assert once.partition.groups == again.partition.groups


@logs.law
@given(logs.logs(), logs.policies, st.data())
def test_replay_goes_on_from_any_cut(
    log: list[Record], policy: Policy, data: st.DataObject
) -> None:
    """A log cut anywhere and gone on with from the changelog gives the same history and state."""
    cut = data.draw(st.integers(0, len(log)))
    whole, torn = Run(policy).read(log), Run(policy).read(log[:cut])
    torn.crash()
    torn.read(log[cut:])
    assert torn.said == whole.said
    assert torn.partition.groups == whole.partition.groups
    assert torn.partition.timers() == whole.partition.timers()
    assert torn.changelog == whole.changelog


@logs.law
@given(logs.logs(), logs.policies, st.booleans(), st.data())
def test_fold_of_the_puts_is_the_state_after_each_event(
    log: list[Record], policy: Policy, first: bool, data: st.DataObject
) -> None:
    """After each record the changelog reads back as what is in memory, in either format."""
    told = Run(policy, changelog=Changelog(first=first))
    for record in log:
        told.read([record])
        if data.draw(st.booleans()):
            visits = data.draw(st.sets(st.sampled_from(range(1, 6))))
            _publish_next(told, record[1], dict.fromkeys(visits, "a basis"))
        again = told.changelog.restore(lambda _: policy)
        assert again.groups.keys() == told.partition.groups.keys()
        for key, group in told.partition.groups.items():
            frozen = {n: replace(one, fresh=()) for n, one in group.frozen.items()}
            lived = replace(group, frozen=frozen) if first else group
            assert again.groups[key] == lived
        assert again.timers() == told.partition.timers()


@logs.law
@given(logs.logs(), logs.policies)
def test_superseded_are_those_that_are_not_as_they_were_frozen(
    log: list[Record], policy: Policy
) -> None:
    """After each record, of each revision in line: who was withdrawn, replaced or forgotten."""
    told = Run(policy)
    for record in log:
        told.read([record])
        for group in told.partition.groups.values():
            now = {v: m.digest for v, m in group.members.items() if not m.withdrawn}
            alone = {v: digest_in(m, group.expected) for v, m in group.members.items()}
            assert digests_in(group.members, group.expected) == alone
            for frozen in group.frozen.values():
                gone = [m.visit for m in frozen.members if now.get(m.visit) != m.digest]
                assert superseded(group, frozen) == tuple(gone)


def _publish_next(told: Run, key: str, bases: dict[int, str] | None = None) -> None:
    group = told.partition.groups.get(key)
    if group is not None and group.frozen:
        told.at(told.partition.clock, published(min(group.frozen), None, bases), key=key)


@logs.law
@given(logs.logs(), logs.policies, st.data())
def test_phase_moves_as_the_table_says(
    log: list[Record], policy: Policy, data: st.DataObject
) -> None:
    """A group never goes from one phase to another without a row from the one to the other."""
    moves = {(row.source, row.target) for row in ROWS} | {(phase, phase) for phase in Phase}
    told, phases = Run(policy), dict[str, Phase]()
    for record in log:
        told.read([record])
        if data.draw(st.booleans()):
            _publish_next(told, record[1])
        for key, put in told.said:
            header = put.header
            if header is not None:
                assert (phases.get(key, Phase.OPEN), header.phase) in moves
                phases[key] = header.phase
        told.said.clear()


@logs.law
@given(logs.logs(), logs.policies, st.data())
def test_results_from_inside_decide_no_revision(
    log: list[Record], policy: Policy, data: st.DataObject
) -> None:
    """Wherever measurements and publications fall among the records, the same is frozen."""
    plain, busy = Run(policy).read(log), Run(policy)
    for record in log:
        busy.read([record])
        for event in data.draw(st.lists(logs.inside, max_size=2)):
            busy.at(busy.partition.clock, event, key=record[1])
        if data.draw(st.booleans()):
            _publish_next(busy, record[1])
    for key in "ab":
        assert busy.history(key) == plain.history(key)


@logs.law
@given(st.lists(st.tuples(st.integers(-500, 500), logs.events | logs.inside)), logs.policies)
def test_any_event_in_any_state_gives_a_transition(
    told: list[tuple[int, Event]], policy: Policy
) -> None:
    """Fed with anything in any order of time the step answers, and leaves its group alone."""
    group = Group()
    for at, event in told:
        for stamped in (replace(event, at=at), TimerFired(at)):
            before = (group.header, dict(group.members), group.expected, dict(group.frozen))
            transition = step(group, stamped, policy)
            assert isinstance(transition, Transition)
            assert transition == step(group, stamped, policy)
            assert before == (group.header, group.members, group.expected, group.frozen)
            apply(group, transition)
        assert group.header.forgotten or counters(group) == _plain(group)


@logs.law
@given(logs.logs(), logs.policies)
def test_clock_is_monotone_and_timers_fire_in_order(log: list[Record], policy: Policy) -> None:
    """No time in the history goes back, and after each record no timer is left due."""
    told = Run(policy)
    for record in log:
        before = told.partition.clock
        told.read([record])
        due = told.partition.next_due()
        assert told.partition.clock == max(before, record[0])
        assert due is None or due > told.partition.clock
    frozen = [one.at for _, put in told.said for one in put.frozen]
    assert frozen == sorted(frozen)


@logs.law
@given(logs.logs(), logs.policies)
def test_revisions_follow_each_other(log: list[Record], policy: Policy) -> None:
    """Revisions have no gap, hold what was left of the members, and each says what is new."""
    told = Run(policy).read(log)
    for key in "ab":
        held: dict[int, str] = {}
        for number, one in enumerate(told.history(key), start=1):
            now = standing(one)
            assert one.revision == number
            assert (one.kind is Kind.INITIAL) == (number == 1)
            assert (one.kind is Kind.RETRACTION) == (bool(held) and not now)
            assert one.withdrawn == tuple(sorted(set(held) - set(now)))
            assert list(now) == sorted(now)
            assert one.since <= one.at
            assert one.completeness < 1 or not one.missing
            held = now


@logs.law
@given(logs.logs(), logs.policies)
def test_every_revision_can_be_published_in_order(log: list[Record], policy: Policy) -> None:
    """Whatever waits in line is published one by one, and then nothing is due."""
    told = Run(policy).read(log)
    for key, group in told.partition.groups.items():
        for revision in sorted(group.frozen):
            assert group.header.phase is Phase.DUE
            put = told.partition.feed(key, published(revision))
            assert put.released == (revision,)
        assert group.header.phase is not Phase.DUE
        assert group.frozen == {}


@logs.law
@given(logs.one_group(), logs.policies)
def test_step_and_its_slow_twin_agree(log: list[Record], policy: Policy) -> None:
    """The machine freezes what the full list of events says, when it says, by its trigger."""
    told = Run(policy).read(log)
    slow = tell([(at, event) for at, _, event in log], policy)
    fast = told.history("a")
    assert len(fast) == len(slow.revisions)
    for one, plain in zip(fast, slow.revisions, strict=True):
        assert (one.trigger, one.since, one.at) == (plain.trigger, plain.since, plain.at)
        assert (standing(one), one.missing) == (plain.members, plain.missing)
        assert one.reference == plain.named
    assert told.partition.groups.get("a", Group()).header.sealed_at == slow.sealed_at


@logs.law
@given(logs.one_group(), logs.policies)
def test_members_and_refusals_are_those_of_the_twin(log: list[Record], policy: Policy) -> None:
    """Exactly what the twin refuses is refused, and the members are what the rest of it says."""
    told, refused = Run(policy), list[int]()
    for number, record in enumerate(log):
        told.said.clear()
        told.read([record])
        refused += [number for _, put in told.said if put.outcome is Outcome.REFUSED]
        assert all(
            put == Transition(put.outcome) for _, put in told.said if put.outcome is Outcome.REFUSED
        )
    slow = tell([(at, event) for at, _, event in log], policy)
    assert refused == slow.refused
    group = told.partition.groups.get("a", Group())
    if group.header.forgotten:
        assert (group.members, group.expected) == ({}, None)
        return
    assert {v: (m.digest, m.version) for v, m in group.members.items()} == {
        visit: (event.digest, event.version) for visit, event in slow.members.items()
    }


@logs.law
@given(st.lists(logs.events, max_size=12))
def test_suspicions_are_those_of_the_twin(told: list[Event]) -> None:
    """Of each visit the deaths alone of its newest suspected job are counted, since its version."""
    kept = [event for event in told if not isinstance(event, Sealed | Reopened)]
    group = run(*((0, event) for event in kept), policy=_PATIENT).partition.groups.get(KEY, Group())
    for visit in range(1, 5):
        member = group.members.get(visit)
        suspicion = None if member is None else member.suspicion
        counted = {} if suspicion is None else {suspicion.job: suspicion.deaths}
        assert counted == deaths(kept, visit)


def _plain(group: Group) -> dict[str, int]:
    header = group.header
    return {name: getattr(header, name) for name in ("heard", "accounted", "present", "changed")}


def test_timer_of_an_unknown_group_is_none() -> None:
    """A group that nobody spoke of waits for nothing."""
    assert next_timer(Group(), POLICY) is None
    assert Partition(lambda _: POLICY).next_due() is None
