"""`evensky demo`: a simulated night, checked against its truth."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

import click
from rich.console import Console

import schemas
from stream.commands.simulate import simulated
from stream.commands.watch import cloud_event, follow
from stream.configure import load_settings
from stream.demo.night import Night, NightError, play
from stream.demo.report import Report, report
from stream.display import GroupDisplay, result_table
from stream.logs import configure_logs
from stream.settings import Settings

__all__ = ["command"]

_MARK = ".evensky-demo"


@click.command("demo")
@click.argument(
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("evensky-demo"),
    metavar="[DIR]",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=7,
    show_default=True,
    help="Seed of the simulated night.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=8.0,
    show_default=True,
    help="Time over which the warps arrive.",
)
def command(directory: Path, seed: int, seconds: float) -> int:
    """Simulate a night, level it live, and check the models against the planted truth.

    Everything is written to DIR [default: evensky-demo], which is emptied first if an earlier demo
    made it.
    """
    configure_logs("auto", "warning")
    _clear(directory)
    click.echo("1. A night is simulated: stars, galaxies, and a sky of its own for every visit.")
    survey = simulated(directory / "survey", seed=seed)
    click.echo(f"   {len(survey.warps)} warps of {len(survey.groups)} groups.")
    click.echo("2. The service runs; the warps are announced in shuffled order.")
    settings = _settings(directory)
    try:
        with GroupDisplay(title="groups") as display:
            summaries = asyncio.run(play(Night(survey, settings, seconds), display))
    except NightError as error:
        raise click.ClickException(str(error)) from None
    click.echo("3. The published models are read back and compared with what was planted.")
    pictures = directory / "pictures"
    found = asyncio.run(report(survey, settings, summaries, pictures))
    asyncio.run(_write_messages(settings, directory / "messages.jsonl"))
    _tell(found, directory)
    return 0 if found.holds else 1


def _clear(directory: Path) -> None:
    """Make room for the demo, and never remove what is not its own."""
    mark = directory / _MARK
    if directory.exists() and any(directory.iterdir()) and not mark.exists():
        raise click.UsageError(
            f"{directory} holds something that is not a demo's; name another folder"
        )
    shutil.rmtree(directory, ignore_errors=True)
    try:
        directory.mkdir(parents=True)
        mark.touch()
    except OSError as error:
        raise click.UsageError(f"{directory} cannot be made: {error.strerror}") from None


def _settings(directory: Path) -> Settings:
    """Return a night's settings with a day's waits made seconds."""
    options = {
        "log": directory / "evensky.db",
        "allow": (directory / "survey",),
        "http": "off",
        "quorum": 3,
        "quiet_s": 4,
        "deadline_s": 60,
        "update_quiet_s": 2,
        "update_max_s": 10,
        "match": {"bin_size": 64},
    }
    ours = ("EVENSKY_WORKERS", "EVENSKY_WORKER_MEMORY_BYTES")
    environment = {name: os.environ[name] for name in ours if name in os.environ}
    return load_settings(options, environment=environment)


async def _write_messages(settings: Settings, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        async with contextlib.aclosing(follow(settings, new=False, once=True)) as records:
            async for record in records:
                decoded = schemas.decode(record.key, record.headers, record.value)
                file.write(cloud_event(*decoded) + "\n")


def _tell(found: Report, directory: Path) -> None:
    Console().print(result_table([one.row for one in found.groups], unit="count"))
    count = sum(len(one.models) for one in found.groups)
    click.echo(
        f"Between visits the sky differed by {found.before:.2f} sigma (std over {count} warps, in "
        f"units of one pixel's noise); with the models it differs by {found.after:.3f}: "
        f"{found.before / found.after:.0f} times less."
    )
    for picture in found.pictures:
        click.echo(f"picture   {picture}")
    click.echo(f"messages  {directory / 'messages.jsonl'}")
    click.echo(f"log       {directory / 'evensky.db'}   (evensky watch --once --log ...)")
    if not found.holds:
        click.echo("The visits were not levelled as they should be.", err=True)
