"""Whose turn it is: enough is begun, the urgent first, and nothing is lost or doubled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core import groups
from stream.duelines import DueLines
from stream.slots import JOB_SHARE_MS, due_time


def revision(members: int, at: int = 0, number: int = 1) -> groups.Frozen:
    """Return a revision of so many members that was frozen at a time, in ms."""
    return groups.Frozen(
        revision=number,
        kind=groups.Kind.INITIAL,
        trigger=groups.Trigger.COUNT,
        members=tuple(groups.FrozenMember(n, "digest", b"") for n in range(members)),
        withdrawn=(),
        missing=(),
        expected=members,
        completeness=1.0,
        incomplete=False,
        reference=None,
        since=at,
        at=at,
    )


def begun(lines: DueLines) -> list[str]:
    """Return the groups that are begun now, in order."""
    return list(iter(lines.begin, None))


def lined_up(lines: DueLines, **frozen: groups.Frozen) -> None:
    """Put a revision of each group in line."""
    for key, one in frozen.items():
        lines.put(key, one, len(one.members))


def test_no_more_is_begun_than_is_enough() -> None:
    """Of groups that are as urgent, so many are begun that their members are enough."""
    lines = DueLines(64, 50)
    lined_up(lines, **{f"g{n}": revision(20, at=n) for n in range(10)})
    assert begun(lines) == ["g0", "g1", "g2"]
    lines.published("g1")
    lines.end("g1")
    assert begun(lines) == ["g3"]
    assert (lines.revision_count, lines.group_count) == (9, 9)


def test_an_update_is_as_much_work_as_is_new_in_it() -> None:
    """A late visit of a large group is one member's work."""
    lines = DueLines(64, 3)
    for n in range(5):
        lines.put(f"g{n}", revision(100, at=n), 1)
    assert begun(lines) == ["g0", "g1", "g2"]


def test_what_needs_no_job_is_begun_at_once() -> None:
    """Whatever is at work or waits before it, within the bound on groups."""
    lines = DueLines(3, 50)
    lined_up(lines, large=revision(100, at=0), next=revision(100, at=1))
    assert begun(lines) == ["large"]
    for n in range(3):
        lines.put(f"withdrawn{n}", revision(100, at=100 + n), 0)
    assert begun(lines) == ["withdrawn0", "withdrawn1"]


def test_one_is_begun_however_large() -> None:
    """A group that is more than enough is worked on alone."""
    lines = DueLines(64, 50)
    lined_up(lines, large=revision(1000), larger=revision(2000))
    assert begun(lines) == ["large"]


def test_the_most_urgent_is_begun_first() -> None:
    """Whatever the order in which they were put, as when a partition is taken over."""
    lines = DueLines(64, 3)
    lined_up(lines, late=revision(2, at=30), early=revision(2, at=10), middle=revision(2, at=20))
    assert begun(lines) == ["early", "middle"]


def test_what_is_more_urgent_than_what_is_at_work_is_begun() -> None:
    """A small group does not wait for a large one's end, but one that froze long after it does."""
    lines = DueLines(64, 50)
    lined_up(lines, large=revision(100, at=0))
    assert begun(lines) == ["large"]
    lined_up(lines, small=revision(2, at=1000), much_later=revision(2, at=100 * JOB_SHARE_MS))
    assert begun(lines) == ["small"]


def test_what_waits_for_a_storage_is_not_enough() -> None:
    """A storage that is away holds up its own groups, and none that could be worked on."""
    lines = DueLines(64, 50)
    lined_up(lines, **{f"g{n}": revision(50, at=n) for n in range(4)})
    assert begun(lines) == ["g0"]
    assert lines.begin(lambda: {"g0"}) == "g1"
    assert lines.begin(lambda: {"g0"}) is None
    assert lines.begin(lambda: {"g0", "g1"}) == "g2"


def test_each_storage_has_enough() -> None:
    """A storage that is slow does not keep groups on another from being begun."""
    lines = DueLines(64, 50)
    for n in range(4):
        lines.put(f"slow{n}", revision(50, at=n), 50, "slow")
        lines.put(f"fast{n}", revision(50, at=10 + n), 50, "fast")
    assert begun(lines) == ["slow0", "fast0"]
    lines.end("fast0")
    assert begun(lines) == ["fast1"]


def test_no_more_groups_than_a_bound() -> None:
    """However few members they have, and however urgent they are."""
    lines = DueLines(3, 50)
    lined_up(lines, **{f"g{n}": revision(1, at=100 - n) for n in range(5)})
    assert begun(lines) == ["g4", "g3", "g2"]


def test_revisions_of_a_group_come_in_order() -> None:
    """The next one comes when the one before is published, in the same turn."""
    lines = DueLines(64, 50)
    first, second = revision(2, number=1), revision(2, number=2)
    lines.put("g", first, 2)
    lines.put("g", second, 2)
    assert begun(lines) == ["g"]
    assert lines.first("g") is first
    lines.published("g")
    assert lines.first("g") is second
    lines.published("g")
    assert lines.first("g") is None
    assert lines.group_count == 0


def test_a_group_that_becomes_due_again_has_another_turn() -> None:
    """Even before what worked on its last revision has told of its end."""
    lines = DueLines(64, 50)
    lines.put("g", revision(2), 2)
    assert begun(lines) == ["g"]
    lines.published("g")
    lines.put("g", revision(2, number=2), 2)
    assert begun(lines) == ["g"]


def test_what_is_forgotten_is_not_published() -> None:
    """A partition that is lost in the midst of a publication has no lines any more."""
    lines = DueLines(64, 50)
    lines.put("g", revision(2), 2)
    assert begun(lines) == ["g"]
    lines.clear()
    lines.published("g")
    assert (begun(lines), lines.revision_count, lines.first("g")) == ([], 0, None)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9), st.integers(1, 30), st.integers(0, 5000)),
        st.tuples(st.just("end"), st.integers(0, 9), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 4), st.integers(1, 40))
def test_all_that_is_due_is_begun_and_published(
    steps: list[tuple[str, int, int, int]], most: int, enough: int
) -> None:
    """Within the bounds, and something is at work as long as something is due."""
    lines, at_work = DueLines(most, enough), dict[str, groups.Frozen]()
    put = published = 0

    def begin() -> None:
        for key in begun(lines):
            assert key not in at_work
            first = lines.first(key)
            assert first is not None
            others = [due_time(one.at, len(one.members)) for one in at_work.values()]
            held = sum(len(one.members) for one in at_work.values())
            assert held < enough or due_time(first.at, len(first.members)) < max(others)
            at_work[key] = first
        assert len(at_work) <= most
        assert bool(at_work) == bool(lines.group_count)

    def end(key: str) -> int:
        done = 0
        while lines.first(key) is not None:
            lines.published(key)
            done += 1
        del at_work[key]
        lines.end(key)
        begin()
        return done

    for what, number, members, at in steps:
        if what == "put":
            put += 1
            lines.put(f"g{number}", revision(members, at, put), members)
            begin()
        elif f"g{number}" in at_work:
            published += end(f"g{number}")
    while at_work:
        published += end(next(iter(at_work)))
    assert (published, lines.revision_count) == (put, 0)
