"""Whatever is lost, doubled, altered or foreign in a log is found, and named by its place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest

import schemas
from core import groups
from core.groups.changed import replace as changed
from stream.audit import KINDS, Law
from stream.log.seam import Outgoing, Record
from tests.stream.audit.damage import (
    FAST_TERMS,
    TOPICS,
    Planted,
    audited,
    message_of,
    remade,
    state_of,
)

_LONG: Final = 3
"""Members that a group must have for damage that leaves some of them."""


def _group(record: Record) -> str:
    key: str = message_of(record).group.key
    return key


def _revisions(log: Planted) -> dict[str, list[Record]]:
    found = defaultdict(list)
    for one in log.records(TOPICS.groups):
        found[_group(one)].append(one)
    return found


def _newest(log: Planted, least: int = _LONG) -> Record:
    """Return the newest summary of a group with some models."""
    found = [some[-1] for some in _revisions(log).values()]
    return next(one for one in found if _named(one) >= least)


def _named(summary: Record) -> int:
    return sum(one.model_id is not None for one in message_of(summary).members)


def _models(log: Planted, summary: Record) -> list[Record]:
    """Return the models that a summary names."""
    names = {one.model_id for one in message_of(summary).members}
    found = {one.key: one for one in log.records(TOPICS.models)}
    return [one for one in found.values() if message_of(one).model_id in names]


def _remove_models(log: Planted, models: list[Record]) -> None:
    """Remove models, in all revisions that sent them."""
    names = {message_of(one).model_id for one in models}
    log.remove(*(r for r in log.records(TOPICS.models) if message_of(r).model_id in names))


def _metrics(log: Planted, scope: str) -> Record:
    return next(one for one in log.records(TOPICS.metrics) if message_of(one).scope == scope)


def _member(log: Planted) -> Record:
    """Return the state record of a member that stands."""
    return next(
        one
        for one in log.state("M")
        if not schemas.unpack_state(one.value or b"", groups.Member).withdrawn
    )


def _state_group(record: Record) -> str:
    return schemas.parse_state_key(record.key or b"").group


# -- what is done to a log: each function returns the group that it is done to ---------------------


def _model_removed(log: Planted) -> str:
    model = _models(log, _newest(log))[0]
    _remove_models(log, [model])
    return _group(model)


def _model_doubled(log: Planted) -> str:
    model = _models(log, _newest(log))[0]
    log.add(model)
    return _group(model)


def _model_altered(log: Planted) -> str:
    model = _models(log, _newest(log))[1]
    log.alter(model, remade(model, flags=("mixed_sky", "planted")).value)
    return _group(model)


def _model_of_other_bytes(log: Planted) -> str:
    model = _models(log, _newest(log))[1]
    said = msgspec.structs.replace(message_of(model), flags=("planted",))
    log.alter(model, remade(model, flags=("planted",), model_id=schemas.model_id(said)).value)
    return _group(model)


def _model_of_other_input(log: Planted) -> str:
    model = _models(log, _newest(log))[1]
    said = msgspec.structs.replace(message_of(model), input_digest="a" * 64)
    named = schemas.model_id(said)
    log.alter(model, remade(model, input_digest="a" * 64, model_id=named).value)
    return _group(model)


def _model_unreadable(log: Planted) -> None:
    model = _models(log, _newest(log))[0]
    log.add(replace(model, value=b"\xc1"))


def _model_torn(log: Planted) -> str:
    summary = _newest(log)
    models = _models(log, summary)
    _remove_models(log, models[: len(models) // 2])
    return _group(summary)


def _model_deleted_by_tombstone(log: Planted) -> str:
    model = _models(log, _newest(log))[0]
    log.add(replace(model, value=None, headers=()))
    return _group(model)


def _model_of_nobody(log: Planted) -> str:
    model = _models(log, _newest(log))[1]
    foreign = remade(model, visit=99)
    log.add(foreign)
    return _group(model)


def _model_of_a_foreign_group(log: Planted) -> str:
    model = remade(_models(log, _newest(log))[1], patch=77)
    home = schemas.partition_of(_group(model).encode(), 3)
    log.add(replace(model, partition=home))
    return _group(model)


def _model_in_another_partition(log: Planted) -> str:
    model = _models(log, _newest(log))[0]
    log.add(replace(model, partition=(model.partition + 1) % 3))
    return _group(model)


def _summary_removed(log: Planted, place: int) -> str:
    some = next(some for some in _revisions(log).values() if len(some) >= _LONG)
    log.remove(some[place])
    return _group(some[place])


def _summary_doubled(log: Planted) -> str:
    summary = _newest(log)
    log.add(summary)
    return _group(summary)


def _summary_of_the_future(log: Planted) -> str:
    summary = _newest(log)
    revision = message_of(summary).revision
    log.add(remade(summary, revision=revision + 1, supersedes=revision))
    return _group(summary)


def _summary_with_a_stranger(log: Planted) -> str:
    summary = _newest(log)
    stranger = schemas.MemberSummary(visit=99, status="matched", model_id="b" * 64)
    log.alter(summary, remade(summary, members=(*message_of(summary).members, stranger)).value)
    return _group(summary)


def _summary_without_a_member(log: Planted) -> str:
    summary = _newest(log)
    said = message_of(summary)
    kept = tuple(
        one
        for one in said.members
        if one.visit == said.reference or one.status not in {"matched", "failed"}
    )
    assert len(kept) < len(said.members)
    log.alter(summary, remade(summary, members=kept).value)
    return _group(summary)


def _summary_with_a_former_model(log: Planted) -> str:
    """Let the newest summary of a group name the model of a version that was replaced."""
    summary = _newest(log)
    group, said = _group(summary), message_of(summary)
    digests = {m.visit: m.digest for m in _members(log, group)}
    model = next(
        one
        for one in map(message_of, log.records(TOPICS.models))
        if one.group.key == group and one.input_digest != digests[one.visit]
    )
    members = tuple(
        msgspec.structs.replace(one, model_id=model.model_id) if one.visit == model.visit else one
        for one in said.members
    )
    log.alter(summary, remade(summary, members=members).value)
    return group


def _members(log: Planted, group: str) -> list[groups.Member]:
    found = [one for one in log.state("M") if _state_group(one) == group]
    return [schemas.unpack_state(one.value or b"", groups.Member) for one in found]


def _summary_with_another_trigger(log: Planted) -> str:
    summary = _newest(log)
    other = "deadline" if message_of(summary).trigger != "deadline" else "count"
    log.alter(summary, remade(summary, trigger=other).value)
    return _group(summary)


def _metric_removed(log: Planted, scope: str) -> str:
    metric = _metrics(log, scope)
    log.remove(metric)
    return _group(metric)


def _metric_doubled(log: Planted) -> str:
    metric = _metrics(log, "warp")
    log.add(metric)
    return _group(metric)


def _metric_of_nothing(log: Planted) -> str:
    metric = remade(_metrics(log, "warp"), visit=99)
    log.add(metric)
    return _group(metric)


def _letter_removed(log: Planted) -> None:
    log.remove(log.records(TOPICS.dead_letters)[1])


def _letter_doubled(log: Planted) -> None:
    log.add(log.records(TOPICS.dead_letters)[1])


def _letter_for(log: Planted, record: Record) -> None:
    letter = log.records(TOPICS.dead_letters)[0]
    said = message_of(letter)
    changes: dict[str, Any] = {"partition": record.partition, "offset": record.offset}
    made = remade(letter, **changes, key=record.key, value=said.value)
    log.add(replace(made, partition=record.partition))


def _letter_for_a_good_record(log: Planted) -> None:
    dead = {
        (said.partition, said.offset) for said in map(message_of, log.records(TOPICS.dead_letters))
    }
    good = next(r for r in log.records(TOPICS.warps) if (r.partition, r.offset) not in dead)
    _letter_for(log, good)


def _letter_for_no_record(log: Planted) -> None:
    _letter_for(log, replace(log.records(TOPICS.warps)[-1], offset=10_000))


def _letter_about_another_topic(log: Planted) -> None:
    letter = log.records(TOPICS.dead_letters)[0]
    log.add(remade(letter, topic="another.warps"))


def _state_removed(log: Planted, letter: str) -> str:
    record = _member(log) if letter == "M" else log.state(letter)[0]
    log.remove_key(record)
    return _state_group(record)


def _member_altered(log: Planted) -> str:
    record = _member(log)
    log.alter(record, state_of(record, groups.Member, lambda m: changed(m, version=m.version + 1)))
    return _state_group(record)


def _member_with_another_digest(log: Planted) -> str:
    record = _member(log)
    log.alter(record, state_of(record, groups.Member, lambda m: changed(m, digest="c" * 64)))
    return _state_group(record)


def _member_of_nobody(log: Planted) -> str:
    record = _member(log)
    group = _state_group(record)
    value = state_of(record, groups.Member, lambda m: changed(m, visit=99))
    log.add(replace(record, key=schemas.member_key(group, 99), value=value))
    return group


def _header_altered(log: Planted) -> str:
    record = log.state("G")[0]
    log.alter(record, state_of(record, groups.Header, lambda h: changed(h, heard=h.heard + 1)))
    return _state_group(record)


def _header_of_other_rules(log: Planted) -> str:
    record = log.state("G")[0]
    log.alter(record, state_of(record, groups.Header, lambda h: changed(h, size=h.size + 1)))
    return _state_group(record)


def _header_ahead(log: Planted) -> str:
    """Count a revision as published that is not."""
    group, some = next((key, some) for key, some in _revisions(log).items() if len(some) >= 1)
    record = next(one for one in log.state("G") if _state_group(one) == group)
    published = message_of(some[-1]).revision + 1
    value = state_of(
        record, groups.Header, lambda h: changed(h, published=published, frozen=published)
    )
    log.alter(record, value)
    return group


def _header_behind(log: Planted) -> str:
    """Forget that a revision was published: it would be published again, if it were there."""
    group, some = next((key, some) for key, some in _revisions(log).items() if len(some) > 1)
    record = next(one for one in log.state("G") if _state_group(one) == group)
    published = message_of(some[-1]).revision - 1
    log.alter(record, state_of(record, groups.Header, lambda h: changed(h, published=published)))
    return group


def _state_unreadable(log: Planted) -> str:
    record = _member(log)
    log.alter(record, b"\xc1")
    return _state_group(record)


def _state_of_a_foreign_kind(log: Planted) -> None:
    log.add(Outgoing(TOPICS.state, 0, b"Z|what", b"value"))


def _state_in_another_partition(log: Planted) -> str:
    record = _member(log)
    log.add(replace(record, partition=(record.partition + 1) % 3))
    return _state_group(record)


def _position_of_another_input(log: Planted) -> None:
    record = log.state("P")[0]
    log.alter(
        record,
        state_of(record, schemas.Position, lambda p: msgspec.structs.replace(p, timestamp=1)),
    )


def _position_beyond_the_end(log: Planted) -> None:
    record = log.state("P")[0]
    log.alter(
        record,
        state_of(record, schemas.Position, lambda p: msgspec.structs.replace(p, next_offset=9999)),
    )


def _input_removed(log: Planted, place: int) -> None:
    """Remove a record of the longest partition."""
    records = log.records(TOPICS.warps)
    longest = max(range(3), key=lambda p: sum(r.partition == p for r in records))
    log.remove([one for one in records if one.partition == longest][place])


DAMAGE: Final[dict[str, tuple[Callable[..., str | None], tuple[Any, ...], str]]] = {
    "a model removed": (_model_removed, (), "model_missing"),
    "a model doubled": (_model_doubled, (), "model_doubled"),
    "a model altered": (_model_altered, (), "model_id_wrong"),
    "a model altered, its name too": (_model_of_other_bytes, (), "model_not_named"),
    "a model of another input": (_model_of_other_input, (), "digest_wrong"),
    "a model unreadable": (_model_unreadable, (), "unreadable"),
    "a revision torn": (_model_torn, (), "model_missing"),
    "a model deleted": (_model_deleted_by_tombstone, (), "model_missing"),
    "a model of nobody": (_model_of_nobody, (), "member_foreign"),
    "a model of a foreign group": (_model_of_a_foreign_group, (), "group_foreign"),
    "a model in another partition": (_model_in_another_partition, (), "misplaced"),
    "the first summary removed": (_summary_removed, (0,), "revision_missing"),
    "a summary removed": (_summary_removed, (1,), "revision_missing"),
    "the last summary removed": (_summary_removed, (-1,), "revision_missing"),
    "a summary doubled": (_summary_doubled, (), "revision_doubled"),
    "a summary of the future": (_summary_of_the_future, (), "revision_not_published"),
    "a summary with a stranger": (_summary_with_a_stranger, (), "member_foreign"),
    "a summary without a member": (_summary_without_a_member, (), "member_not_published"),
    "a summary with a former model": (_summary_with_a_former_model, (), "member_stale"),
    "a summary by another trigger": (_summary_with_another_trigger, (), "history_differs"),
    "a metric of a warp removed": (_metric_removed, ("warp",), "metric_missing"),
    "a metric of a group removed": (_metric_removed, ("group",), "metric_missing"),
    "a metric doubled": (_metric_doubled, (), "metric_doubled"),
    "a metric of nothing": (_metric_of_nothing, (), "metric_foreign"),
    "a letter removed": (_letter_removed, (), "letter_missing"),
    "a letter doubled": (_letter_doubled, (), "letter_doubled"),
    "a letter for a good record": (_letter_for_a_good_record, (), "letter_foreign"),
    "a letter for no record": (_letter_for_no_record, (), "letter_foreign"),
    "a letter of another topic": (_letter_about_another_topic, (), "unreadable"),
    "a member removed from the state": (_state_removed, ("M",), "state_missing"),
    "a header removed from the state": (_state_removed, ("G",), "state_missing"),
    "a set removed from the state": (_state_removed, ("X",), "state_missing"),
    "a position removed from the state": (_state_removed, ("P",), "state_foreign"),
    "a member altered": (_member_altered, (), "state_differs"),
    "a member with another digest": (_member_with_another_digest, (), "digest_wrong"),
    "a member of nobody": (_member_of_nobody, (), "state_foreign"),
    "a header altered": (_header_altered, (), "state_differs"),
    "a header of other rules": (_header_of_other_rules, (), "history_differs"),
    "a header ahead": (_header_ahead, (), "revision_missing"),
    "a header behind": (_header_behind, (), "revision_not_published"),
    "a state record unreadable": (_state_unreadable, (), "state_unreadable"),
    "a state record of a foreign kind": (_state_of_a_foreign_kind, (), "state_unreadable"),
    "a state record elsewhere": (_state_in_another_partition, (), "misplaced"),
    "a position of another input": (_position_of_another_input, (), "position_wrong"),
    "a position beyond the end": (_position_beyond_the_end, (), "state_ahead"),
    "an input record removed": (_input_removed, (2,), "input_missing"),
    "the first input record removed": (_input_removed, (0,), "input_missing"),
    "the last input record removed": (_input_removed, (-1,), "input_missing"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_planted_damage_is_found(planted: Planted, name: str) -> None:
    """Each kind of damage is found by its name, in the group that it was done to and no other."""
    plant, arguments, kind = DAMAGE[name]
    group = plant(planted, *arguments)
    report = audited(planted.path)
    assert kind in report.counts, report.violations
    if group:
        assert {one.group for one in report.violations} == {group}, report.violations


def test_every_kind_can_be_found() -> None:
    """Nothing that the audit can say is never said."""
    elsewhere = {"input_unread"}  # tests/stream/audit/test_horizon.py
    assert {kind for _, _, kind in DAMAGE.values()} | elsewhere == KINDS.keys()
    assert {kind.law for kind in KINDS.values()} == set(Law)


_ELSE: Final[dict[str, str | None]] = {
    "the first summary removed": None,  # as compaction does
    "an input record removed": "history_differs",
    "the first input record removed": "state_differs",
}
"""What else is found of damage where gaps are ordinary."""


@pytest.mark.usefixtures("no_wait")
@pytest.mark.parametrize("name", DAMAGE)
def test_planted_damage_is_found_where_offsets_tell_nothing(planted: Planted, name: str) -> None:
    """On Kafka all is found too, but what compaction may have done or what left no trace."""
    plant, arguments, kind = DAMAGE[name]
    plant(planted, *arguments)
    report = audited(planted.path, replace(FAST_TERMS, gapless=False))
    wanted = _ELSE.get(name, kind)
    assert wanted in report.counts if wanted else report.ok, report.violations
