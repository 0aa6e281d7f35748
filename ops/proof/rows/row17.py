"""Row 17: offsets that expired, an input that lost records, a changelog that is gone."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass, field
from typing import Final

from ops.proof.damage import delete, trim
from ops.proof.fleet import Fleet
from ops.proof.judge import Progress, published
from ops.proof.load import Load, records, wanted
from ops.proof.place import Place, Tail
from ops.proof.row import Context, Row, RowResult, Terms
from stream.log.kafka_topics import create_topics
from stream.wiring import kafka_settings

__all__ = ["ROW"]

_PARTITIONS: Final = 2
_GROUPS: Final = 20
_MEMBERS: Final = 2
_PATIENCE_S: Final = 120.0
_REFUSED: Final = 2
_OPTIONS: Final = ("--session-timeout-s", "3", "--broker-grace-s", "60")


@dataclass
class _Round:
    """One log, to which one thing after another happens while no copy runs."""

    terms: Terms
    context: Context
    place: Place
    number: int
    violations: list[str] = field(default_factory=list)
    refused: int = 0
    loads: int = 0

    def play(self) -> None:
        """Do what may be done, then what must be refused."""
        self._works("a first start")
        self._trim_to_the_end()
        service = tuple("renamed" if one == self._app else one for one in self.place.service)
        self.place = dataclasses.replace(self.place, service=service)
        self._works("the input cut up to the position, and no committed offset")
        found = published(self.place)
        bad = [*found.doubled(), *found.gaps(), *found.torn()]
        self.violations += [f"doubled, left out or torn: {one}" for one in bad]
        self._announce()
        self._trim_to_the_end()
        self._refuses("records deleted before they were read", "retention deleted")
        self._make_anew(self.place.topics.state)
        self._refuses("the changelog made anew", "the changelog was emptied or made anew")

    @property
    def _app(self) -> str:
        return self.place.service[self.place.service.index("--app") + 1]

    def _announce(self) -> Progress:
        self.loads += 1
        groups = self.terms.load(_GROUPS, 4)
        name = f"load{self.number}-{self.loads}"
        said = Load(self.context.warps, groups, _MEMBERS, self.terms.seed, name).plain()
        self.place.publish(records(said, self.place.topics, _PARTITIONS))
        return Progress(self.place, wanted((one.message, one.time_us) for one in said))

    def _works(self, what: str) -> None:
        """Hold that a copy goes on: all that was announced meanwhile is published."""
        progress = self._announce()
        with Fleet(self.place, self.context.folder) as fleet:
            fleet.start(f"works-{self.loads}").until_it_says("started")
            fleet.until(progress.done, _PATIENCE_S)
            code = fleet[f"works-{self.loads}"].stop()
            self.violations += fleet.complaints()
        if code:
            self.violations.append(f"{what}: exit code {code}")

    def _refuses(self, what: str, words: str) -> None:
        """Hold that a copy ends with exit code 2 and says why, and nothing is published."""
        before = len(published(self.place).summaries)
        with Fleet(self.place, self.context.folder) as fleet:
            running = fleet.start(f"refuses-{self.number}-{self.refused}")
            fleet.copies[f"refuses-{self.number}-{self.refused}"].kept_up = False
            code = running.buried()
            told = running.text()
        self.refused += 1
        if code != _REFUSED or words not in told:
            self.violations.append(f"{what}: exit code {code}, {told[-500:]}")
        if len(published(self.place).summaries) != before:
            self.violations.append(f"{what}: something was published")

    def _trim_to_the_end(self) -> None:
        topic = self.place.topics.warps
        firsts = {one.partition: one.offset + 1 for one in Tail(self.place, "warps").more()}
        asyncio.run(trim(self.place.settings.bootstrap_servers or "", topic, firsts))

    def _make_anew(self, topic: str) -> None:
        settings = kafka_settings(self.place.settings)
        asyncio.run(delete(settings.bootstrap_servers, topic))
        asyncio.run(create_topics(settings, self.place.topics.specs(_PARTITIONS)))


def run(terms: Terms, context: Context) -> RowResult:
    """Play rounds, each on topics of its own."""
    violations: list[str] = []
    refused = 0
    for number in range(terms.rounds):
        with context.kafka(_PARTITIONS, *_OPTIONS) as place:
            played = _Round(terms, context, place, number)
            played.play()
        violations += played.violations
        refused += played.refused
    return RowResult({"starts refused": refused}, tuple(violations))


ROW: Final = Row(
    number=17,
    title="offsets and changelog gone",
    hold="without a committed offset, or with the input cut up to its position, the service goes "
    "on from its own position; with records or state gone it ends with exit code 2 and says why",
    rounds=10,
    counted="rounds",
    run=run,
)
