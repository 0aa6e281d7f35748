"""Machine code of every kernel, before there is work to do.

A kernel is compiled, or taken from the cache, when it is first called with arguments of a kind
(dtype, layout, read-only or not). Small matches of every kind are made here, so that a process
that has been warmed up compiles nothing afterwards, whatever it is asked to match.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pkgutil import iter_modules

import numpy as np

from core import kernels
from core.config import FitProfile, GridStatistic, InterpStyle, MatchConfig, UndersampleStyle
from core.image import MaskedImage
from core.kernels.compile import Kernel
from core.kernels.quantised import NO_BLANK, as_fluxes, randoms
from core.kernels.rice import as_words, unrice
from core.kernels.shuffle import unshuffle
from core.matching import match_background
from core.reference import selection_statistics

__all__ = ["WarmUp", "warm_up"]

_SIDE = 48
_SMALL = MatchConfig(bin_size=8, order=2)


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What a warm-up found.

    Parameters
    ----------
    compiled : int
        Functions compiled in this process, one for each kind of arguments.
    loaded : int
        Functions whose machine code was found in the cache.
    kept : bool
        Whether what was compiled is kept for other processes.
    """

    compiled: int
    loaded: int
    kept: bool


def warm_up() -> WarmUp:
    """Have the machine code of all kernels in memory.

    Takes less than a second where the code is in the cache, some ten seconds where it must be
    compiled.

    Returns
    -------
    report : WarmUp
        What this process has compiled and loaded since it began.
    """
    for reference, science in _pairs():
        selection_statistics(science, _SMALL)
        for config in _configs():
            model = match_background(reference, science, config, quality=True).model
            model.at(model.image()[0], 1.5)
    _decode()
    return _report()


def _decode() -> None:
    """Come by what pixels in a file are read with."""
    plain = np.frombuffer(bytes(8), np.uint8)
    unshuffle(plain.reshape(1, 4, 2), np.empty((1, 2), np.uint32), (0, 0), 2)
    tile, pixels = as_words(memoryview(bytes(8)), 32), np.zeros(2, np.int32)
    unrice((tile, tile), 32, (pixels, pixels))
    special, dither = (NO_BLANK, False), (randoms(), 0)
    as_fluxes(pixels, (1.0, 0.0), special, dither, np.empty(2, np.float32))


def _configs() -> Iterator[MatchConfig]:
    """Yield settings that between them come by every kernel, for small bins and for large ones."""
    yield MatchConfig()
    for statistic in GridStatistic:
        yield replace(_SMALL, grid_statistic=statistic)
    for style in InterpStyle:
        yield replace(_SMALL, interp_style=style)
    for profile in FitProfile:
        yield replace(_SMALL, profile=profile)
        for undersample in UndersampleStyle:
            yield replace(
                _SMALL, profile=profile, use_polynomial=True, undersample_style=undersample
            )
    yield replace(_SMALL, use_polynomial=True, approx_weighting=False)


def _pairs() -> Iterator[tuple[MaskedImage, MaskedImage]]:
    """Yield exposures with and without gaps, whose planes may and may not be written to."""
    yield _exposure(0.0, gap=False), _exposure(1.0, gap=False)
    spoilt = _exposure(0.0, gap=True), _exposure(1.0, gap=True)
    for exposure in spoilt:
        for plane in (exposure.image, exposure.mask, exposure.variance):
            plane.setflags(write=False)
    yield spoilt


def _exposure(level: float, *, gap: bool) -> MaskedImage:
    """Return a patch of uneven sky; with a gap, a bin and more are masked, and a pixel is NaN."""
    y, x = np.mgrid[:_SIDE, :_SIDE]
    image = (level + np.sin(1.7 * x + 0.6 * level) * np.cos(2.3 * y)).astype(np.float32)
    mask = np.zeros(image.shape, dtype=np.int32)
    if gap:
        mask[:20, 7:17] = 1
        image[30, 30] = np.nan
    return MaskedImage(image, mask, np.full_like(image, 0.25), {"BAD": 0, "DETECTED": 1})


def _report() -> WarmUp:
    from core.kernels.machine import is_kept  # noqa: PLC0415 - it imports numba

    dispatchers = [one.compiled for one in _kernels()]
    # plain functions, where NUMBA_DISABLE_JIT says so
    dispatchers = [one for one in dispatchers if hasattr(one, "stats")]
    return WarmUp(
        compiled=sum(sum(one.stats.cache_misses.values()) for one in dispatchers),
        loaded=sum(sum(one.stats.cache_hits.values()) for one in dispatchers),
        kept=all(map(is_kept, dispatchers)),
    )


def _kernels() -> Iterator[Kernel]:
    for found in iter_modules(kernels.__path__, f"{kernels.__name__}."):
        for value in vars(import_module(found.name)).values():
            if isinstance(value, Kernel):
                yield value
