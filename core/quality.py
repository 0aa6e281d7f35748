"""Quality of a match, judged on the sky that it leaves (MATCHING.md section 13)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Quality"]


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of the sky that a match leaves; what could not be measured is NaN.

    Parameters
    ----------
    tiles : int
        Tiles that counted.
    kappa : float
        By how much correlated noise makes the errors of bin means exceed sigma / sqrt(n).
    sky_chi2 : float
        Structure left in the sky over its noise: 1 for pure noise.
    worst_block : float
        The largest departure of a 3 x 3 block of tiles, in its errors.
    worst_x, worst_y : float
        Centre of that block, local pixels.
    sky_offset, sky_rms, sky_error : float
        Median and scatter of what is left, and the error of the model's mean level, image unit.
    coverage : float
        Good pixels over all pixels.
    extrapolated_fraction : float
        Share of the pixels that lie in bins without a value.
    flags : tuple of str
        Sorted: ``edge_step``, ``sources_unmasked``.
    """

    tiles: int
    kappa: float
    sky_chi2: float
    worst_block: float
    worst_x: float
    worst_y: float
    sky_offset: float
    sky_rms: float
    sky_error: float
    coverage: float
    extrapolated_fraction: float
    flags: tuple[str, ...] = ()
