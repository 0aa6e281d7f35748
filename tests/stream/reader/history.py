"""Publications of some groups, as a log holds them, and what is true of each revision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hypothesis import strategies as st

import schemas
from stream.log.seam import Record
from stream.log.topics import Topics
from tests.schemas import examples
from tests.stream.reader.messages import published_model, published_summary

__all__ = ["GROUPS", "PARTITIONS", "STEPS", "TOPICS", "History", "Step", "interleaved"]

PARTITIONS: Final = 2
TOPICS: Final = Topics()
GROUPS: Final = tuple(schemas.GroupId("live", "map", 1, patch, "r") for patch in range(3))
VISITS: Final[tuple[int, ...]] = (1, 2, 3)

_STATUS = {"retraction": "retracted", "incomplete": "incomplete"}


@dataclass(frozen=True)
class Step:
    """One transaction: what a group publishes next."""

    group: int
    kind: str
    content: Mapping[int, int]


def _contents() -> st.SearchStrategy[dict[int, int]]:
    # Few values, so that a model comes back to what it said before.
    return st.dictionaries(st.sampled_from(VISITS), st.integers(0, 2), min_size=1)


_KINDS = ("update",) * 6 + ("incomplete", "retraction", "dead", "garbage")
STEPS = st.lists(
    st.builds(Step, st.integers(0, len(GROUPS) - 1), st.sampled_from(_KINDS), _contents()),
    max_size=9,
)


@dataclass
class History:
    """What a publisher wrote: of each topic and partition the records in their order."""

    lines: dict[tuple[str, int], list[Record]] = field(default_factory=dict)
    truth: dict[tuple[str, int], dict[int, float]] = field(default_factory=dict)
    _now: dict[int, dict[int, int]] = field(default_factory=dict)
    _sent: dict[tuple[int, int], int] = field(default_factory=dict)
    _revisions: dict[int, int] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, steps: Sequence[Step]) -> History:
        """Publish steps, one after the other."""
        history = cls()
        for topic in (TOPICS.models, TOPICS.groups):
            for partition in range(PARTITIONS):
                history.lines[topic, partition] = []
        for step in steps:
            history._publish(step)
        return history

    @property
    def newest(self) -> set[tuple[str, int]]:
        """Return group and number of the newest revision of each group that lives."""
        last: dict[str, int] = {}
        for group, revision in self.truth:
            last[group] = max(revision, last.get(group, 0))
        return {one for one in last.items() if one[0] not in self.dead}

    def _publish(self, step: Step) -> None:
        key = GROUPS[step.group].key
        match step.kind:
            case "dead":
                self._bury(step.group)
            case "garbage":
                for topic in (TOPICS.models, TOPICS.groups):
                    self._append(topic, step.group, b"no identity", b"\xc1")
            case _ if key not in self.dead:
                self._revise(step)
            case _:
                pass

    def _bury(self, number: int) -> None:
        """Write tombstones; the group never speaks again."""
        group = GROUPS[number]
        for visit in VISITS:
            self._append(TOPICS.models, number, schemas.model_key(group, visit).encode(), None)
        self._append(TOPICS.groups, number, group.key.encode(), None)
        self.dead.add(group.key)

    def _revise(self, step: Step) -> None:
        number, revision = step.group, self._revisions.get(step.group, 0) + 1
        self._revisions[number] = revision
        now = self._now.setdefault(number, {})
        now.update(step.content)
        content = dict(now) if step.kind == "update" else {}
        members = []
        for visit in sorted(content):
            model = published_model(GROUPS[number], visit, revision, float(content[visit]))
            members.append(model)
            if self._sent.get((number, visit)) != content[visit]:
                self._sent[number, visit] = content[visit]
                self._send(TOPICS.models, number, model)
        self._send(
            TOPICS.groups,
            number,
            published_summary(GROUPS[number], revision, members, _STATUS.get(step.kind)),
        )
        said = {visit: float(value) for visit, value in content.items()}
        self.truth[GROUPS[number].key, revision] = said

    def _send(self, topic: str, number: int, message: schemas.Message) -> None:
        encoded = examples.record(message)
        self._append(topic, number, encoded.key, encoded.value, encoded.headers)

    def _append(
        self,
        topic: str,
        number: int,
        key: bytes,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> None:
        partition = number % PARTITIONS
        line = self.lines[topic, partition]
        line.append(Record(topic, partition, len(line), 1000, key, value, headers))

    def compacted(self, keep: Callable[[], bool]) -> dict[tuple[str, int], list[Record]]:
        """Return what a cleaner leaves, which may keep some of what it could remove."""
        return {
            place: [
                record
                for record in line
                if all(later.key != record.key for later in line[record.offset + 1 :]) or keep()
            ]
            for place, line in self.lines.items()
        }


def interleaved(
    lines: Mapping[tuple[str, int], Sequence[Record]], choices: Sequence[int], repeats: bool = False
) -> Iterator[Record]:
    """Mix partitions and topics as choices say, each in its own order.

    With `repeats`, some records come again, at any time after their first.
    """
    left = {place: list(line) for place, line in lines.items() if line}
    told: list[Record] = []
    turn = 0
    while left:
        choice = choices[turn % len(choices)] if choices else turn
        turn += 1
        if repeats and told and choice % 3 == 0:
            yield replace(told[choice % len(told)])
        place = sorted(left)[choice % len(left)]
        told.append(left[place].pop(0))
        yield told[-1]
        if not left[place]:
            del left[place]
