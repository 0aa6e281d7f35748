"""Members, their versions, tombstones and measurements."""

from __future__ import annotations

from itertools import permutations

import pytest

from core.groups import Arrived, Event, Measurement, Outcome, Suspicion, Withdrawn
from core.groups.changed import replace
from tests.core.groups.drive import (
    Run,
    arrived,
    closed,
    counters,
    manifest,
    measured,
    published,
    run,
    sent,
    suspected,
    withdrawn,
)


def _counters(told: Run) -> dict[str, int]:
    header = told.header
    return {name: getattr(header, name) for name in ("heard", "accounted", "present", "changed")}


def _suspicion(told: Run) -> Suspicion | None:
    return told.group.members[1].suspicion


def test_redelivery_changes_nothing() -> None:
    """A second delivery of an event puts nothing at all."""
    told = run((0, arrived(1)), (0, manifest(1, 2)), (0, closed()), (0, withdrawn(2)))
    for event in (arrived(1), manifest(1, 2), closed(), withdrawn(2)):
        again = told.at(1, event)
        assert again.outcome is Outcome.DUPLICATE
        assert (again.header, again.members, again.expected) == (None, (), None)


@pytest.mark.parametrize(
    "rising",
    [
        (arrived(1, time=9), withdrawn(1, 1, time=1), arrived(1, 2, time=0)),
        (arrived(1, time=1), arrived(1, time=2), withdrawn(1, time=3)),
        (arrived(1, time=1, digest="a"), arrived(1, time=1, digest="z"), withdrawn(1, time=1)),
        (arrived(1, digest="a"), arrived(1, digest="b"), arrived(1, digest="c")),
    ],
    ids=["version", "event-time", "withdrawal-after-arrival", "digest"],
)
def test_last_by_rank_stands(rising: tuple[Event, ...]) -> None:
    """By version, then time, then withdrawal, then digest the last one stands, in any order."""
    for order in permutations(rising):
        told = run(*((i, event) for i, event in enumerate(order)))
        top = rising[-1]
        assert isinstance(top, Arrived | Withdrawn)
        member = told.group.members[1]
        assert (member.digest, member.withdrawn) == (top.digest, isinstance(top, Withdrawn))
        assert _counters(told) == counters(told.group)


def test_same_warp_in_two_places_stands_where_it_stands_in_any_order() -> None:
    """Two events that differ in nothing but the payload leave the same one behind."""
    here, there = (replace(arrived(1), payload=place) for place in (b"here", b"there"))
    for order in ((here, there), (there, here)):
        assert run((0, order[0]), (1, order[1])).group.members[1].payload == b"there"


def test_each_event_names_its_outcome() -> None:
    """First arrival, newer, older, withdrawal, return: each is counted under its own name."""
    told = Run()
    steps: list[tuple[Event, Outcome]] = [
        (arrived(1, 1), Outcome.ACCEPTED),
        (arrived(1, 2), Outcome.REPLACED),
        (arrived(1, 1), Outcome.SUPERSEDED),
        (withdrawn(1, 3), Outcome.WITHDRAWN),
        (arrived(1, 4), Outcome.REPLACED),
        (manifest(1, 2, version=2), Outcome.MANIFEST),
        (manifest(1, version=1), Outcome.SUPERSEDED),
        (closed(2), Outcome.CLOSED),
        (closed(1), Outcome.SUPERSEDED),
    ]
    assert [told.at(0, event).outcome for event, _ in steps] == [name for _, name in steps]


def test_withdrawal_before_the_arrival_holds() -> None:
    """A tombstone that comes first keeps an older arrival out."""
    told = run((0, withdrawn(1, 1)))
    assert told.at(1, arrived(1, 0)).outcome is Outcome.SUPERSEDED
    assert told.header.present == 0
    assert told.group.members[1].withdrawn


def test_transition_of_an_event_puts_one_member_however_many_there_are() -> None:
    """An event that freezes nothing rewrites its own member and the header alone."""
    told = run(*((0, arrived(visit)) for visit in range(30)))
    assert [m.visit for m in told.at(1, arrived(31)).members] == [31]


def test_late_is_said_of_what_changes_a_frozen_group() -> None:
    """An accepted event after the first freeze is late; a duplicate is not."""
    told = run((0, arrived(1)))
    assert not told.at(0, arrived(2)).late
    told.at(0, closed())
    assert told.at(1, arrived(3)).late
    assert told.at(1, withdrawn(2)).late
    assert not told.at(1, arrived(3)).late


def test_measurement_is_kept_with_the_digest_it_was_made_from() -> None:
    """A measurement of other pixels than the member's is dropped; of the same it is kept."""
    told = run((0, arrived(1)))
    assert told.at(0, measured(1, "other")).outcome is Outcome.SUPERSEDED
    assert told.at(0, measured(2)).outcome is Outcome.SUPERSEDED
    put = told.at(0, measured(1))
    assert (put.outcome, put.header) == (Outcome.MEASURED, None)
    assert told.group.members[1].measurement == Measurement(1.0, 2.0, 1.0)
    assert told.at(0, measured(1)).outcome is Outcome.DUPLICATE


def test_measurement_survives_a_version_with_the_same_digest() -> None:
    """Announcing the same warp again costs no second measurement, another warp does."""
    told = run((0, arrived(1)), (0, measured(1)))
    told.at(1, arrived(1, 1, digest="warp-1-0"))
    assert told.group.members[1].measurement is not None
    told.at(2, arrived(1, 2))
    assert told.group.members[1].measurement is None


def test_counters_follow_the_expected_set() -> None:
    """A manifest recounts what is present, accounted for and changed."""
    told = run((0, arrived(1)), (0, arrived(2)), (0, withdrawn(3)), (0, manifest(1, 3, 4)))
    assert _counters(told) == counters(told.group)
    assert _counters(told) == {"heard": 3, "accounted": 2, "present": 1, "changed": 1}


def test_what_was_sent_is_kept_with_the_visit() -> None:
    """Publishing puts what it sent into the members, and survives versions and withdrawals."""
    told = run((0, arrived(1)), (0, arrived(2)), (0, arrived(3)), (0, closed()))
    told.at(1, withdrawn(3))
    put = told.at(2, published(1, 1, {1: "a", 3: "c"}))
    assert [(m.visit, m.sent, m.withdrawn) for m in put.members] == [
        (1, sent("a"), False),
        (3, sent("c"), True),
    ]
    told.at(3, arrived(1, 1), withdrawn(1, 2), arrived(1, 3))
    assert told.group.members[1].sent == sent("a")
    assert told.group.members[2].sent is None


def test_publishing_leaves_alone_what_was_not_sent_again() -> None:
    """A visit that is not named keeps what was sent of it; an unknown one makes no member."""
    told = run((0, arrived(1)), (0, arrived(2)), (0, closed()))
    told.at(1, published(1, 1, {1: "a", 2: "b"}))
    told.at(2, arrived(2, 1))
    told.tick(30)
    put = told.at(31, published(2, 1, {2: "new", 77: "x"}))
    assert [(m.visit, m.sent) for m in put.members] == [(2, sent("new"))]
    assert told.group.members[1].sent == sent("a")


def test_published_reference_has_the_digest_that_was_frozen() -> None:
    """The digest is the revision's, whatever the visit has become since."""
    told = run((0, arrived(1)), (0, arrived(2)), (0, closed()), (1, arrived(2, 1)))
    told.at(2, published(1, 2))
    assert (told.header.reference, told.header.reference_digest) == (2, "warp-2-0")
    told.tick(30)
    told.at(31, published(2))
    assert (told.header.reference, told.header.reference_digest) == (None, None)


def test_deaths_alone_are_counted_of_one_job() -> None:
    """A death in company makes a suspect, only those alone count, and another job begins anew."""
    told = run((0, arrived(1)))
    steps = [
        (suspected(1, "x", alone=False, time=1), Suspicion("x", 0, 1)),
        (suspected(1, "x", time=2), Suspicion("x", 1, 2)),
        (suspected(1, "x", time=5), Suspicion("x", 2, 5)),
        (suspected(1, "y", time=6), Suspicion("y", 1, 6)),
        (suspected(1, "x", alone=False, time=7), Suspicion("x", 0, 7)),
    ]
    for event, after in steps:
        put = told.at(1, event)
        assert (put.outcome, put.header, put.late) == (Outcome.SUSPECTED, None, False)
        assert told.group.members[1].suspicion == after


def test_report_of_a_death_that_was_counted_is_a_duplicate() -> None:
    """A report that is no later than the newest of its visit counts nothing, for any job."""
    told = run((0, arrived(1)), (1, suspected(1, "x", time=5)))
    for event in (suspected(1, "x", time=5), suspected(1, "x", time=4), suspected(1, "y", time=5)):
        put = told.at(2, event)
        assert (put.outcome, put.members) == (Outcome.DUPLICATE, ())


def test_suspicion_goes_with_the_version() -> None:
    """Another warp of the visit is innocent; the same one announced again is not."""
    told = run((0, arrived(1)), (1, suspected(1)))
    told.at(2, arrived(1, 1, digest="warp-1-0"))
    assert _suspicion(told) == Suspicion("job", 1, 1)
    told.at(3, arrived(1, 2))
    assert _suspicion(told) is None
    told.at(4, suspected(1), withdrawn(1, 3))
    assert _suspicion(told) is None


def test_suspicion_of_whom_nobody_knows_leaves_no_trace() -> None:
    """A visit that never came, or was withdrawn, cannot be suspected."""
    told = run((0, arrived(1)), (0, withdrawn(2)))
    for visit in (2, 3):
        put = told.at(1, suspected(visit))
        assert (put.outcome, put.members) == (Outcome.SUPERSEDED, ())


def test_suspicion_changes_no_revision() -> None:
    """Who is suspected is a member as before: a freeze keeps what is known of it."""
    told = run((0, arrived(1)), (0, arrived(2)), (1, suspected(1)), (2, closed()))
    assert len(told.last().members) == 2
    assert told.group.members[1].suspicion is not None
