"""`evensky why`: what a group waits for."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import click

from stream.commands.help import SectionedCommand
from stream.commands.options import (
    LOG_SETTINGS,
    as_json,
    settings_from,
    settings_options,
)
from stream.commands.output import busy, printable
from stream.commands.why_text import facts, lines
from stream.log.topics import Topics
from stream.logs import configure_logs
from stream.policies import POLICY_SETTINGS
from stream.settings import Settings
from stream.why import Situation, Unknown, find, look
from stream.wiring import reader_log

__all__ = ["command"]


@click.command(
    "why",
    cls=SectionedCommand,
    epilog="The service need not run. Give the same rules for groups as to `evensky run`.",
)
@click.argument("group")
@as_json
@settings_options((*LOG_SETTINGS, *POLICY_SETTINGS))
def command(*, group: str, json_: bool, **values: Any) -> int:
    """Say what a group waits for, what was published of it, and what can be done.

    GROUP is campaign/skymap/tract/patch/band, or some of these in a row that only one group has,
    for example tract/patch/band.
    """
    settings = settings_from(values)
    configure_logs(settings.log_format, "warning")
    with busy(f"looking for {printable(group)}"):
        found = asyncio.run(_look(settings, group))
    if isinstance(found, Unknown):
        _tell_unknown(found)
        return 1
    now = round(time.time() * 1000)
    if json_:
        click.echo(json.dumps(facts(found, now)))
    else:
        for line in lines(found, now):
            click.echo(line)
    return 0


async def _look(settings: Settings, group: str) -> Situation | Unknown:
    topics, log = Topics(settings.topic_prefix), reader_log(settings)
    try:
        await log.start()
        found = await find(log, topics, group)
        if isinstance(found, Unknown):
            return found
        return await look(log, topics, found, settings.policy_for()(found))
    finally:
        await log.close()


def _tell_unknown(unknown: Unknown) -> None:
    asked = printable(unknown.asked)
    said = (
        f"several groups have {asked} in their name"
        if unknown.several
        else (f"the service knows no group {asked}")
    )
    near = "" if unknown.several or not unknown.names else "; near it are"
    click.echo(f"evensky: {said}{near}", err=True)
    for name in unknown.names:
        click.echo(f"  {printable(name)}", err=True)
