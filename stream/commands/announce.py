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
from stream.commands.identity import identity_options, override_from
from stream.commands.options import LOG_SETTINGS, as_json, settings_from, settings_options
from stream.describe import Described, Override, Undescribed, describe
from stream.log.topics import Topics
from stream.roots import remember
from stream.settings import Settings
from stream.wiring import publisher_log

__all__ = ["Step", "announce", "command", "describe_all"]

Step = tuple[Sequence[schemas.Message], float]


@click.command("announce")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILES..."
)
@settings_options(LOG_SETTINGS)
@identity_options
@click.option(
    "--version",
    "version_",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Version of the arrivals: of a visit's arrivals the highest is the true one.",
)
@click.option("--expected", type=click.IntRange(1), help="How many visits each group will have.")
@click.option("--manifest", is_flag=True, help="Also publish that these files are the exact set.")
@click.option("--close", is_flag=True, help="Afterwards close the groups of these files.")
@click.option(
    "--over",
    type=click.FloatRange(0),
    default=0.0,
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
    described, faults = describe_all(files, override_from(values))
    for fault in faults:
        click.echo(f"evensky: {fault.path}: {fault.message}", err=True)
    if faults and manifest:
        raise click.UsageError("nothing was announced: the exact set cannot be told without these")
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
    found = [describe(path, override) for path in files]
    return (
        [one for one in found if isinstance(one, Described)],
        [one for one in found if isinstance(one, Undescribed)],
    )


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
    groups = len({one.group for one in arrivals})
    where = settings.bootstrap_servers or settings.log
    click.echo(f"{len(arrivals)} warps of {groups} groups announced to {where}")
