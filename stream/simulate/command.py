"""The body of `evensky simulate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stream.simulate.layout import write_survey
from stream.simulate.manifest import SurveyManifest
from stream.simulate.spec import SurveySpec

__all__ = ["simulate_command"]

_DEFAULT = SurveySpec()


def simulate_command(  # noqa: PLR0913 - one argument an option of the command
    directory: Path,
    *,
    seed: int = _DEFAULT.seed,
    patches: int = _DEFAULT.patches,
    visits: int = _DEFAULT.visits,
    bands: str = ",".join(_DEFAULT.bands),
    size: int = _DEFAULT.size,
    on_warp: Callable[[int, int], None] | None = None,
) -> SurveyManifest:
    """Write a simulated survey.

    Parameters
    ----------
    directory : Path
        Where to.
    seed, patches, visits, size : int
        As in `SurveySpec`.
    bands : str
        The bands, with commas between them.
    on_warp : callable, optional
        Called with (warps written, warps in all).

    Returns
    -------
    SurveyManifest
        What was written.

    Raises
    ------
    ValueError
        If a value is impossible.
    SurveyError
        If the folder cannot take a survey.
    """
    spec = SurveySpec(
        seed=seed,
        patches=patches,
        visits=visits,
        bands=tuple(part.strip() for part in bands.split(",")),
        size=size,
    )
    return write_survey(spec, directory, on_warp)
