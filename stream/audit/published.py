"""What was published of a group, held against the state, the fold and itself: laws (a) to (e)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

import schemas
from core import groups
from stream.audit.case import Case, Placed
from stream.audit.facts import Model, Summary
from stream.audit.report import Violation
from stream.log.topics import Topics

__all__ = ["drop_deleted", "judge_metrics", "judge_published"]

_STRADDLE_MS: Final = 60_000
"""Records of one transaction can have stamps so far apart, and one may be gone before another."""


def drop_deleted(case: Case) -> None:
    """Forget what a tombstone deletes, as compaction will."""
    gone = max((i for i, one in enumerate(case.summaries) if not one.said.revision), default=-1)
    case.summaries = case.summaries[gone + 1 :]
    last: dict[int, int] = {}
    for number, one in enumerate(case.models):
        if not one.said.revision:
            last[one.said.visit] = number
    case.models = [
        one for number, one in enumerate(case.models) if number > last.get(one.said.visit, -1)
    ]


def judge_published(case: Case) -> Iterator[Violation]:
    """Yield what is wrong with what was published, as far as it and the state tell."""
    yield from _once(case)
    yield from _doubled_models(case)
    yield from _missing_revisions(case)
    yield from _names(case)
    yield from _unnamed_models(case)
    yield from _missing_models(case)
    yield from _left_out(case)


def _say(case: Case, kind: str, what: str, one: Placed[Summary] | Placed[Model]) -> Violation:
    visit = one.said.visit if isinstance(one.said, Model) else None
    return Violation(kind, what, case.key, one.said.revision, visit, one.place)


def _once(case: Case) -> Iterator[Violation]:
    seen: dict[int, Placed[Summary]] = {}
    for one in case.summaries:
        revision = one.said.revision
        if revision > case.newest:
            what = f"there is a summary, and the state knows {case.newest} as the newest published"
            yield _say(case, "revision_not_published", what, one)
        if revision in seen:
            what = f"the summary stands at {seen[revision].place} already"
            yield _say(case, "revision_doubled", what, one)
        seen[revision] = one


def _doubled_models(case: Case) -> Iterator[Violation]:
    seen: dict[tuple[int, int], Placed[Model]] = {}
    for one in case.models:
        name = (one.said.visit, one.said.revision)
        if one.said.revision > case.newest:
            what = f"there is a model, and the state knows {case.newest} as the newest published"
            yield _say(case, "revision_not_published", what, one)
        if name in seen:
            yield _say(case, "model_doubled", f"it stands at {seen[name].place} already", one)
        seen[name] = one


def _missing_revisions(case: Case) -> Iterator[Violation]:
    """Compaction leaves the newest summary and any number of those before it, without a gap."""
    held = {one.said.revision for one in case.summaries}
    first = 1 if case.gapless else min(held | {case.settled})
    for revision in range(max(1, first), case.settled + 1):
        if revision not in held:
            what = f"the state has {case.settled} revisions as published, and no summary of this"
            yield Violation("revision_missing", what, case.key, revision)


def _names(case: Case) -> Iterator[Violation]:
    for one in case.models:
        if one.said.recomputed != one.said.model_id:
            what = f"it calls itself {one.said.model_id[:12]}, its bytes {one.said.recomputed[:12]}"
            yield _say(case, "model_id_wrong", what, one)


def _unnamed_models(case: Case) -> Iterator[Violation]:
    named = {
        (one.said.revision, member.visit): member.model_id
        for one in case.summaries
        for member in one.said.members
    }
    held = {one.said.revision for one in case.summaries}
    for one in case.models:
        told = named.get((one.said.revision, one.said.visit))
        if one.said.revision in held and told != one.said.model_id:
            what = f"the summary of its revision names {told and told[:12]} for this visit"
            yield _say(case, "model_not_named", what, one)


def _missing_models(case: Case) -> Iterator[Violation]:
    """Yield models that a summary names, that are not there, and whose place no later one took."""
    held: dict[int, dict[str, int]] = defaultdict(dict)
    for model in case.models:
        held[model.said.visit][model.said.model_id] = model.said.revision
    for one in case.summaries:
        if one.said.revision > case.settled:
            continue
        for member in one.said.members:
            ours = held[member.visit]
            newer = not case.gapless and max(ours.values(), default=0) > one.said.revision
            if member.model_id is not None and member.model_id not in ours and not newer:
                what = f"the summary names {member.model_id[:12]}, which is not there"
                yield Violation(
                    "model_missing", what, case.key, one.said.revision, member.visit, one.place
                )


def _left_out(case: Case) -> Iterator[Violation]:
    """Yield members that a group at rest has and its newest revision has not."""
    group = case.before
    if group is None or not _rests(group):
        return
    newest = [one for one in case.summaries if one.said.revision == case.settled]
    if not newest or newest[0].said.status == "incomplete":
        return
    told = {m.visit: m.model_id for m in newest[0].said.members if m.status != "withdrawn"}
    digests = {one.said.model_id: one.said.input_digest for one in case.models}
    for visit, member in group.members.items():
        if member.withdrawn or not _expected(group, visit):
            continue
        place = case.places.get(schemas.member_key(case.key, visit))
        if visit not in told:
            what = "the state has it as a member, and the newest summary does not name it"
            yield Violation("member_not_published", what, case.key, case.settled, visit, place)
        elif digests.get(told[visit] or "", member.digest) != member.digest:
            what = f"the state has the version {member.digest[:12]}, the model is of another"
            yield Violation("member_stale", what, case.key, case.settled, visit, place)


def _rests(group: groups.Group) -> bool:
    """Tell whether nothing is due or changing."""
    header = group.header
    return (
        header.published == header.frozen > 0
        and header.opened_at is None
        and header.changed == 0
        and not header.forgotten
    )


def _expected(group: groups.Group, visit: int) -> bool:
    return group.expected is None or visit in group.expected.visits


def judge_metrics(case: Case, topics: Topics) -> Iterator[Violation]:
    """Yield metrics that are missing, doubled, or about nothing."""
    found = Counter((one.said.revision, one.said.visit) for one in case.metrics)
    yield from _surplus_metrics(case, found)
    horizon = case.line.horizon(topics.metrics) + _STRADDLE_MS
    published: list[tuple[tuple[int, int | None], Placed[Model] | Placed[Summary]]] = [
        *(((one.said.revision, one.said.visit), one) for one in case.models),
        *(((one.said.revision, None), one) for one in case.summaries),
    ]
    for name, one in dict(published).items():
        if name[0] <= case.settled and one.timestamp > horizon and not found[name]:
            what = "it was published without its metric"
            yield Violation("metric_missing", what, case.key, *name, one.place)


def _surplus_metrics(case: Case, found: Counter[tuple[int, int | None]]) -> Iterator[Violation]:
    models = defaultdict(set)
    for model in case.models:
        models[model.said.visit].add(model.said.revision)
    told = {one.said.revision for one in case.summaries}
    seen = set()
    for one in case.metrics:
        name = revision, visit = one.said.revision, one.said.visit
        if name in seen:
            what = f"there are {found[name]} of it"
            yield Violation("metric_doubled", what, case.key, revision, visit, one.place)
            continue
        seen.add(name)
        held = told if visit is None else models[visit]
        gone = not case.gapless and bool(held) and _compacted(held, revision, visit)
        foreign = revision not in held and not gone and revision <= case.settled
        if foreign or revision > case.newest:
            what = "nothing was published that it is about"
            yield Violation("metric_foreign", what, case.key, revision, visit, one.place)


def _compacted(held: set[int], revision: int, visit: int | None) -> bool:
    """Tell whether compaction may have taken what a metric is about: a later one is there."""
    return revision < (min(held) if visit is None else max(held))
