"""The jobs that workers do: decode a warp for others, measure it, match it to the reference.

Pure functions of picklable values, but for the clock of the task that they run through: what a
stage took is part of the answer. A fault of the data is an answer too, not an exception: the warp
fails alone. What they do is in `stream.warpjobs`; here is what the service needs of it, to name a
job and to read its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import core
from stream.decodelimits import DecodeLimits
from stream.spool.place import Place

__all__ = [
    "JobFault",
    "Loaded",
    "Matched",
    "Measured",
    "Unlaid",
    "WarpInput",
    "load",
    "match",
    "measure",
]


@dataclass(frozen=True, slots=True)
class WarpInput:
    """A warp as it goes to a worker.

    Attributes
    ----------
    visit : int
        Which visit it is.
    checksum : str
        sha256 of `data`, verified by whoever fetched them.
    data : bytes or str
        The file, or the path where it has landed; not looked at if its planes lie in the spool.
    scale : float
        Multiplies the image; its square multiplies the variance.
    planes : str or None
        Its file in the spool, decoded and scaled.
    place : Place or None
        Where its planes are to be laid once they are decoded.
    """

    visit: int
    checksum: str
    data: bytes | str
    scale: float = 1.0
    planes: str | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A warp that was decoded, so that others find its planes in the spool.

    Attributes
    ----------
    visit : int
        Which visit it is.
    shape : (int, int)
        Rows and columns.
    timings : mapping of str to float
        Seconds in each stage: "decode", "scale", "lay".
    """

    visit: int
    shape: tuple[int, int]
    timings: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class JobFault:
    """A warp that cannot be used.

    Attributes
    ----------
    visit : int
        The warp at fault, which in a match can be the reference.
    reason : str
        Value of a `WarpFault`.
    message : str
        What is wrong with it.
    """

    visit: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Unlaid(JobFault):
    """Planes that should lie in the spool are not there, or are not as they were laid.

    Nothing is wrong with the warp: whoever gets this has it decoded again.

    Attributes
    ----------
    planes : str
        The file that was looked for.
    """

    planes: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What the choice of a reference needs to know of a warp.

    Attributes
    ----------
    visit, checksum
        As given.
    mean, variance : float
        Of the good pixels, in the unit of the scaled image and its square; NaN if there are none.
    count : float
        How many pixels are good.
    shape : (int, int)
        Rows and columns.
    origin : (int, int)
        (x0, y0) in the tract, pixels.
    timings : mapping of str to float
        Seconds in each stage: "decode" and "lay", or "map"; "scale",
        "measure"; a stage that was not needed is absent.
    """

    visit: int
    checksum: str
    mean: float
    variance: float
    count: float
    shape: tuple[int, int]
    origin: tuple[int, int]
    timings: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Matched:
    """What became of one match.

    Attributes
    ----------
    visit : int
        The warp that was matched to the reference.
    background : core.Background or None
        The difference *reference - warp*; None unless the status is "matched".
    fit_rms : float or None
        In the image's unit; None, like the two below, also if too few pixels are good for it.
    matched_mse, diff_im_var : float or None
        In the square of the image's unit.
    origin : (int, int)
        (x0, y0) of both warps, pixels.
    status : str
        "matched", "no_overlap" or "failed".
    reason : str or None
        Why there is no model.
    quality : core.Quality or None
        Figures of the sky that the match leaves, local pixels; None unless the status is
        "matched".
    absent : tuple of str
        Names of bad mask planes that neither file defines.
    timings : mapping of str to float
        Seconds in each stage: "decode", "map", "scale", "match"; a stage that was not needed is
        absent.
    """

    visit: int
    background: core.Background | None
    fit_rms: float | None
    matched_mse: float | None
    diff_im_var: float | None
    origin: tuple[int, int]
    status: str
    reason: str | None
    quality: core.Quality | None = None
    absent: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict, compare=False)


def load(warp: WarpInput, config: core.MatchConfig, limits: DecodeLimits) -> Loaded | JobFault:
    """Decode and scale a warp, and lay its planes in the spool.

    Parameters
    ----------
    warp : WarpInput
        The file, its scale, and the place for its planes.
    config : core.MatchConfig
        How backgrounds are matched.
    limits : DecodeLimits
        What the file may ask for.
    """
    from stream import warpjobs  # noqa: PLC0415 - it imports astropy, which only workers need

    return warpjobs.loaded(warp, config, limits)


def measure(warp: WarpInput, config: core.MatchConfig, limits: DecodeLimits) -> Measured | JobFault:
    """Decode a warp and take the statistics that a reference is chosen by.

    Parameters
    ----------
    warp : WarpInput
        The file and its scale.
    config : core.MatchConfig
        How backgrounds are matched.
    limits : DecodeLimits
        What the file may ask for.
    """
    from stream import warpjobs  # noqa: PLC0415 - it imports astropy, which only workers need

    return warpjobs.measured(warp, config, limits)


def match(
    reference: WarpInput, science: WarpInput, config: core.MatchConfig, limits: DecodeLimits
) -> Matched | JobFault:
    """Fit the smooth difference *reference - science*, both scaled first.

    Parameters
    ----------
    reference, science : WarpInput
        The files and their scales.
    config : core.MatchConfig
        How backgrounds are matched.
    limits : DecodeLimits
        What the files may ask for.

    Returns
    -------
    Matched or JobFault
        A fault if one of the two cannot be used at all; no overlap and a fit that failed are
        results. `Unlaid` if the spool does not have what it should.
    """
    from stream import warpjobs  # noqa: PLC0415 - it imports astropy, which only workers need

    return warpjobs.matched(reference, science, config, limits)
