"""Whether a log, as any consumer reads it, holds what was promised.

Two judges see every run: `evensky audit`, which is the product's own, and a plain one here, which
shares no code with it and reads nothing but the topics. What either finds is a violation.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

import schemas
import stream.audit
from ops.proof.load import Wanted, wanted
from ops.proof.place import Place, Tail, messages
from stream.audit import Report
from stream.log.seam import Record
from stream.wiring import reader_log

__all__ = ["Judgement", "Progress", "Published", "audit", "judge", "published", "standing"]

_NAMED = 5


@dataclass(frozen=True)
class Judgement:
    """What was found.

    Attributes
    ----------
    figures : mapping of str to int
        Counts of what was read, and of each kind of violation.
    violations : tuple of str
        A sentence for each kind that was found.
    """

    figures: Mapping[str, int]
    violations: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """All that stands in the topics that consumers read, and the input that it came from.

    Attributes
    ----------
    summaries, models, metrics, letters : tuple
        Messages in the order of their topics.
    bytes_of_models : mapping of str to bytes
        The newest of each key.
    events : tuple of (Message, int)
        What of the input could be decoded, with its sender's time, microseconds.
    """

    summaries: tuple[schemas.GroupMatched, ...]
    models: tuple[schemas.BackgroundModel, ...]
    bytes_of_models: Mapping[str, bytes]
    metrics: tuple[schemas.BackgroundMetric, ...] = ()
    letters: tuple[schemas.DeadLetter, ...] = ()
    events: tuple[tuple[schemas.Message, int], ...] = field(default=(), repr=False)

    @cached_property
    def newest(self) -> Mapping[str, schemas.GroupMatched]:
        """The last summary of each group."""
        ordered = sorted(self.summaries, key=lambda one: one.revision)
        return {one.group.key: one for one in ordered}

    def told(self) -> dict[str, list[tuple[object, ...]]]:
        """Return of each group what the log alone decides: revisions, triggers, frozen sets.

        What became of a member is not of it: a job whose warp was replaced meanwhile fails if it
        had not ended by then.
        """
        found: dict[str, list[tuple[object, ...]]] = defaultdict(list)
        for one in self.summaries:
            facts = (getattr(one, name) for name in _DECIDED)
            visits = tuple(member.visit for member in one.members)
            found[one.group.key].append((*facts, visits))
        return dict(found)

    # -- kinds of violations: each yields what it is about -----------------------------------------

    def doubled(self) -> Iterator[object]:
        """Find revisions, models, metrics and dead letters that are there more than once."""
        yield from _doubled((one.group.key, one.revision) for one in self.summaries)
        yield from _doubled((one.group.key, one.revision, one.visit) for one in self.models)
        yield from _doubled((one.group.key, one.revision, one.visit) for one in self.metrics)
        yield from _doubled((one.partition, one.offset) for one in self.letters)

    def gaps(self) -> Iterator[object]:
        """Find groups whose revisions are not 1, 2, ... n, each behind the one before."""
        history: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
        for one in self.summaries:
            history[one.group.key].append((one.revision, one.supersedes))
        for key, found in history.items():
            numbers = range(1, max(one for one, _ in found) + 1)
            if sorted(set(found)) != [(n, n - 1 or None) for n in numbers]:
                yield key, sorted(found, key=lambda one: one[0])

    def torn(self) -> Iterator[object]:
        """Find models that a summary names and that are not there, and models that none names."""
        ids = {(one.group.key, one.visit, one.model_id) for one in self.models}
        revisions = {(one.group.key, one.revision) for one in self.summaries}
        for summary in self.summaries:
            for member in summary.members:
                place = (summary.group.key, member.visit, member.model_id)
                if member.model_id is not None and place not in ids:
                    yield (*place, summary.revision)
        for one in self.models:
            if (one.group.key, one.revision) not in revisions:
                yield one.group.key, one.revision, one.visit

    def unmeasured(self) -> Iterator[object]:
        """Find models and revisions that have no metric, and metrics of neither."""
        found = {(one.group.key, one.revision, one.visit) for one in self.metrics}
        named: set[tuple[str, int, int | None]] = {
            (one.group.key, one.revision, one.visit) for one in self.models
        }
        named |= {(one.group.key, one.revision, None) for one in self.summaries}
        yield from found ^ named

    def lost(self, due: Wanted | None = None) -> Iterator[object]:
        """Find warps that stand and are not in the newest revision, and others that are."""
        for key, members in (wanted(self.events) if due is None else due).items():
            held = standing(self.newest.get(key), self._digests)
            for visit in members.keys() ^ held.keys():
                yield key, visit
            for visit in members.keys() & held.keys():
                if held[visit] not in (None, members[visit]):
                    yield key, visit, "another version"

    @cached_property
    def _digests(self) -> Mapping[str, str | None]:
        return {one.model_id: one.input_digest for one in self.models}

    def foreign(self) -> Iterator[object]:
        """Find groups and visits that were published and never announced."""
        told = {(m.group.key, m.visit) for m, _ in self.events if isinstance(m, _MEMBERS)}
        for one in self.models:
            if (one.group.key, one.visit) not in told:
                yield one.group.key, one.visit


_DECIDED = ("revision", "kind", "trigger", "completed_at", "expected", "missing")
_MEMBERS = (schemas.WarpArrived, schemas.WarpWithdrawn)


def _doubled(found: Iterator[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
    counts = Counter(found)
    return (one for one, count in counts.items() if count > 1)


def published(place: Place) -> Published:
    """Read what a place holds; of models all but the arrays, which would not fit into memory."""
    newest: dict[str, bytes] = {}
    return Published(
        tuple(messages(place.each("groups"), schemas.GroupMatched)),
        tuple(_light(messages(_noting(place.each("models"), newest), schemas.BackgroundModel))),
        newest,
        tuple(messages(place.each("metrics"), schemas.BackgroundMetric)),
        tuple(messages(place.each("dead_letters"), schemas.DeadLetter)),
        tuple(_events(place.each("warps"))),
    )


def _noting(found: Iterable[Record], newest: dict[str, bytes]) -> Iterator[Record]:
    for record in found:
        newest[(record.key or b"").decode()] = record.value or b""
        yield record


def _light(models: Iterable[schemas.BackgroundModel]) -> Iterator[schemas.BackgroundModel]:
    for one in models:
        msgspec.structs.force_setattr(one, "model", None)
        yield one


def _events(found: Iterable[Record]) -> Iterator[tuple[schemas.Message, int]]:
    for record in found:
        try:
            attributes, message = schemas.decode(record.key, record.headers, record.value)
        except schemas.SchemaError:
            continue
        yield message, schemas.event_time_us(attributes)


def judge(place: Place, *, settled: bool = True) -> Judgement:
    """Read a log and judge it.

    Parameters
    ----------
    place : Place
    settled : bool
        Whether nothing is due or changing any more, so that every warp must be published.
    """
    found = published(place)
    kinds = {
        "doubled": list(found.doubled()),
        "gaps": list(found.gaps()),
        "torn": list(found.torn()),
        "without metric": list(found.unmeasured()),
        "foreign": list(found.foreign()),
        "lost": list(found.lost()) if settled else [],
    }
    figures = {
        "events": len(found.events),
        "revisions": len(found.summaries),
        "models": len(found.models),
        "dead letters": len(found.letters),
        **{kind: len(cases) for kind, cases in kinds.items()},
    }
    told = [f"{len(cases)} {kind}: {cases[:_NAMED]}" for kind, cases in kinds.items() if cases]
    report = audit(place)
    figures["audit"] = report.counts.total()
    return Judgement(figures, (*told, *_told(report)))


def audit(place: Place) -> Report:
    """Audit a place as `evensky audit` does, with its service's settings."""
    return asyncio.run(_audited(place))


def _told(report: Report) -> list[str]:
    counts = ", ".join(f"{count} {kind}" for kind, count in report.counts.items() if count)
    named = [str(one) for one in report.violations[:_NAMED]]
    return [] if report.ok else [f"audit: {counts}: {named}"]


async def _audited(place: Place) -> Report:
    settings = place.service_settings
    log = reader_log(settings)
    try:
        await log.start()
        return await stream.audit.audit(log, stream.audit.Terms.of(settings))
    finally:
        await log.close()


class Progress:
    """How much of what is wanted has been published, looked at again and again.

    Parameters
    ----------
    place : Place
    due : Wanted
        What the newest revisions must hold.

    Attributes
    ----------
    left : int
        How many groups the last look found wanting.
    """

    def __init__(self, place: Place, due: Wanted) -> None:
        self._summaries, self._models = Tail(place, "groups"), Tail(place, "models")
        self._due = due
        self._newest: dict[str, schemas.GroupMatched] = {}
        self._digests: dict[str, str | None] = {}
        self.left = len(due)

    def look(self) -> int:
        """Return how many groups are not yet as they must be."""
        for one in messages(self._summaries.more(), schemas.GroupMatched):
            before = self._newest.setdefault(one.group.key, one)
            if one.revision > before.revision:
                self._newest[one.group.key] = one
        for model in messages(self._models.more(), schemas.BackgroundModel):
            self._digests[model.model_id] = model.input_digest
        self.left = sum(not self._whole(key) for key in self._due)
        return self.left

    def _whole(self, key: str) -> bool:
        held, due = standing(self._newest.get(key), self._digests), self._due[key]
        return held.keys() == due.keys() and all(held[v] in (None, due[v]) for v in due)

    def done(self) -> bool:
        """Tell whether all is published."""
        return self.look() == 0


def standing(
    summary: schemas.GroupMatched | None, digests: Mapping[str, str | None]
) -> dict[int, str | None]:
    """Return the visits that stand in a revision, each with its input digest if it has a model.

    Parameters
    ----------
    summary : GroupMatched or None
    digests : mapping of str to str
        Input digests by model_id.
    """
    members = () if summary is None else summary.members
    return {
        one.visit: None if one.model_id is None else digests.get(one.model_id, "unseen")
        for one in members
        if one.status != "withdrawn"
    }
