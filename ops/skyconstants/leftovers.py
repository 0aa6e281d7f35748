"""Leftovers that a model can't follow, planted, and how many the verdict finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.config import MatchConfig
from core.quality import Quality
from core.verdict import Verdict, VerdictProfile, judge
from ops.skyconstants.planes import leave, pair, warped_noise, white_noise

__all__ = ["LEFTOVERS", "Shape", "found", "qualities", "rejected", "share_left"]

Sky = NDArray[np.float64]
Shape = Callable[[np.random.Generator, int, int], Sky]
"""Of random places, bins along a side and pixels of a bin: a sky of height 1."""


def _wave(bins: float) -> Shape:
    def made(rng: np.random.Generator, side: int, size: int) -> Sky:
        phases = rng.uniform(0, 2 * np.pi, 2)
        along = 2 * np.pi * np.arange(side * size) / (bins * size)
        return np.outer(np.sin(along + phases[0]), np.sin(along + phases[1]))

    return made


def _bump(bins: float) -> Shape:
    def made(rng: np.random.Generator, side: int, size: int) -> Sky:
        centre = rng.uniform(1, side - 1, 2) * size
        profiles = (
            np.exp(-((np.arange(side * size) - at) ** 2) / (2 * (bins * size) ** 2))
            for at in centre
        )
        return np.outer(*profiles)

    return made


def _step(part: float) -> Shape:
    def made(rng: np.random.Generator, side: int, size: int) -> Sky:
        place = (rng.integers(2, side - 1) + part) * size
        return np.where(np.arange(side * size) >= place, 1.0, 0.0) * np.ones((side * size, 1))

    return made


LEFTOVERS: Final[dict[str, Shape]] = {
    "wave of 3 bins": _wave(3),
    "wave of 6 bins": _wave(6),
    "bump, sigma 0.5 bin": _bump(0.5),
    "bump, sigma 1 bin": _bump(1.0),
    "step on a cell edge": _step(0.0),
    "step a quarter bin off": _step(0.25),
    "step through the centres": _step(0.5),
}


def share_left(config: MatchConfig, shape: Shape, *, side: int, seeds: int) -> float:
    """Return what a model leaves of a sky, rms over rms, in the median; there is no noise."""
    shares = []
    for seed in range(seeds):
        sky = shape(np.random.default_rng([11, seed]), side, config.bin_size)
        match = leave(*pair(sky.astype(np.float32)), config)
        rest = match.residual[~np.isnan(match.residual)]
        shares.append(float(rest.std(dtype=np.float64) / sky.std()))
    return float(np.median(shares))


def qualities(  # noqa: PLR0913 - what to simulate, by name
    config: MatchConfig,
    shape: Shape | None,
    height: float,
    *,
    side: int,
    seeds: int,
    warped: bool = False,
) -> list[Quality]:
    """Judge matches of noise with a leftover of a height in errors of a bin's mean."""
    size = config.bin_size
    judged = []
    for seed in range(seeds):
        rng = np.random.default_rng([11, seed])
        made = warped_noise if warped else white_noise
        plane = made(rng, side * size, side * size)
        if shape is not None:
            plane += (height / size * shape(rng, side, size)).astype(np.float32)
        judged.append(leave(*pair(plane), config).quality)
    return judged


def rejected(quality: Quality) -> tuple[str, ...]:
    """Return the figures for which profile survey rejects, by name."""
    judgement = judge(VerdictProfile.SURVEY, 0.0, 0.0, 1.0, quality)
    if judgement.verdict is Verdict.ACCEPT:
        return ()
    return tuple(reason.split()[0].rstrip(":") for reason in judgement.reasons)


def found(judged: list[Quality]) -> tuple[float, Counter[str]]:
    """Return the share of the matches that are rejected, and how often for which figure."""
    reasons = [rejected(quality) for quality in judged]
    by_figure = Counter(reason for each in reasons for reason in each)
    return sum(map(bool, reasons)) / len(reasons), by_figure
