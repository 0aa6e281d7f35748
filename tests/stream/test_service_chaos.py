"""What holds of a service whatever happens to it: seeded storms, judged by their log alone."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import schemas
from core import groups
from tests.stream.audit.damage import audited
from tests.stream.chaos import POISONED, Lived, Storm, read_back

SEEDS = range(30)
TROUBLES = 12


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed{seed}")
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Live through one storm."""
    path = tmp_path_factory.mktemp("storm") / "log.db"
    return asyncio.run(Storm(path, request.param, TROUBLES).live())


def _history(lived: Lived) -> dict[str, list[schemas.GroupMatched]]:
    found = defaultdict(list)
    for summary in lived.messages(lived.topics.groups):
        found[summary.group.key].append(summary)
    return found


def _letters(lived: Lived, *, sealed: bool) -> dict[tuple[int, int], schemas.DeadLetter]:
    """Return the letters, of seals or of all else, by the place of what they are about."""
    letters = lived.messages(lived.topics.dead_letters)
    found = [one for one in letters if (one.reason == "sealed") == sealed]
    places = {(one.partition, one.offset): one for one in found}
    assert len(places) == len(found)
    return places


def _events(lived: Lived) -> Iterator[tuple[int, Any]]:
    """Yield each event of the input that was taken, with its sender's time, us."""
    refused = _letters(lived, sealed=True)
    for record in lived.records[lived.topics.warps]:
        if not _poisoned(record.headers) and (record.partition, record.offset) not in refused:
            attributes, message = schemas.decode(record.key, record.headers, record.value)
            yield schemas.event_time_us(attributes), message


def _poisoned(headers: tuple[tuple[str, bytes], ...]) -> bool:
    return any(name == POISONED for name, _ in headers)


def test_each_revision_is_published_once_and_without_a_gap(lived: Lived) -> None:
    """The revisions of each group are 1, 2, ... n, in this order, each superseding the last."""
    for summaries in _history(lived).values():
        revisions = [one.revision for one in summaries]
        assert revisions == list(range(1, len(revisions) + 1))
        assert [one.supersedes for one in summaries] == [None, *revisions[:-1]]


def test_a_change_of_reference_is_told(lived: Lived) -> None:
    """A summary says that the reference changed when the one before names another, only then."""
    for first, *later in _history(lived).values():
        assert not first.reference_changed
        for before, after in pairwise([first, *later]):
            assert after.reference_changed == (after.reference != before.reference)


def _wanted(lived: Lived) -> dict[str, dict[int, str]]:
    """Tell by a plain look at the input which warps each group should hold at the end."""
    best: dict[tuple[str, int], tuple[Any, ...]] = {}
    sets: dict[str, tuple[Any, ...]] = {}
    rank: tuple[Any, ...]
    for time, event in _events(lived):
        match event:
            case schemas.WarpArrived():
                digest = schemas.input_digest(event.checksum, event.scale, event.unit, event.sky)
                rank = (event.version, time, False, digest, schemas.pack_state(event))
            case schemas.WarpWithdrawn():
                rank = (event.version, time, True, "", schemas.pack_state(event))
            case schemas.GroupManifest():
                rank = (event.version, event.visits, event.deadline or -1)
                sets[event.group.key] = max(rank, sets.get(event.group.key, rank))
                continue
            case _:
                continue
        place = (event.group.key, event.visit)
        best[place] = max(rank, best.get(place, rank))
    wanted: dict[str, dict[int, str]] = defaultdict(dict)
    for (key, visit), (_, _, withdrawn, digest, _) in best.items():
        if not withdrawn and (key not in sets or visit in sets[key][1]):
            wanted[key][visit] = digest
    return wanted


def test_the_newest_revision_holds_each_accepted_warp(lived: Lived) -> None:
    """When all is quiet, each group's newest summary names the warps that stand, and no other."""
    wanted, models = _wanted(lived), _models(lived)
    history = _history(lived)
    for key in wanted.keys() | history.keys():
        members = history[key][-1].members if key in history else ()
        standing = [one for one in members if one.status != "withdrawn"]
        assert {one.visit for one in standing} == wanted[key].keys(), key
        for one in standing:
            if one.model_id is not None:
                assert models[one.model_id].input_digest == wanted[key][one.visit]


def _models(lived: Lived) -> dict[str, schemas.BackgroundModel]:
    return {model.model_id: model for model in lived.messages(lived.topics.models)}


def test_every_model_that_a_summary_names_is_at_hand(lived: Lived) -> None:
    """Whoever holds the newest model of each visit holds those that the next summary names."""
    sent: dict[tuple[str, int], dict[int, schemas.BackgroundModel]] = defaultdict(dict)
    for one in lived.messages(lived.topics.models):
        sent[one.group.key, one.revision][one.visit] = one
    for key, summaries in _history(lived).items():
        held: dict[int, schemas.BackgroundModel] = {}
        for one in summaries:
            fresh = sent.pop((key, one.revision), {})
            held |= fresh
            named = {member.visit: member for member in one.members if member.model_id is not None}
            assert fresh.keys() <= named.keys()
            for visit, member in named.items():
                model = held[visit]
                assert (member.model_id, member.status) == (model.model_id, model.status)
    assert not sent


def test_no_model_is_sent_twice(lived: Lived) -> None:
    """A model is sent only if it says something else than the last one of its visit."""
    last: dict[tuple[str, int], str] = {}
    for one in lived.messages(lived.topics.models):
        place = (one.group.key, one.visit)
        assert last.get(place) != one.model_id
        last[place] = one.model_id


def test_models_follow_their_summary_at_once(lived: Lived) -> None:
    """The records of one revision stand together: nothing of another is between its models."""
    names = [
        (one.group.key, one.revision, record.partition)
        for record, one in zip(
            lived.records[lived.topics.models], lived.messages(lived.topics.models), strict=True
        )
    ]
    changes = sum(before != after for before, after in pairwise(names))
    assert changes == max(0, len(set(names)) - 1)


def test_there_is_one_metric_a_model_and_a_revision(lived: Lived) -> None:
    """Dashboards count nothing twice and miss nothing."""
    metrics = lived.messages(lived.topics.metrics)
    found = [(one.group.key, one.revision, one.visit, one.status) for one in metrics]
    models = lived.messages(lived.topics.models)
    wanted = [(one.group.key, one.revision, one.visit, one.status) for one in models]
    for key, summaries in _history(lived).items():
        wanted += [(key, one.revision, None, one.status) for one in summaries]
    assert Counter(found) == Counter(wanted)


def test_each_poison_has_one_letter_and_nothing_else_has(lived: Lived) -> None:
    """A record that nothing can be done with is in the dead letters once, with its own bytes."""
    poison = {
        (one.partition, one.offset): (one.key, one.value, one.timestamp)
        for one in lived.records[lived.topics.warps]
        if _poisoned(one.headers)
    }
    letters = _letters(lived, sealed=False)
    assert letters.keys() == poison.keys()
    for place, one in letters.items():
        assert (one.key, one.value, one.timestamp) == poison[place]
    assert not poison.keys() & _letters(lived, sealed=True).keys()


def test_every_partition_ends_at_its_end(lived: Lived) -> None:
    """The position behind the last record was made durable, and nothing is due or changing."""
    ends = Counter[int]()
    for record in lived.records[lived.topics.warps]:
        ends[record.partition] = record.offset + 1
    for partition, position in lived.positions.items():
        assert position.next_offset == ends[partition]
        state = lived.states[partition]
        assert all(group.header.phase is not groups.Phase.DUE for group in state.groups.values())
        assert all(due > state.clock for due in state.timers().values())


def test_what_is_read_back_is_what_was_in_memory(lived: Lived) -> None:
    """The changelog, compacted, tells the state that the last owner had, to the last bit."""
    for partition, restored in asyncio.run(read_back(lived)).items():
        state = lived.states[partition]
        held = {key: one for key, one in state.groups.items() if one != groups.Group()}
        assert restored.state.groups == held
        assert restored.state.clock == state.clock
        assert restored.state.timers() == state.timers()
        assert restored.position == lived.positions[partition]


def _frozen(lived: Lived) -> dict[str, list[tuple[Any, ...]]]:
    """Return what summaries say of what was frozen."""
    return {
        key: [
            (
                one.revision,
                one.kind,
                one.trigger,
                one.completed_at,
                one.expected,
                one.missing,
                [member.visit for member in one.members],
            )
            for one in summaries
        ]
        for key, summaries in _history(lived).items()
    }


def test_the_audit_finds_nothing(lived: Lived) -> None:
    """A log that was written in a storm is honest, by the audit's word too."""
    report = audited(lived.path)
    assert report.ok, report.violations
    assert report.checked["revisions"] == len(lived.records[lived.topics.groups])


def _found(lived: Lived, keys: AbstractSet[str]) -> dict[str, list[tuple[Any, ...]]]:
    """Return what summaries say of what was found out about some groups."""
    return {
        key: [(one.status, one.reference, one.reference_changed, one.members) for one in summaries]
        for key, summaries in _history(lived).items()
        if key in keys
    }


def _superseded(lived: Lived) -> set[str]:
    """Return the groups in which a job was not done because its warp had gone meanwhile."""
    return {
        summary.group.key
        for summary in lived.messages(lived.topics.groups)
        for member in summary.members
        if _was_gone(member)
    }


def _was_gone(member: schemas.MemberSummary) -> bool:
    """Tell whether a warp had gone; where its last model stands, it is its cost that is missing."""
    if member.status == "failed":
        return (member.reason or "").startswith("superseded: ")
    return member.status == "matched" and member.cost is None


def test_the_storm_was_one(lived: Lived) -> None:
    """A storm in which nothing went wrong, or nothing was published, would prove nothing."""
    assert len(lived.troubles) > 0
    assert lived.records[lived.topics.groups]


def test_an_undisturbed_run_of_the_same_log_says_the_same(lived: Lived, tmp_path: Path) -> None:
    """Replay: the log alone decides what is frozen and refused, and with the jobs' outcome all."""
    source = lived.records[lived.topics.warps]
    again = asyncio.run(Storm(tmp_path / "log.db", 0, 0).relive(source))
    assert again.troubles == ()
    assert _frozen(again) == _frozen(lived)
    for sealed in (False, True):
        assert _letters(again, sealed=sealed).keys() == _letters(lived, sealed=sealed).keys()
    alike = _history(lived).keys() - _superseded(lived) - _superseded(again)
    assert _found(again, alike) == _found(lived, alike)
