"""`evensky simulate`: a survey whose truth is known."""

from __future__ import annotations

from pathlib import Path

import click

from stream.display import counting
from stream.simulate import SurveyError, SurveyManifest, SurveySpec, simulate_command

__all__ = ["command", "simulated"]

_DEFAULT = SurveySpec()


@click.command("simulate")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.option(
    "--seed",
    type=int,
    default=_DEFAULT.seed,
    show_default=True,
    help="The same seed gives the same files.",
)
@click.option(
    "--patches",
    type=int,
    default=_DEFAULT.patches,
    show_default=True,
    help="Neighbouring patches of one tract.",
)
@click.option(
    "--visits", type=int, default=_DEFAULT.visits, show_default=True, help="Visits a band."
)
@click.option(
    "--bands", default=",".join(_DEFAULT.bands), show_default=True, help="Some of g, r, i, z."
)
@click.option(
    "--size", type=int, default=_DEFAULT.size, show_default=True, help="Side of a patch, pixels."
)
def command(  # noqa: PLR0913 - one argument an option of the command
    *, directory: Path, seed: int, patches: int, visits: int, bands: str, size: int
) -> int:
    """Write a simulated survey to DIR: warps, truth, a manifest."""
    survey = simulated(directory, seed=seed, patches=patches, visits=visits, bands=bands, size=size)
    click.echo(f"{len(survey.warps)} warps of {len(survey.groups)} groups in {directory}")
    click.echo(f"what is what: {directory / 'README.txt'}")
    return 0


def simulated(directory: Path, **values: object) -> SurveyManifest:
    """Write a survey, showing how far it has come on a terminal."""
    try:
        with counting("simulating warps") as step:
            return simulate_command(directory, on_warp=step, **values)  # type: ignore[arg-type]  # the options of the command
    except (ValueError, SurveyError) as error:
        raise click.UsageError(str(error)) from None
