"""Judging one group after another, each with the records of the input that are about it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import schemas
from core import groups
from stream.audit.case import Case
from stream.audit.facts import Letter, Role, Row
from stream.audit.fold import Fold
from stream.audit.history import judge_digests, judge_revisions, judge_state
from stream.audit.published import drop_deleted, judge_metrics, judge_published
from stream.audit.reading import Line
from stream.audit.report import Findings, Place, Violation
from stream.audit.terms import Terms
from stream.log.topics import Topics

__all__ = ["Judge"]


@dataclass(slots=True)
class Judge:
    """Judges the groups of one reading.

    Attributes
    ----------
    lines : dict of int to Line
    terms : Terms
    findings : Findings
    """

    lines: dict[int, Line]
    terms: Terms
    findings: Findings
    _folds: dict[int, Fold] = field(default_factory=dict)

    @property
    def topics(self) -> Topics:
        """Names of the topics."""
        return self.terms.topics

    def judge(self, case: Case) -> None:
        """Judge a group; its rows are used up."""
        self._folds = {}
        whole = self._whole(case)
        self._count(case, whole=whole)
        self._hold(self._strays(case))
        drop_deleted(case)
        compared = self._judge_input(case, whole=whole)
        home = self._fold(case, case.home)
        if not compared:
            self._compare(case, home, whole=whole)
        home.advance_to(case.line.after)
        if case.before is None or case.after is None:
            self._refuse_state(case)
            return
        self._hold(judge_published(case))
        self._hold(judge_metrics(case, self.topics))
        self._hold(judge_digests(case))
        if whole and case.known:
            self._hold(judge_revisions(case, home))

    def _hold(self, found: Iterator[Violation]) -> None:
        for violation in found:
            self.findings.add(violation)

    def _refuse_state(self, case: Case) -> None:
        place = next(iter(case.places.values()), None)
        what = "the state of the group cannot be read back"
        self.findings.add(Violation("state_unreadable", what, case.key, place=place))

    def _strays(self, case: Case) -> Iterator[Violation]:
        for place in case.strays:
            yield Violation("misplaced", f"it belongs to {case.home}", case.key, place=place)

    def _count(self, case: Case, *, whole: bool) -> None:
        checked = self.findings.checked
        if not case.known:
            return
        checked["groups"] += 1
        checked["revisions"] += len(case.summaries)
        checked["members"] += 0 if case.before is None else len(case.before.members)
        checked["models"] += len(case.models)
        checked["metrics"] += len(case.metrics)
        if not whole:
            self.findings.exempt["groups"] += 1

    # -- how far back the input goes ---------------------------------------------------------------

    def _whole(self, case: Case) -> bool:
        """Tell whether the input still holds the group's first record.

        So it is if nothing was deleted. Else the group must be known to have begun later than the
        first record that is held: by the metric of its first revision, or, before that, by its
        header; and no member may be older.
        """
        horizon, began = case.line.horizon(self.topics.warps), _began(case)
        if math.isinf(horizon) or began is None:
            return horizon < 0
        members = () if case.before is None else case.before.members.values()
        return began > horizon and all(member.at > horizon for member in members)

    # -- the input and its dead letters ------------------------------------------------------------

    def _fold(self, case: Case, partition: int) -> Fold:
        if partition not in self._folds:
            position = self.lines[partition].after.position
            gone = case.before is not None and case.before.header.forgotten
            self._folds[partition] = Fold(
                case.key, self.terms.policy_for, position, self.topics.warps, partition, gone
            )
        return self._folds[partition]

    def _judge_input(self, case: Case, *, whole: bool) -> bool:
        """Fold the input; tell whether the state was compared on the way."""
        compared = False
        for (partition, offset), rows in groupby(case.rest, key=_place):
            line, fold = self.lines[partition], self._fold(case, partition)
            at_home = partition == case.home
            if at_home and not compared and offset >= line.before.position.next_offset:
                self._compare(case, fold, whole=whole)
                compared = True
            letters, record = _apart(rows)
            self.findings.checked["dead letters"] += len(letters)
            self._hold(_doubled(case, letters, self.topics))
            if record is None or offset >= line.after.position.next_offset:
                self._hold(self._without_record(case, letters, record, partition, offset))
                continue
            dead = fold.take(record, letters, whole=whole)
            self.findings.checked["events"] += 1
            self._hold(self._letter(case, letters, record, dead))
        return compared

    def _compare(self, case: Case, fold: Fold, *, whole: bool) -> None:
        fold.advance_to(case.line.before)
        if whole and (case.known or fold.now != groups.Group()):
            self._hold(judge_state(case, fold))

    def _without_record(
        self, case: Case, letters: list[Letter], record: Row | None, partition: int, offset: int
    ) -> Iterator[Violation]:
        """Look at letters about records that are not there, or that nobody has read."""
        if record is None and offset < self.lines[partition].begins[self.topics.warps]:
            self.findings.exempt["dead letters"] += len(letters)
            return
        why = "no such record" if record is None else "the state has not read so far"
        for letter in letters[:1]:
            what = f"it is about {self.topics.warps} [{partition}] {offset}: {why}"
            yield Violation("letter_foreign", what, case.key, place=self._at(letter))

    def _letter(
        self, case: Case, letters: list[Letter], record: Row, dead: schemas.DeadReason | None
    ) -> Iterator[Violation]:
        about = Place(self.topics.warps, record.partition, record.offset)
        if dead is None:
            for letter in letters[:1]:
                what = f"it is about {about}, which is good ({letter.reason}, it says)"
                yield Violation("letter_foreign", what, case.key, place=self._at(letter))
        elif not letters and self._should_be_there(record):
            what = f"the record cannot be used ({dead}), and has no dead letter"
            yield Violation("letter_missing", what, case.key, place=about)

    def _should_be_there(self, record: Row) -> bool:
        """Tell whether the letter of a dead record must be seen: read by the first state, held."""
        line, topic = self.lines[record.partition], self.topics.dead_letters
        read = record.offset < line.before.position.next_offset
        return read and record.timestamp > line.horizon(topic)

    def _at(self, letter: Letter) -> Place:
        return Place(self.topics.dead_letters, letter.partition, letter.offset)


def _began(case: Case) -> int | None:
    """Tell when the group's first event was, ms, if anything does."""
    told = [
        one.said.since
        for one in case.metrics
        if one.said.revision == 1 and one.said.visit is None and one.said.since is not None
    ]
    if told:
        return min(told)
    header = groups.Header() if case.before is None else case.before.header
    return header.opened_at if header.frozen == 0 else None


def _place(row: Row) -> tuple[int, int]:
    return row.partition, row.offset


def _apart(rows: Iterator[Row]) -> tuple[list[Letter], Row | None]:
    """Return the letters about a record, and the record if it is there."""
    letters, record = [], None
    for row in rows:
        if row.role is Role.INPUT:
            record = row
        else:
            letters.append(schemas.unpack_state(row.data, Letter))
    return letters, record


def _doubled(case: Case, letters: list[Letter], topics: Topics) -> Iterator[Violation]:
    for letter in letters[1:]:
        place = Place(topics.dead_letters, letter.partition, letter.offset)
        first = letters[0].offset
        what = f"the letter at {first} is about the same record"
        yield Violation("letter_doubled", what, case.key, place=place)
