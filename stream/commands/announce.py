"""`evensky announce`: publish the arrival of warps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

import schemas
from stream.announce import Announcer, closings, folders, manifests
from stream.batch import BatchGroup, DuplicateVisitError, group_files
from stream.commands.help import SectionedCommand
from stream.commands.identity import identity_options, override_from
from stream.commands.options import LOG_SETTINGS, as_json, settings_from, settings_options
from stream.commands.output import count_of, printable
from stream.describe import Described, Override, Undescribed, describe
from stream.display import counting
from stream.log.topics import Topics
from stream.logs import configure_logs
from stream.roots import remember
from stream.settings import Settings
from stream.wiring import publisher_log

__all__ = ["Step", "announce", "command", "describe_all", "refuse_doubles", "tell_faults"]

Step = tuple[Sequence[schemas.Message], float]


@click.command("announce", cls=SectionedCommand)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILES..."
)
@settings_options(LOG_SETTINGS)
@identity_options
@click.option(
    "--version",
    "version_",
    type=click.IntRange(0),
    metavar="N",
    default=0,
    show_default=True,
    help="Version of the arrivals: of a visit's arrivals the highest is the true one.",
)
@click.option(
    "--expected",
    type=click.IntRange(1),
    metavar="N",
    help="How many visits each group will have.",
)
@click.option("--manifest", is_flag=True, help="Also publish that these files are the exact set.")
@click.option("--close", is_flag=True, help="Afterwards close the groups of these files.")
@click.option(
    "--over",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="Spread the arrivals over some seconds.",
)
@as_json
def command(  # noqa: PLR0913 - one argument an option of the command
    *,
    files: tuple[Path, ...],
    version_: int,
    expected: int | None,
    manifest: bool,
    close: bool,
    over: float,
    json_: bool,
    **values: Any,
) -> int:
    """Publish the arrival of warps, into an embedded log or Kafka.

    Who a warp is stands in its headers (SKYMAP, TRACT, PATCH, BAND or FILTER, VISIT); options go
    before them. A service on the embedded log may then read the folders of these files.
    """
    settings = settings_from(values)
    configure_logs(settings.log_format, "warning")
    described, faults = describe_all(files, override_from(values, files))
    tell_faults(faults)
    refuse_doubles(described)
    if faults and manifest:
        raise click.UsageError("nothing was announced: the exact set cannot be told without these")
    if not described:
        click.echo("evensky: nothing was announced", err=True)
        return 1
    arrivals = [
        msgspec.structs.replace(one.message, version=version_, expected=expected)
        for one in described
    ]
    before = list(manifests(described)) if manifest else []
    after = list(closings(described)) if close else []
    steps: list[Step] = [(before, 0.0), (arrivals, over), (after, 0.0)]
    asyncio.run(announce(settings, folders(described), steps))
    _report(arrivals, settings, json_=json_)
    return 1 if faults else 0


def describe_all(
    files: Sequence[Path], override: Override
) -> tuple[list[Described], list[Undescribed]]:
    """Describe files, and set those apart that cannot be."""
    found: list[Described | Undescribed] = []
    with counting("reading warps") as step:
        for path in files:
            found.append(describe(path, override))
            step(len(found), len(files))
    return (
        [one for one in found if isinstance(one, Described)],
        [one for one in found if isinstance(one, Undescribed)],
    )


def tell_faults(faults: Iterable[Undescribed]) -> None:
    """Say which files could not be described, and why."""
    for fault in faults:
        click.echo(f"evensky: {fault.path}: {printable(fault.message)}", err=True)


def refuse_doubles(described: Iterable[Described]) -> list[BatchGroup]:
    """Return the files group by group, if no two of them claim to be the same warp."""
    try:
        return group_files(described)
    except DuplicateVisitError as error:
        raise click.UsageError(str(error)) from None


async def announce(settings: Settings, roots: Iterable[Path], steps: Sequence[Step]) -> None:
    """Publish messages step by step.

    Parameters
    ----------
    settings : Settings
        Where to.
    roots : iterable of Path
        Folders that a service on the embedded log may read from then on.
    steps : sequence of (messages, seconds)
        Messages and the time to spread them over.
    """
    log = publisher_log(settings)
    await log.start()
    try:
        if not settings.brokers:
            await asyncio.to_thread(remember, settings.log, roots)
        announcer = Announcer(log, Topics(settings.topic_prefix), time.time)
        for messages, seconds in steps:
            if seconds:
                await announcer.send_over(messages, seconds)
            else:
                await announcer.send(messages)
    finally:
        await log.close()


def _report(arrivals: Sequence[schemas.WarpArrived], settings: Settings, *, json_: bool) -> None:
    if json_:
        rows = [msgspec.to_builtins(one) for one in arrivals]
        click.echo(msgspec.json.encode({"announced": rows}).decode())
        return
    warps = count_of(len(arrivals), "warp")
    groups = count_of(len({one.group for one in arrivals}), "group")
    where = f"Kafka at {settings.bootstrap_servers}" if settings.brokers else settings.log
    click.echo(f"{warps} of {groups} announced to {where}")
