"""`evensky simulate`: a survey whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from stream.commands.help import SURVEY, SectionedCommand, option
from stream.commands.output import count_of
from stream.display import counting
from stream.simulate import SurveyError, SurveyManifest, SurveySpec, simulate_command

__all__ = ["command", "simulated", "size_of", "survey_options"]

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULT: Final = SurveySpec()

_SURVEY: Final = (
    option(
        SURVEY,
        "--seed",
        type=int,
        metavar="N",
        default=_DEFAULT.seed,
        show_default=True,
        help="The same seed gives the same files.",
    ),
    option(
        SURVEY,
        "--patches",
        type=int,
        metavar="N",
        default=_DEFAULT.patches,
        show_default=True,
        help="Neighbouring patches of one tract, 1 to 6.",
    ),
    option(
        SURVEY,
        "--visits",
        type=int,
        metavar="N",
        default=_DEFAULT.visits,
        show_default=True,
        help="Visits in each band, 2 to 60.",
    ),
    option(
        SURVEY,
        "--bands",
        metavar="NAMES",
        default=",".join(_DEFAULT.bands),
        show_default=True,
        help="Some of g, r, i, z, with commas between them.",
    ),
    option(
        SURVEY,
        "--size",
        type=int,
        metavar="PIXELS",
        default=_DEFAULT.size,
        show_default=True,
        help="Side of a patch, 96 to 4200 pixels.",
    ),
)


def survey_options(command: F) -> F:
    """Give a command the options that say what is simulated."""
    for one in reversed(_SURVEY):
        command = one(command)
    return command


@click.command("simulate", cls=SectionedCommand)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@survey_options
def command(*, directory: Path, **survey: Any) -> int:
    """Write a simulated survey to DIR: warps, truth, a manifest."""
    manifest = simulated(directory, **survey)
    click.echo(f"{size_of(manifest)} in {directory}")
    click.echo(f"what is what: {directory / 'README.txt'}")
    return 0


def size_of(survey: SurveyManifest) -> str:
    """Return how many warps and groups there are."""
    return f"{count_of(len(survey.warps), 'warp')} of {count_of(len(survey.groups), 'group')}"


def simulated(directory: Path, **survey: Any) -> SurveyManifest:
    """Write a survey, showing how far it has come on a terminal."""
    try:
        with counting("simulating warps") as step:
            return simulate_command(directory, on_warp=step, **survey)
    except (ValueError, SurveyError) as error:
        raise click.UsageError(str(error)) from None
