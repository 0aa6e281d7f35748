"""The night itself: a service, warps that arrive in any order, and a view of the groups."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

import schemas
from core.groups import Group, Phase
from stream.announce import Announcer, closings
from stream.describe import Described, Override, describe
from stream.display import GroupDisplay, GroupView, State
from stream.log.embedded import create_topics
from stream.log.topics import Topics
from stream.settings import Settings
from stream.simulate import GroupEntry, SurveyManifest
from stream.wiring import Assembly, assemble_service, publisher_log, reader_log

__all__ = ["Night", "NightError", "play"]

_LOOK_S = 0.2


class NightError(Exception):
    """The night did not come to its end; the message says which groups were left."""


@dataclass(frozen=True, slots=True)
class Night:
    """How a night is played.

    Attributes
    ----------
    survey : SurveyManifest
    settings : Settings
        Of the service; its log must be the embedded one.
    seconds : float
        Time over which the warps arrive.
    patience_s : float
        Time after which a night that is not over has failed.
    """

    survey: SurveyManifest
    settings: Settings
    seconds: float = 8.0
    patience_s: float = 120.0


@dataclass(slots=True)
class _Stage:
    """What is seen of the night while it is played."""

    assembly: Assembly
    announced: int = 0
    summaries: dict[str, schemas.GroupMatched] = field(default_factory=dict)


async def play(night: Night, display: GroupDisplay) -> dict[str, schemas.GroupMatched]:
    """Run the service, announce the warps in shuffled order, and wait until all is published.

    Parameters
    ----------
    night : Night
    display : GroupDisplay
        Where the groups are shown.

    Returns
    -------
    dict of str to GroupMatched
        Newest summary of each group, as a consumer reads it from the log.

    Raises
    ------
    NightError
        Groups are left after the patience is over.
    """
    stage = _Stage(assemble_service(night.settings))
    service, pool = stage.assembly.service, stage.assembly.pool
    topics = Topics(night.settings.topic_prefix)
    await create_topics(night.settings.log, topics.specs(night.settings.partitions))
    await pool.start()
    running = asyncio.create_task(service.run())
    upstream = asyncio.create_task(_announce(night, stage))
    reading = asyncio.create_task(_read(night.settings, stage))
    try:
        await _watch(night, stage, display, (running, upstream, reading))
        service.stop()
        await running
        return stage.summaries
    finally:
        for task in (upstream, reading, running):
            task.cancel()
        await asyncio.gather(upstream, reading, running, return_exceptions=True)
        await pool.close(0)
        await stage.assembly.fetcher.close()
        if stage.assembly.spool is not None:
            await stage.assembly.spool.close()


async def _watch(
    night: Night, stage: _Stage, display: GroupDisplay, tasks: Sequence[asyncio.Task[None]]
) -> None:
    """Show the groups until each of them is published whole."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + night.patience_s
    while True:
        for task in tasks:
            if task.done():
                task.result()  # what went wrong there ends the night here
        views = list(_views(night, stage))
        display.show(views, f"{stage.announced} of {len(night.survey.warps)} warps announced")
        if all(view.state in ("published", "incomplete") for view in views):
            return
        if loop.time() > give_up:
            left = [view.line for view in views if view.state in ("filling", "matching")]
            raise NightError(f"not published after {night.patience_s:g} s: {'; '.join(left)}")
        await asyncio.sleep(_LOOK_S)


def _views(night: Night, stage: _Stage) -> Iterator[GroupView]:
    for entry in night.survey.groups:
        group = stage.assembly.service.find(entry.key) or Group()
        summary = stage.summaries.get(entry.key)
        expected = entry.expected_visits
        yield GroupView(
            group=entry.key,
            state=_state(entry, group, summary),
            arrived=group.header.present,
            expected=entry.expected_count if expected is None else len(expected),
            matched=0 if summary is None else _matched(summary),
            trigger="" if summary is None else summary.trigger,
            reference=None if summary is None else summary.reference,
            revision=0 if summary is None else summary.revision,
        )


def _matched(summary: schemas.GroupMatched) -> int:
    return sum(member.status == "matched" for member in summary.members)


def _state(entry: GroupEntry, group: Group, summary: schemas.GroupMatched | None) -> State:
    header = group.header
    if header.phase is Phase.DUE:
        return "matching"
    whole = header.published > 0 and header.changed == 0 and header.present == len(entry.visits)
    if not whole:
        return "filling"
    if summary is None or summary.revision < header.published:
        return "matching"  # published a moment ago, and not read back yet
    return "incomplete" if summary.status == "incomplete" else "published"


async def _read(settings: Settings, stage: _Stage) -> None:
    """Follow the summaries as any consumer does."""
    log = reader_log(settings)
    await log.start()
    try:
        async for record in log.read([Topics(settings.topic_prefix).groups], follow=True):
            _, message = schemas.decode(record.key, record.headers, record.value)
            if isinstance(message, schemas.GroupMatched):
                stage.summaries[message.group.key] = message
    finally:
        await log.close()


# -- upstream --------------------------------------------------------------------------------------


async def _announce(night: Night, stage: _Stage) -> None:
    """Announce sets first, then warps in an order that no survey would choose, then closings."""
    described = await asyncio.to_thread(lambda: list(_describe(night.survey)))
    random.Random(night.survey.directory.name).shuffle(described)  # noqa: S311 - an order, not a secret
    log = publisher_log(night.settings)
    await log.start()
    try:
        announcer = Announcer(log, Topics(night.settings.topic_prefix), time.time, "evensky/demo")
        await announcer.send(list(_manifests(night)))
        for one in described:
            await announcer.send([one.message])
            stage.announced += 1
            await asyncio.sleep(night.seconds / len(described))
        closed = {entry.key for entry in night.survey.groups if entry.trigger == "closed"}
        last = [one for one in described if one.message.group.key in closed]
        await announcer.send(list(closings(last)))
    finally:
        await log.close()
    await asyncio.Event().wait()  # the night goes on until it is cancelled


def _describe(survey: SurveyManifest) -> Iterator[Described]:
    expected = {entry.key: entry.expected_count for entry in survey.groups}
    for warp in survey.warps:
        one = describe(survey.path(warp), Override())
        if not isinstance(one, Described):
            raise NightError(f"{one.path}: {one.message}")
        message = msgspec.structs.replace(one.message, expected=expected[warp.key])
        yield Described(one.path, message)


def _manifests(night: Night) -> Iterator[schemas.GroupManifest]:
    for entry in night.survey.groups:
        if entry.expected_visits is not None:
            yield schemas.GroupManifest(
                **schemas.GroupId.parse(entry.key).fields,
                visits=entry.expected_visits,
                deadline=night.seconds + 3.0 if entry.trigger == "deadline" else None,
            )
