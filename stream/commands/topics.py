"""`evensky topics`: the topics on a Kafka cluster, made and looked over."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import click
import msgspec

from stream.commands.help import SectionedCommand
from stream.commands.options import (
    LOG_SETTINGS,
    TRANSPORT_SETTINGS,
    as_json,
    settings_from,
    settings_options,
)
from stream.commands.output import count_of, printable
from stream.log.judgement import Finding
from stream.log.kafka_topics import Survey, create_topics, survey_topics
from stream.log.kafka_torn import torn_input
from stream.logs import configure_logs
from stream.settings import Settings
from stream.wiring import kafka_settings, our_topics, reader_log

__all__ = ["check", "command", "create"]

_PARTITIONS: Final = 64
_CREATE_SETTINGS: Final = (
    "bootstrap_servers",
    "topic_prefix",
    "broker_grace_s",
    "max_message_bytes",
    *TRANSPORT_SETTINGS,
)


@click.group("topics")
def command() -> None:
    """Look after the topics on a Kafka cluster."""


@command.command(
    "create",
    cls=SectionedCommand,
    epilog="Exit code 1: a topic that was there is not as it should be, and was left as it is.",
)
@settings_options(_CREATE_SETTINGS)
@click.option(
    "--partitions",
    "count",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Partitions of each topic; cannot be changed later. "
    f"[default: as many as those that are there have, else {_PARTITIONS}]",
)
@as_json
def create(*, count: int | None, json_: bool, **values: Any) -> int:
    """Create those of the six topics that are missing; the others are left as they are."""
    settings = settings_from(values)
    if not settings.brokers:
        raise click.UsageError("say where Kafka is with --bootstrap-servers HOST:PORT")
    configure_logs(settings.log_format, "error")
    made, survey = asyncio.run(_create(settings, count))
    states = {name: "made" if name in made else "was there" for name in survey.topics}
    return _tell(settings, survey, states, json_=json_)


async def _create(settings: Settings, count: int | None) -> tuple[Collection[str], Survey]:
    """Make what is missing, unless it would have another number of partitions than the rest."""
    kafka, topics = kafka_settings(settings), our_topics(settings)
    before = await survey_topics(kafka, topics, count)
    if any(one.setting == "partitions" for one in before.findings):
        return (), before
    there = {one.partitions for one in before.topics.values()}
    wanted = count or min(there, default=_PARTITIONS)
    made = await create_topics(kafka, topics.specs(wanted))
    return made, await survey_topics(kafka, topics, wanted)


@command.command(
    "check",
    cls=SectionedCommand,
    epilog="Exit code 1: a topic would lose data, and the service would not start on it. What "
    "merely shortens history is a warning.",
)
@settings_options((*LOG_SETTINGS, "max_message_bytes"))
@as_json
def check(*, json_: bool, **values: Any) -> int:
    """Compare the topics with what they should be, and the input with what the state has read."""
    settings = settings_from(values)
    configure_logs(settings.log_format, "error")
    if not settings.brokers:
        return _tell_embedded(settings, json_=json_)
    survey = asyncio.run(_check(settings))
    return _tell(settings, survey, dict.fromkeys(survey.topics, "there"), json_=json_)


async def _check(settings: Settings) -> Survey:
    """Look over the topics; if they are as they should be, look whether the state has its input."""
    kafka, topics = kafka_settings(settings), our_topics(settings)
    survey = await survey_topics(kafka, topics)
    if survey.faults:
        return survey
    torn = await torn_input(kafka, topics, survey.topics[topics.warps].partitions)
    return survey if torn is None else replace(survey, findings=(*survey.findings, torn))


# -- what is told ----------------------------------------------------------------------------------


def _tell(settings: Settings, survey: Survey, states: Mapping[str, str], *, json_: bool) -> int:
    names = our_topics(settings).names
    if json_:
        rows = [_row(name, survey, states) for name in names]
        where = {"log": "kafka", "bootstrap_servers": settings.bootstrap_servers}
        _print_json({**where, "ok": not survey.faults, "topics": rows})
    else:
        for line in _lines(names, survey, states):
            click.echo(line)
    return 1 if survey.faults else 0


def _row(name: str, survey: Survey, states: Mapping[str, str]) -> dict[str, object]:
    found = survey.topics.get(name)
    return {
        "topic": name,
        "state": states.get(name, "missing"),
        "partitions": found and found.partitions,
        "copies": found and found.copies,
        "faults": [_facts(one) for one in survey.of(name) if one.refused],
        "warnings": [_facts(one) for one in survey.of(name) if not one.refused],
    }


def _facts(finding: Finding) -> dict[str, str]:
    names = ("setting", "found", "wanted", "sentence", "remedy")
    return {name: getattr(finding, name) for name in names}


def _lines(names: Collection[str], survey: Survey, states: Mapping[str, str]) -> Iterator[str]:
    width = max(map(len, names))
    for name in names:
        found = survey.topics.get(name)
        size = "" if found is None else f"  {_size(found.partitions, found.copies)}"
        yield f"{states.get(name, 'missing'):<9}  {name:<{width if size else 0}}{size}"
        for one in survey.of(name):
            kind = "fault" if one.refused else "warning"
            yield f"    {kind}: {printable(one.sentence)}: {printable(one.remedy)}"
    faults, warnings = len(survey.faults), len(survey.warnings)
    if faults or warnings:
        yield f"{count_of(faults, 'fault')}, {count_of(warnings, 'warning')}"
    else:
        yield "all is well"


def _size(partitions: int, copies: int) -> str:
    copy = "1 copy" if copies == 1 else f"{copies} copies"
    return f"{count_of(partitions, 'partition')}, {copy}"


def _tell_embedded(settings: Settings, *, json_: bool) -> int:
    """Say that an embedded log has nothing that could be set wrongly, if it is one."""
    there = settings.log.exists()
    partitions = asyncio.run(_partitions(settings)) if there else settings.partitions
    if json_:
        state = "there" if there else "missing"
        facts = {"log": "embedded", "file": str(settings.log), "ok": True, "state": state}
        _print_json({**facts, "partitions": partitions, "topics": []})
        return 0
    size = count_of(partitions, "partition")
    if there:
        click.echo(
            f"{settings.log} is an embedded log of {size}: it keeps everything and stamps by "
            "itself, so there is nothing to check"
        )
    else:
        click.echo(
            f"there is no log {settings.log} yet; `evensky run` makes it, with {size}, and there "
            "will be nothing to check: it keeps everything"
        )
    return 0


async def _partitions(settings: Settings) -> int:
    log = reader_log(settings)
    try:
        await log.start()
        return log.partitions
    finally:
        await log.close()


def _print_json(facts: Mapping[str, object]) -> None:
    click.echo(msgspec.json.encode(facts).decode())
