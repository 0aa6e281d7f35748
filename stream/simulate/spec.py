"""What to simulate: the survey's size and seed, its patches on the tract, its night of visits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BANDS",
    "GAIN",
    "PIXEL_SCALE",
    "READ_NOISE",
    "ZERO_POINT",
    "Band",
    "PatchBox",
    "SurveySpec",
    "VisitPlan",
    "generator",
    "plan_night",
]

ZERO_POINT = 27.0
"""Magnitude of a source of one count."""
PIXEL_SCALE = 0.4
"""Arcseconds a pixel."""
GAIN = 6.0
"""Electrons a count, at transparency 1."""
READ_NOISE = 9.0
"""Electrons a pixel."""

_PATCHES_A_SIDE = 9
_FIRST_PATCH = 39  # in the fifth row of the tract's nine, so that neither coordinate is small
_DUSK = 61120.0125  # MJD TAI
_NIGHT = 0.34  # days between the first visit and the last
_MOONRISE = 0.3  # fraction of the night
_FEW = 3  # visits a band, of which none can be spared for a flaw that hits all patches
_LIMITS = {"patches": (1, 6), "visits": (2, 60), "size": (96, 4200)}


@dataclass(frozen=True)
class Band:
    """A filter: how bright its dark sky is and how sources' colours show in it.

    Attributes
    ----------
    sky : float
        Brightness of the dark sky, magnitudes a square arcsecond.
    colour : float
        Factor of a source's r - i in its magnitude relative to r.
    moon : float
        Moonlight at its height, relative to r.
    seeing : float
        Seeing relative to r.
    """

    sky: float
    colour: float
    moon: float
    seeing: float

    @property
    def dark(self) -> float:
        """Counts a pixel of the dark sky."""
        return float(10.0 ** (0.4 * (ZERO_POINT - self.sky)) * PIXEL_SCALE**2)


BANDS: Mapping[str, Band] = MappingProxyType(
    {
        "g": Band(sky=21.9, colour=1.6, moon=1.2, seeing=1.05),
        "r": Band(sky=20.9, colour=0.0, moon=1.0, seeing=1.0),
        "i": Band(sky=20.2, colour=-1.0, moon=0.8, seeing=0.96),
        "z": Band(sky=19.3, colour=-1.5, moon=0.6, seeing=0.94),
    }
)
"""The filters that can be simulated."""


@dataclass(frozen=True)
class PatchBox:
    """One patch: its number in the tract and the tract's pixel at its lower left."""

    patch: int
    x0: int
    y0: int
    offset: int
    """Column of the mosaic of all simulated patches at which this one begins."""


@dataclass(frozen=True, kw_only=True)
class SurveySpec:
    """A survey to simulate; the same values give the same bytes.

    Parameters
    ----------
    seed : int
        Seed of all that is drawn, 0 or more.
    patches : int
        Neighbouring patches of one row of the tract, 1 - 6.
    visits : int
        Visits a band, 2 - 60.
    bands : tuple of str
        Some of ``g``, ``r``, ``i``, ``z``.
    size : int
        Side of a patch, pixels, 96 - 4200.
    campaign, skymap : str
        Names of the survey's groups.
    tract : int
        The tract's number.

    Raises
    ------
    ValueError
        If a value is impossible; the message names it and says what is possible.
    """

    seed: int = 7
    patches: int = 3
    visits: int = 7
    bands: tuple[str, ...] = ("r", "i")
    size: int = 512
    campaign: str = "live"
    skymap: str = "simulated"
    tract: int = 4849

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; it must be 0 or more")
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; it must be {low} to {high}")
        _check_bands(self.bands)

    @property
    def overlap(self) -> int:
        """Columns that two neighbouring patches share, pixels."""
        return self.size // 12

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the mosaic of all patches, pixels."""
        return self.size, self.size + (self.patches - 1) * (self.size - self.overlap)

    @property
    def boxes(self) -> tuple[PatchBox, ...]:
        """Each patch's place in the tract."""
        step = self.size - self.overlap
        return tuple(self._box(_FIRST_PATCH + i, i * step, step) for i in range(self.patches))

    def _box(self, patch: int, offset: int, step: int) -> PatchBox:
        row, column = divmod(patch, _PATCHES_A_SIDE)
        return PatchBox(patch, column * step, row * step, offset)

    def to_mapping(self) -> dict[str, object]:
        """Return the values as a plain mapping that JSON can hold."""
        return {**asdict(self), "bands": list(self.bands)}


def _check_bands(bands: tuple[str, ...]) -> None:
    known = ", ".join(BANDS)
    unknown = [band for band in bands if band not in BANDS]
    if unknown:
        raise ValueError(f"bands holds {unknown[0]!r}; the simulated bands are {known}")
    if not bands or len(set(bands)) < len(bands):
        raise ValueError(f"bands is {','.join(bands)!r}; name each of {known} at most once")


@dataclass(frozen=True, kw_only=True)
class VisitPlan:
    """One visit: when, in what band, and through what air.

    Attributes
    ----------
    visit : int
        The visit's number.
    band : str
        Its band.
    index : int
        Its place among the visits of its band, from 0.
    mjd : float
        Start, MJD TAI.
    fwhm : float
        Seeing, full width at half maximum, pixels.
    transparency : float
        Fraction of the light that arrived, 0 - 1; counts are corrected for it, noise shows it.
    moon : float
        Height of the moonlight, 0 (down) - 1.
    rotation : float
        Angle of the camera on the tract's grid, radians.
    amplifier_step : bool
        One half of a chip lies higher by an error of its bias.
    undetected : bool
        The pipeline's detection of sources did not run: no pixel is marked as detected.
    edge : tuple of float, or None
        A border of the field: the angle of its normal (radians), the fraction of a patch that it
        leaves, and the index of that patch.
    """

    visit: int
    band: str
    index: int
    mjd: float
    fwhm: float
    transparency: float
    moon: float
    rotation: float
    amplifier_step: bool
    undetected: bool
    edge: tuple[float, float, int] | None


def generator(spec: SurveySpec, *stream: int) -> np.random.Generator:
    """Return a generator of its own for one part of the survey, named by integers."""
    return np.random.default_rng([spec.seed, *stream])


def plan_night(spec: SurveySpec) -> tuple[VisitPlan, ...]:
    """Plan the night: bands take turns, the moon rises, the seeing drifts.

    Returns
    -------
    tuple of VisitPlan
        In order of time.
    """
    rng = generator(spec, 1)
    total = spec.visits * len(spec.bands)
    seeing = _seeing_history(total, rng)
    return tuple(_plan(spec, i, total, float(seeing[i]), rng) for i in range(total))


def _plan(
    spec: SurveySpec, number: int, total: int, seeing: float, rng: np.random.Generator
) -> VisitPlan:
    index, turn = divmod(number, len(spec.bands))
    band = spec.bands[turn]
    night = number / max(total - 1, 1)
    return VisitPlan(
        visit=81200 + 3 * number + int(rng.integers(1, 3)),
        band=band,
        index=index,
        mjd=round(_DUSK + _NIGHT * night, 6),
        fwhm=round(seeing * BANDS[band].seeing, 3),
        transparency=round(float(rng.uniform(0.86, 1.0)), 3),
        moon=_moonlight(night),
        rotation=math.radians(float(rng.uniform(-7.0, 7.0))),
        amplifier_step=turn == 0 and index == _FEW,
        undetected=turn == len(spec.bands) - 1 and index == _FEW - 1 and spec.visits > _FEW,
        edge=_edge(spec, index),
    )


def _edge(spec: SurveySpec, index: int) -> tuple[float, float, int] | None:
    """Give some visits a border of the field: a corner, a strip, and one that leaves 40 %."""
    roles = {
        1: (math.radians(128.0), 0.90, 0),
        5: (math.radians(-86.0), 0.92, 0),
        max(2, min(4, spec.visits - 1)): (math.radians(-14.0), 0.40, spec.patches - 1),
    }
    return roles.get(index)


def _seeing_history(total: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Let the seeing wander between 1.0 and 1.7 arcsec, as it does; pixels."""
    steps = np.cumsum(rng.normal(0.0, 0.06, total))
    wander = 1.3 - 0.26 * np.sin(np.linspace(0.8, 5.0, total)) + steps - steps.mean()
    return np.asarray(np.clip(wander, 1.0, 1.7) / PIXEL_SCALE)


def _moonlight(night: float) -> float:
    height = (night - _MOONRISE) / (1.0 - _MOONRISE)
    return max(0.0, math.sin(0.5 * math.pi * height))
