"""What an audit says: the laws, what can break them, and how much was looked at."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

__all__ = ["KINDS", "Findings", "Horizon", "Kind", "Law", "Place", "Report", "Violation"]


class Law(StrEnum):
    """What an audit holds a log to; the value is the letter by which it is known."""

    WHOLE = "a"
    ONCE = "b"
    NAMES = "c"
    FOREIGN = "d"
    METRICS = "e"
    FOLD = "f"
    LETTERS = "g"

    @property
    def words(self) -> str:
        """The law in a few words."""
        return _WORDS[self]


_WORDS: Final = {
    Law.WHOLE: "each member is in its group's revision, and its model at hand",
    Law.ONCE: "each revision is there once, without a gap",
    Law.NAMES: "model_ids and input digests recompute",
    Law.FOREIGN: "nothing is published that was not announced",
    Law.METRICS: "one metric a model and a revision",
    Law.FOLD: "the state is what the input makes of it",
    Law.LETTERS: "one dead letter a record that cannot be used",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to break a law.

    Attributes
    ----------
    law : Law
    meaning : str
        What it means for those who rely on the log.
    advice : str
        What to do.
    late : bool
        Looks the same where the end of a transaction is late in one topic, as brokers may be.
    """

    law: Law
    meaning: str
    advice: str
    late: bool = False


_RESEND: Final = (
    "announce the group's warps again with a higher version: a new revision replaces it"
)
_RESTORE: Final = "stop the service, restore the topic from a copy"
_WRITER: Final = "find who writes into this topic beside the service, and take the right away"
_READERS: Final = "readers of this group wait for it for ever"
_SETTINGS: Final = (
    "if quorum, quiet_s, deadline_s, min_members, update_* or the seal's settings are or were "
    "others than the audit's, give it the service's --config; else keep log and state as they "
    "are and report a fault of evensky"
)
_REREAD: Final = (
    "stop the service, keep a copy of the log, and let it read the input again with empty state "
    "under another topic prefix; what it publishes is the truth"
)

KINDS: Final = {
    "member_not_published": Kind(
        Law.WHOLE,
        "a warp that was accepted has no part in the published revision",
        _RESEND,
        late=True,
    ),
    "member_stale": Kind(
        Law.WHOLE, "the published model is of another version of the warp", _RESEND
    ),
    "model_missing": Kind(
        Law.WHOLE, _READERS, f"{_RESEND}, or restore the topic from a copy", late=True
    ),
    "model_not_named": Kind(
        Law.WHOLE, "a model is there that its revision does not name, so no reader uses it", _WRITER
    ),
    "revision_doubled": Kind(
        Law.ONCE, "a revision was published twice: two services work on one log", _WRITER
    ),
    "model_doubled": Kind(
        Law.ONCE, "a model was published twice: two services work on one log", _WRITER
    ),
    "revision_missing": Kind(
        Law.ONCE, "a revision that counts as published is not there", _RESEND, late=True
    ),
    "revision_not_published": Kind(
        Law.ONCE,
        "something of a revision is there that the service has not published",
        _WRITER,
        late=True,
    ),
    "model_id_wrong": Kind(
        Law.NAMES, "the model's bytes are not those that were published", _RESEND
    ),
    "digest_wrong": Kind(
        Law.NAMES, "the digest does not follow from what was announced of the warp", _RESEND
    ),
    "unreadable": Kind(
        Law.NAMES, "a record cannot be read: it is damaged, or a newer version wrote it", _RESTORE
    ),
    "member_foreign": Kind(
        Law.FOREIGN, "something was published of a visit that was never announced", _WRITER
    ),
    "group_foreign": Kind(
        Law.FOREIGN, "something was published of a group that was never announced", _WRITER
    ),
    "metric_missing": Kind(
        Law.METRICS, "dashboards miss it", "nothing is lost but the number", late=True
    ),
    "metric_doubled": Kind(Law.METRICS, "dashboards count it twice", _WRITER),
    "metric_foreign": Kind(Law.METRICS, "a metric tells of what is not there", _WRITER, late=True),
    "input_missing": Kind(
        Law.FOLD, "a record of the input is gone, so the log tells another history", _RESTORE
    ),
    "input_unread": Kind(
        Law.FOLD,
        "records were deleted by age before the service read them: what they announced is lost",
        "let upstream announce what it announced since the service stopped, and lengthen the "
        "input's retention.ms",
    ),
    "state_ahead": Kind(Law.FOLD, "the state has read further than the input goes", _RESTORE),
    "position_wrong": Kind(Law.FOLD, "the state belongs to another input", _REREAD),
    "state_missing": Kind(Law.FOLD, "what was announced is not in the state: it is lost", _REREAD),
    "state_foreign": Kind(Law.FOLD, "the state has what the input does not", _REREAD),
    "state_differs": Kind(Law.FOLD, "the state says something else than the input", _REREAD),
    "state_unreadable": Kind(
        Law.FOLD, "the service will not start on it", f"{_RESTORE}, or {_REREAD}"
    ),
    "history_differs": Kind(
        Law.FOLD, "revisions were frozen otherwise than the input and the settings say", _SETTINGS
    ),
    "misplaced": Kind(
        Law.FOLD, "it stands in a partition that its group does not belong to", _WRITER
    ),
    "letter_missing": Kind(
        Law.LETTERS, "a record was dropped without a word", "send the event anew, mended", late=True
    ),
    "letter_doubled": Kind(Law.LETTERS, "a dead letter is there more than once", _WRITER),
    "letter_foreign": Kind(
        Law.LETTERS,
        "a dead letter tells of a record that is good, or is not there",
        _WRITER,
        late=True,
    ),
}
"""What can be found, by the name that programs know it by."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic} [{self.partition}] {self.offset}"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is not as it must be.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    what : str
        What was found.
    group : str or None
        Key of the group.
    revision, visit : int or None
    place : Place or None
        The record that shows it; None where one is missing.
    """

    kind: str
    what: str
    group: str | None = None
    revision: int | None = None
    visit: int | None = None
    place: Place | None = None

    @property
    def law(self) -> Law:
        """The law that it breaks."""
        return KINDS[self.kind].law


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far back a partition of a topic goes.

    Attributes
    ----------
    topic : str
    partition : int
    first : int
        Offset of the first record that is kept; 0 if nothing was deleted.
    since : int or None
        Stamp of the first record, ms; None if there is none.
    """

    topic: str
    partition: int
    first: int
    since: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found.

    Attributes
    ----------
    horizon : tuple of Horizon
        Partitions whose beginning is gone, of topics that forget by age.
    since : int or None
        Stamp since which everything is held, ms; None if nothing has been deleted.
    checked, exempt : mapping of str to int
        How much was looked at, and how much could not be.
    counts : mapping of str to int
        Violations by kind, all of them.
    violations : tuple of Violation
        The first of them.
    """

    horizon: tuple[Horizon, ...]
    since: int | None
    checked: Counter[str]
    exempt: Counter[str]
    counts: Counter[str]
    violations: tuple[Violation, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.counts

    @property
    def maybe_late(self) -> bool:
        """Whether something was found that may be gone when one looks again."""
        return any(KINDS[kind].late for kind in self.counts)


@dataclass(slots=True)
class Findings:
    """Gathers what an audit finds: everything is counted, the first violations are kept.

    Attributes
    ----------
    most : int
        Violations that are kept.
    """

    most: int
    checked: Counter[str] = field(default_factory=Counter)
    exempt: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def add(self, violation: Violation) -> None:
        """Take a violation."""
        self.counts[violation.kind] += 1
        if len(self.violations) < self.most:
            self.violations.append(violation)

    def report(self, horizon: tuple[Horizon, ...]) -> Report:
        """Return what was found."""
        stamps = [one.since for one in horizon if one.since is not None]
        return Report(
            horizon,
            max(stamps, default=None),
            self.checked,
            self.exempt,
            self.counts,
            tuple(self.violations),
        )
