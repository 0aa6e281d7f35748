"""Only what changed is computed, and sent, again."""

from __future__ import annotations

import pytest

import core
import schemas
from stream.assemble import Assembler
from tests.stream.night import CONFIG
from tests.stream.ownerbench import GROUP, KEY, Bench, arrived

HEALTHY, UNREADABLE, ALONE = (3, 4, 5), 16, 18
"""Visits whose warps are good, cannot be read, and overlap with nobody's."""


@pytest.fixture
async def bench() -> Bench:
    """Publish revision 1 of a group of three, whose reference is visit 3."""
    bench = Bench(core.VerdictProfile.SURVEY)
    await bench.owner.take_over()
    await bench.live(*[arrived(visit, expected=3) for visit in HEALTHY])
    assert [one.reference for one in bench.summaries] == [3]
    bench.jobs()
    return bench


def sent_in(bench: Bench, revision: int) -> list[int]:
    """Return the visits whose models were sent in a revision."""
    return [one.visit for one in bench.models if one.revision == revision]


def job(name: str, visit: int, warp: str = "aa") -> tuple[str, str]:
    """Return a job as the pool notes it."""
    return name, arrived(visit, name=warp).checksum


async def test_a_late_visit_costs_one_measurement_and_one_match(bench: Bench) -> None:
    """Nobody else's pixels are asked for, and nobody else's model is sent."""
    await bench.update(arrived(6))
    assert bench.jobs() == [job("measure", 6), job("match", 6)]
    assert sent_in(bench, 2) == [6]
    metrics = [one for one in bench.messages(bench.log.topics.metrics) if one.revision == 2]
    assert [(one.scope, one.visit) for one in metrics] == [("warp", 6), ("group", None)]
    assert metrics[-1].members == 4


async def test_a_summary_names_what_was_sent_before(bench: Bench) -> None:
    """What was kept stands in the summary as it was sent, with its cost in the group as it is."""
    await bench.update(arrived(6), arrived(ALONE))
    first, second = bench.summaries
    assert [one.visit for one in second.members] == [3, 4, 5, 6, ALONE]
    for old, new in zip(first.members, second.members[:3], strict=True):
        kept = (new.visit, new.status, new.verdict, new.model_id, new.reason)
        assert kept == (old.visit, old.status, old.verdict, old.model_id, old.reason)
        assert old.cost is not None
        assert new.cost is not None
        assert new.cost < old.cost
    assert (second.reference, second.reference_changed) == (3, False)
    await bench.update(arrived(7))
    assert sent_in(bench, 3) == [7]
    assert bench.summaries[2].members[-1].reason == second.members[-1].reason == "nothing in common"


async def test_who_failed_is_tried_again(bench: Bench) -> None:
    """A warp that could not be read is read anew in each revision; what it says is sent once."""
    await bench.update(arrived(UNREADABLE))
    assert sent_in(bench, 2) == [UNREADABLE]
    bench.jobs()
    await bench.update(arrived(6))
    assert bench.jobs() == [job("measure", 6), job("measure", UNREADABLE), job("match", 6)]
    assert sent_in(bench, 3) == [6]
    second, third = bench.summaries[1:]
    assert (second.status, third.status) == ("partial", "partial")
    assert third.members[-1].model_id == second.members[-1].model_id


async def test_the_next_owner_knows_what_was_sent(bench: Bench) -> None:
    """What was published by an owner that is gone is not computed again by the next one."""
    await bench.anew().take_over()
    bench.clock.now += 1
    bench.say(arrived(6))
    bench.clock.now += 40
    bench.say(schemas.ClockTick(partition=0))
    await bench.hear()
    bench.owner.lose("it was revoked")  # in the middle of the revision
    await bench.done()
    bench.jobs()
    await bench.anew().take_over()
    await bench.done()
    assert bench.jobs()[-1] == job("match", 6)
    assert {checksum for _, checksum in bench.jobs()} <= {arrived(6).checksum}
    assert sent_in(bench, 2) == [6]


async def test_a_replaced_warp_is_sent_again_and_again(bench: Bench) -> None:
    """A warp that comes back to what it was two revisions ago is not what a reader holds."""
    await bench.update(arrived(5, name="bb", version=1))
    assert bench.jobs() == [job("measure", 5, "bb"), job("match", 5, "bb")]
    await bench.update(arrived(5, version=2))
    assert [sent_in(bench, number) for number in (2, 3)] == [[5], [5]]
    ids = [one.model_id for one in bench.models if one.visit == 5]
    assert ids[0] == ids[2] != ids[1]


async def test_a_withdrawn_visit_is_told_of_once(bench: Bench) -> None:
    """The model that says that a visit is withdrawn is sent in the revision that drops it."""
    withdrawal = schemas.WarpWithdrawn(**GROUP, visit=5, reason="clouds")
    await bench.update(withdrawal)
    assert bench.jobs() == []
    await bench.update(arrived(6))
    assert [sent_in(bench, number) for number in (2, 3)] == [[5], [6]]
    assert [one.visit for one in bench.summaries[2].members] == [3, 4, 6]
    await bench.update(arrived(5, version=1))
    assert sent_in(bench, 4) == [5]
    assert bench.models[-1].status == "matched"


async def test_other_rules_make_other_models(bench: Bench) -> None:
    """After the rule for verdicts was changed, a group's next revision is made whole by it."""
    bench.shared = bench.shared_with(
        assembler=Assembler(CONFIG, core.VerdictProfile.LSST2017, "test")
    )
    await bench.anew().take_over()
    assert bench.revisions() == [(0, 1)]
    await bench.update(arrived(6))
    assert sorted(bench.jobs()) == sorted(
        [job("measure", 6), *(job("match", visit) for visit in (4, 5, 6))]
    )
    assert sent_in(bench, 2) == [3, 4, 5, 6]


async def test_what_says_the_same_for_other_reasons_is_not_sent(bench: Bench) -> None:
    """Where new limits leave the models as they are, none is sent, and none is computed twice."""
    limits = core.VerdictLimits(coverage=0.15)
    assembler = Assembler(CONFIG, core.VerdictProfile.SURVEY, "test", limits)
    bench.shared = bench.shared_with(assembler=assembler)
    await bench.anew().take_over()
    await bench.update(arrived(6))
    assert [name for name, _ in bench.jobs()].count("match") == 3
    await bench.update(arrived(7))
    assert bench.jobs() == [job("measure", 7), job("match", 7)]
    assert [sent_in(bench, number) for number in (2, 3)] == [[6], [7]]


async def test_a_group_that_shrank_is_taken_up_where_it_was(bench: Bench) -> None:
    """Over a revision without models what was sent before still stands."""
    for visit in (4, 5):
        bench.say(schemas.WarpWithdrawn(**GROUP, visit=visit, reason="clouds"))
    await bench.update()
    assert (bench.summaries[1].status, sent_in(bench, 2)) == ("incomplete", [])
    bench.jobs()
    await bench.update(arrived(4, version=1), arrived(5, version=1))
    assert bench.summaries[-1].status == "complete"
    newest = {one.visit: one.model_id for one in bench.models}
    assert {one.visit: one.model_id for one in bench.summaries[-1].members} == newest
    assert sorted(bench.jobs()) == [job("measure", 4), job("measure", 5)]


async def test_what_was_sent_is_part_of_the_same_transaction(bench: Bench) -> None:
    """The state that remembers a model is written with the model, or not at all."""
    written: list[set[str]] = []
    bench.log.after = lambda records: written.append({r.topic for r in records})
    before = bench.owner.state.groups[KEY].members[3].sent
    await bench.update(arrived(6))
    topics = bench.log.topics
    (publish,) = [one for one in written if topics.models in one]
    assert publish == {topics.models, topics.groups, topics.metrics, topics.state}
    members = bench.owner.state.groups[KEY].members
    assert members[3].sent == before
    assert members[6].sent is not None
    assert members[6].sent.model_id == bench.models[-1].model_id
