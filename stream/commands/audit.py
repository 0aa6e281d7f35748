"""`evensky audit`: proving from the log that nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click

import schemas
from stream.audit import Report, Terms, audit
from stream.audit.terms import MEMORY_BYTES, MOST
from stream.commands.audit_text import facts, lines
from stream.commands.help import SectionedCommand
from stream.commands.options import (
    LOG_SETTINGS,
    as_json,
    settings_from,
    settings_options,
)
from stream.commands.output import busy
from stream.logs import configure_logs
from stream.policies import POLICY_SETTINGS
from stream.settings import Settings
from stream.wiring import reader_log

__all__ = ["command"]

_LEAST_MIB, _MIB = 1, 2**20


def _group(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else schemas.GroupId.parse(value).key
    except schemas.SchemaError as error:
        raise click.BadParameter(str(error)) from None


@click.command(
    "audit",
    cls=SectionedCommand,
    epilog="Exit code 1 if anything is lost, doubled or otherwise than the input says. Needs the "
    "right to read all six topics, and room for the input and the state, twice, where TMPDIR "
    "points. With --json violations stand under `violations`, counts of all under `counts`.",
)
@click.option(
    "--group",
    callback=_group,
    metavar="KEY",
    help="Only this group: campaign/skymap/tract/patch/band.",
)
@click.option(
    "--memory-mib",
    type=click.IntRange(_LEAST_MIB, 1_000_000),
    default=MEMORY_BYTES // _MIB,
    show_default=True,
    metavar="MEBIBYTES",
    help="Memory that sorting may take; the largest group comes on top.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=MOST,
    show_default=True,
    metavar="N",
    help="Tell the first N violations; all are counted.",
)
@as_json
@settings_options((*LOG_SETTINGS, *POLICY_SETTINGS))
def command(*, group: str | None, memory_mib: int, limit: int, json_: bool, **values: Any) -> int:
    """Prove from the log that nothing is lost or doubled.

    Reads the input, what was published and the state, folds the input anew as the service does, and
    compares. The service may run meanwhile; it is not disturbed. Give the same settings as to
    `evensky run`: the rules for groups decide what the input should have become.
    """
    settings = settings_from(values)
    configure_logs(settings.log_format, "warning")
    terms = Terms.of(settings, group=group, memory_bytes=memory_mib * _MIB, most=limit)
    with busy("auditing"):
        report = asyncio.run(_audit(settings, terms))
    if json_:
        click.echo(json.dumps(facts(report, terms)))
    else:
        for line in lines(report, terms):
            click.echo(line)
    return 0 if report.ok else 1


async def _audit(settings: Settings, terms: Terms) -> Report:
    log = reader_log(settings)
    try:
        await log.start()
        return await audit(log, terms)
    finally:
        await log.close()
