"""`evensky reopen`: let a sealed group take events again."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import click

import schemas
from core import groups
from stream.announce import Announcer
from stream.commands.help import SectionedCommand
from stream.commands.options import LOG_SETTINGS, as_json, settings_from, settings_options
from stream.commands.output import busy
from stream.log.topics import Topics
from stream.logs import configure_logs
from stream.reopen import reopening
from stream.settings import Settings
from stream.standing import Standing, read_partition
from stream.wiring import publisher_log, reader_log

__all__ = ["command"]


def _group(_: click.Context, __: click.Parameter, text: str) -> schemas.GroupId:
    try:
        return schemas.GroupId.parse(text)
    except schemas.SchemaError as error:
        raise click.BadParameter(str(error)) from None


@click.command("reopen", cls=SectionedCommand)
@click.argument("group", callback=_group)
@settings_options((*LOG_SETTINGS, "seal_retention_s"))
@as_json
def command(*, group: schemas.GroupId, json_: bool, **values: Any) -> int:
    """Let a sealed group take events again.

    GROUP is CAMPAIGN/SKYMAP/TRACT/PATCH/BAND. What it refused stands in the dead letters as
    `sealed`; `evensky dead-letters replay --reason sealed` sends it again. Where policies differ,
    give the service's own file with --config: it says how long a group can be reopened.
    """
    settings = settings_from(values)
    configure_logs(settings.log_format, "warning")
    message, header = asyncio.run(_reopen(settings, group))
    if json_:
        since = (header.sealed_at or 0) / 1000
        told = {"group": group.key, "version": message.version, "sealed_at": since}
        click.echo(json.dumps(told))
    else:
        click.echo(
            f"{group.key} is reopened (version {message.version}); what it refused can be sent "
            "again: `evensky dead-letters replay --reason sealed`"
        )
    return 0


async def _reopen(
    settings: Settings, group: schemas.GroupId
) -> tuple[schemas.GroupReopened, groups.Header]:
    """Look where the group stands, and publish that it is reopened."""
    standing = await _standing(settings, group.key)
    policy = settings.policy_for()(group.key)
    message = reopening(group, standing, policy, round(time.time() * 1000))
    log = publisher_log(settings)
    try:
        await log.start()
        topics = Topics(settings.topic_prefix)
        await Announcer(log, topics, time.time, "evensky/reopen").send([message])
    finally:
        await log.close()
    return message, standing.header or groups.Header()


async def _standing(settings: Settings, key: str) -> Standing:
    log = reader_log(settings)
    try:
        await log.start()
        partition = schemas.partition_of(key.encode(), log.partitions)
        topic = Topics(settings.topic_prefix).state
        with busy("reading the state"):
            read = await read_partition(log, topic, partition, lambda one, _: one == key)
    finally:
        await log.close()
    return Standing(read.headers.get(key), read.position)
