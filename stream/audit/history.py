"""The state and the revisions held against the fold of the input: laws (d) and (f)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import fields

import schemas
from core import groups
from stream.audit.case import Case, Placed
from stream.audit.facts import Model, Summary
from stream.audit.fold import Fold
from stream.audit.report import Place, Violation

__all__ = ["judge_digests", "judge_revisions", "judge_state"]

_OF_JOBS: Final = frozenset({"published", "reference", "reference_digest"})
"""Fields of a header that publishing sets."""

_OF_POLICY: Final = frozenset(
    {
        *("opened_at", "first_change", "last_change", "changed", "frozen", "size", "named"),
        *("sealed_at", "settled_at", "forgotten"),
    }
)
"""Fields of a header that hang on the settings too."""


def judge_state(case: Case, fold: Fold) -> Iterator[Violation]:
    """Yield where the state is not what the input makes of it, as far as it alone decides."""
    if case.before is None:
        return
    made = fold.now
    yield from _members(case, case.before, made)
    if case.before.expected != made.expected:
        place = case.places.get(schemas.expected_key(case.key))
        yield _differs(case, place, "the expected set", case.before.expected, made.expected)
    yield from _header(case, case.before.header, made.header)
    yield from _frozen(case, case.before, fold)


def _differs(case: Case, place: Place | None, what: str, found: object, made: object) -> Violation:
    kind = (
        "state_missing" if found is None else "state_foreign" if made is None else "state_differs"
    )
    return Violation(kind, f"{what} of the state is not that of the input", case.key, place=place)


def _members(case: Case, found: groups.Group, made: groups.Group) -> Iterator[Violation]:
    for visit in sorted(found.members.keys() | made.members.keys()):
        ours, theirs = found.members.get(visit), made.members.get(visit)
        place = case.places.get(schemas.member_key(case.key, visit))
        if ours is None or theirs is None:
            kind = "state_missing" if ours is None else "state_foreign"
            where = "input" if ours is None else "state"
            what = f"only the {where} has this member"
        elif _said(case, ours) != _said(case, theirs):
            kind = "state_differs"
            what = f"the state has {_shown(ours)}, the input makes it {_shown(theirs)}"
        elif ours.frozen != theirs.frozen:
            kind, what = "history_differs", "another version of it was frozen than the input says"
        else:
            continue
        yield Violation(kind, what, case.key, None, visit, place)


def _said(case: Case, member: groups.Member) -> tuple[object, ...]:
    """Return what the input decides of a member."""
    event: type[schemas.WarpArrived | schemas.WarpWithdrawn]
    event = schemas.WarpWithdrawn if member.withdrawn else schemas.WarpArrived
    group = schemas.GroupId.parse(case.key)
    payload = schemas.unpack_payload(member.payload, event, group)  # bytes change with releases
    rank = (member.version, member.event_time, member.digest, member.withdrawn, member.at)
    return (*rank, payload, member.suspicion)


def _shown(member: groups.Member) -> str:
    kind = "withdrawn" if member.withdrawn else member.digest[:12]
    return f"version {member.version} ({kind})"


def _header(case: Case, found: groups.Header, made: groups.Header) -> Iterator[Violation]:
    names = [
        one.name for one in fields(found) if getattr(found, one.name) != getattr(made, one.name)
    ]
    names = [name for name in names if name not in _OF_JOBS]
    if found.settled_at is None and "settled_at" in names:
        names.remove("settled_at")  # which format 1 of the state could not remember
    if not names:
        return
    kind = "history_differs" if _OF_POLICY.issuperset(names) else "state_differs"
    if found == groups.Header():
        kind = "state_missing"
    told = ", ".join(f"{n} {getattr(found, n)} (input: {getattr(made, n)})" for n in names[:4])
    place = case.places.get(schemas.header_key(case.key))
    yield Violation(kind, f"the header has {told}", case.key, place=place)


def _frozen(case: Case, found: groups.Group, fold: Fold) -> Iterator[Violation]:
    header = found.header
    due = range(header.published + 1, header.frozen + 1)
    for revision in sorted(found.frozen.keys() | set(due)):
        ours, theirs = found.frozen.get(revision), fold.frozen.get(revision)
        place = case.places.get(schemas.frozen_key(case.key, revision))
        if revision not in due:
            kind, what = "state_foreign", "a frozen set is there that is published already"
        elif ours is None:
            kind, what = "state_missing", "the frozen set is not there, so it is never published"
        elif theirs is None or _content(ours) != _content(theirs):
            kind, what = "history_differs", "the frozen set is another than the input says"
        else:
            continue
        yield Violation(kind, what, case.key, revision, place=place)


def _content(frozen: groups.Frozen) -> tuple[object, ...]:
    named = [one.name for one in fields(frozen) if one.name not in ("members", "fresh")]
    members = tuple((one.visit, one.digest) for one in frozen.members)
    return (*(getattr(frozen, name) for name in named), members)


def judge_digests(case: Case) -> Iterator[Violation]:
    """Yield members of the state whose digest is not that of what they carry."""
    try:
        group = schemas.GroupId.parse(case.key)
    except schemas.SchemaError:
        return  # no group can have this key, so what the state has under it is foreign
    for visit, member in ({} if case.before is None else case.before.members).items():
        if member.withdrawn:
            continue
        said = schemas.unpack_payload(member.payload, schemas.WarpArrived, group)
        digest = schemas.input_digest(said.checksum, said.scale, said.unit, said.sky)
        if digest != member.digest:
            what = f"the state says {member.digest[:12]}, its announcement gives {digest[:12]}"
            place = case.places.get(schemas.member_key(case.key, visit))
            yield Violation("digest_wrong", what, case.key, None, visit, place)


def judge_revisions(case: Case, fold: Fold) -> Iterator[Violation]:
    """Yield where revisions, and the models that were sent in them, are not the fold's."""
    visits = frozenset(fold.digests)
    if not visits and not fold.frozen and (case.summaries or case.models):
        first = min([*(o.place for o in case.summaries), *(o.place for o in case.models)])
        yield Violation("group_foreign", "the input has no event for it", case.key, place=first)
        return
    for one in case.summaries:
        frozen = fold.frozen.get(one.said.revision)
        if frozen is None:
            what = "the input freezes no such revision"
            yield Violation("history_differs", what, case.key, one.said.revision, None, one.place)
        else:
            yield from _summary(case, one, frozen, visits)
    for model in case.models:
        frozen = fold.frozen.get(model.said.revision)
        if model.said.visit not in visits:
            what = "a model is there, and the input has no event for the visit"
            yield Violation(
                "member_foreign", what, case.key, model.said.revision, model.said.visit, model.place
            )
        elif frozen is not None:
            yield from _model(case, model, frozen, fold)


def _summary(
    case: Case, one: Placed[Summary], frozen: groups.Frozen, visits: frozenset[int]
) -> Iterator[Violation]:
    said = one.said
    names = [name for name, found, made in _told(said, frozen) if found != made]
    if names:
        what = f"the summary has another {', '.join(names)} than the input says"
        yield Violation("history_differs", what, case.key, said.revision, None, one.place)
    wanted = {m.visit for m in frozen.members}
    if not frozen.incomplete:
        wanted |= set(frozen.withdrawn)
    named = {m.visit for m in said.members}
    for visit in sorted(wanted - named):
        what = "it was frozen into the revision, and the summary does not name it"
        yield Violation("member_not_published", what, case.key, said.revision, visit, one.place)
    for visit in sorted(named - wanted):
        kind = "history_differs" if visit in visits else "member_foreign"
        what = "the summary names it, and it was not frozen into the revision"
        yield Violation(kind, what, case.key, said.revision, visit, one.place)


def _told(said: Summary, frozen: groups.Frozen) -> Iterator[tuple[str, object, object]]:
    yield "trigger", said.trigger, str(frozen.trigger)
    yield "kind", said.kind, str(frozen.kind)
    yield "completeness", said.completeness, frozen.completeness
    yield "expected number", said.expected, frozen.expected
    yield "set of missing visits", said.missing, frozen.missing
    yield "time of freezing", said.completed_at, frozen.at


def _model(
    case: Case, one: Placed[Model], frozen: groups.Frozen, fold: Fold
) -> Iterator[Violation]:
    said = one.said
    digests = {member.visit: member.digest for member in frozen.members}
    told = [("input", said.visit, said.input_digest)]
    if said.reference is not None:
        told.append(("reference", said.reference, said.reference_digest))
    for name, visit, digest in told:
        if digest != digests.get(visit):
            frozen_as = _short(digests.get(visit))
            what = f"its {name} digest is {_short(digest)}, and {frozen_as} was frozen"
            announced = digest in fold.digests.get(visit, ())
            kind = "history_differs" if announced else "digest_wrong"
            yield Violation(kind, what, case.key, said.revision, said.visit, one.place)


def _short(digest: str | None) -> str:
    return "none" if digest is None else digest[:12]
