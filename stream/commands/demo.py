"""`evensky demo`: a simulated night, checked against its truth."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

import click

import schemas
from stream.commands.help import SectionedCommand
from stream.commands.output import busy, count_of, table_console
from stream.commands.simulate import simulated, size_of, survey_options
from stream.commands.watch import cloud_event, follow
from stream.configure import load_settings
from stream.demo.night import Night, NightError, play
from stream.demo.report import Report, report
from stream.display import GroupDisplay, result_table
from stream.logs import configure_logs
from stream.settings import Settings

__all__ = ["command"]

_MARK: Final = ".evensky-demo"
_SETTINGS: Final = "evensky.toml"
_PATIENCE_S: Final = 120.0


@click.command("demo", cls=SectionedCommand)
@click.argument(
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("evensky-demo"),
    metavar="[DIR]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=8.0,
    metavar="SECONDS",
    show_default=True,
    help="Time over which the warps arrive.",
)
@survey_options
def command(*, directory: Path, seconds: float, **survey: Any) -> int:
    """Simulate a night, level it live, and check the models against the planted truth.

    Everything is written to DIR [default: evensky-demo], which is emptied first if an earlier demo
    made it.
    """
    configure_logs("auto", "warning")
    _clear(directory)
    click.echo("1. A night is simulated: stars, galaxies, and a sky of its own for every visit.")
    night = Night(
        simulated(directory / "survey", **survey),
        _settings(directory, survey["size"]),
        seconds,
        seconds + _PATIENCE_S,
    )
    click.echo(f"   {size_of(night.survey)}.")
    click.echo("2. The service runs; the warps are announced in shuffled order.")
    summaries = _played(night)
    click.echo("3. The published models are read back and compared with what was planted.")
    pictures = directory / "pictures"
    with busy("drawing"):
        found = asyncio.run(report(night.survey, night.settings, summaries, pictures))
    asyncio.run(_write_messages(night.settings, directory / "messages.jsonl"))
    _tell(found, directory)
    return 0 if found.holds else 1


def _played(night: Night) -> dict[str, schemas.GroupMatched]:
    try:
        with GroupDisplay(title="groups") as display:
            return asyncio.run(play(night, display))
    except NightError as error:
        raise click.ClickException(str(error)) from None


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


def _settings(directory: Path, size: int) -> Settings:
    """Return a night's settings with a day's waits made seconds, and eight bins a side or more.

    They are read from a file, which stays: whoever audits the night needs the same.
    """
    given = {
        "log": str((directory / "evensky.db").resolve()),
        "allow": [str((directory / "survey").resolve())],
        "http": "off",
        "quorum": 3,
        "quiet_s": 4,
        "deadline_s": 60,
        "update_quiet_s": 2,
        "update_max_s": 10,
        "match.bin_size": min(64, size // 8),
    }
    file = directory / _SETTINGS
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in given.items()]
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    ours = ("EVENSKY_WORKERS", "EVENSKY_WORKER_MEMORY_BYTES")
    environment = {name: os.environ[name] for name in ours if name in os.environ}
    return load_settings({}, environment=environment, file=file)


async def _write_messages(settings: Settings, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        async with contextlib.aclosing(follow(settings, new=False, once=True)) as records:
            async for record in records:
                decoded = schemas.decode(record.key, record.headers, record.value)
                file.write(cloud_event(*decoded) + "\n")


def _tell(found: Report, directory: Path) -> None:
    table_console().print(result_table([one.row for one in found.groups], unit="count"))
    count = count_of(sum(len(one.models) for one in found.groups), "warp")
    if found.judged:
        click.echo(
            f"Between visits the sky differed by {found.before:.2f} sigma (std over {count}, in "
            f"units of one pixel's noise); with the models it differs by {found.after:.3f}: "
            f"{found.before / found.after:.0f} times less."
        )
    _tell_quality(found)
    for picture in found.pictures:
        click.echo(f"picture   {picture}")
    click.echo(f"messages  {directory / 'messages.jsonl'}")
    click.echo(f"log       {directory / 'evensky.db'}")
    click.echo(f"          (evensky watch --once --log {directory / 'evensky.db'})")
    click.echo(f"settings  {directory / _SETTINGS}")
    click.echo(f"          (evensky audit --config {directory / _SETTINGS})")
    for fault in found.faults:
        click.echo(f"evensky: {fault}", err=True)


def _tell_quality(found: Report) -> None:
    """Say how quiet the skies are, and what was wrong with each warp that was rejected."""
    if found.sky_chi2 is not None:
        click.echo(
            f"The sky that accepted models leave has a median sky_chi2 of {found.sky_chi2:.2f} "
            "(1 is pure noise)."
        )
    for group in found.groups:
        for model in group.rejected:
            planted = ", ".join(group.flaws.get(model.visit, ())) or "nothing"
            click.echo(
                f"rejected  {group.entry.key} visit {model.visit} (planted: {planted}): "
                f"{'; '.join(model.verdict_reasons)}"
            )
