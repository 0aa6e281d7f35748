"""`evensky watch`: follow what is published."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import click
import msgspec

import schemas
from stream.commands.help import SectionedCommand
from stream.commands.options import LOG_SETTINGS, as_json, settings_from, settings_options
from stream.commands.output import printable
from stream.log.seam import Record
from stream.log.topics import Topics
from stream.logs import configure_logs
from stream.settings import Settings
from stream.wiring import reader_log

__all__ = ["cloud_event", "command", "follow"]


@click.command(
    "watch",
    cls=SectionedCommand,
    epilog="With --json each line is a CloudEvent in JSON, arrays as base64. Ctrl-C stops.",
)
@settings_options(LOG_SETTINGS)
@click.option("--new", is_flag=True, help="Begin with what comes from now on.")
@click.option("--once", is_flag=True, help="Stop at the end instead of waiting for more.")
@as_json
def command(*, new: bool, once: bool, json_: bool, **values: Any) -> int:
    """Follow what is published: models, group summaries and dead letters."""
    settings = settings_from(values)
    configure_logs(settings.log_format, "warning")
    told = _Told(json_=json_)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_print(settings, told, new=new, once=once))
    return 1 if told.unreadable else 0


@dataclass(slots=True)
class _Told:
    """What has been told so far, and how."""

    json_: bool
    unreadable: int = 0

    def tell(self, record: Record) -> None:
        try:
            attributes, message = schemas.decode(record.key, record.headers, record.value)
        except schemas.SchemaError as error:
            self.unreadable += 1
            place = f"{record.topic} [{record.partition}] {record.offset}"
            click.echo(f"evensky: {place} cannot be read: {printable(str(error))}", err=True)
            return
        text = cloud_event(attributes, message) if self.json_ else _line(message)
        if text:
            click.echo(text)


async def _print(settings: Settings, told: _Told, *, new: bool, once: bool) -> None:
    async with contextlib.aclosing(follow(settings, new=new, once=once)) as records:
        async for record in records:
            told.tell(record)


async def follow(settings: Settings, *, new: bool, once: bool) -> AsyncGenerator[Record, None]:
    """Yield the records of models, summaries and dead letters.

    Parameters
    ----------
    settings : Settings
        Which log.
    new : bool
        Begin at the end.
    once : bool
        Stop at the end.
    """
    topics = Topics(settings.topic_prefix)
    log = reader_log(settings)
    try:
        await log.start()
        wanted = (topics.models, topics.groups, topics.dead_letters)
        async for record in log.read(wanted, follow=not once, from_end=new):
            if record.value is not None:
                yield record
    finally:
        await log.close()


def cloud_event(attributes: schemas.Attributes, message: schemas.Message) -> str:
    """Return a message as one line of JSON, a CloudEvent in structured mode."""
    event = {
        "specversion": "1.0",
        "id": attributes.id,
        "source": attributes.source,
        "type": attributes.type,
        "time": attributes.time,
        "datacontenttype": "application/json",
        "data": message,
    }
    return msgspec.json.encode(event).decode()


def _line(message: schemas.Message) -> str | None:
    """Return a line for a person; a model is told of by its group's summary."""
    match message:
        case schemas.GroupMatched():
            return _summary(message)
        case schemas.DeadLetter():
            place = f"{message.topic} [{message.partition}] {message.offset}"
            return f"dead letter  {place}: {message.reason}: {printable(message.message)}"
        case _:
            return None


def _summary(summary: schemas.GroupMatched) -> str:
    counts = {
        name: sum(member.status == name for member in summary.members)
        for name in ("matched", "no_overlap", "failed", "withdrawn")
    }
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no models"
    bad = sum(map(_rejected, summary.members))
    rejected = f", {bad} rejected" if bad else ""
    missing = f", missing {', '.join(map(str, summary.missing))}" if summary.missing else ""
    said = (
        summary.group.key,
        f"r{summary.revision} {summary.kind}",
        f"{summary.status} by {summary.trigger}",
        f"reference {summary.reference}",
        f"{told}{rejected}{missing}",
    )
    lines = ["  ".join(said)]
    lines += [f"    warning: {printable(warning)}" for warning in summary.warnings]
    lines += [
        f"    visit {member.visit}: {'rejected' if _rejected(member) else member.status}: "
        f"{printable(member.reason)}"
        for member in summary.members
        if member.reason
    ]
    return "\n".join(lines)


def _rejected(member: schemas.MemberSummary) -> bool:
    """Tell whether there is a model, which a coadder should not use."""
    return member.status == "matched" and member.verdict == "reject"
