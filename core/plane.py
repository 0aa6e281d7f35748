"""The least-squares plane through cells, from moments of their places (MATCHING.md section 14)."""

from __future__ import annotations

__all__ = ["plane_slopes"]


def plane_slopes(
    spreads: tuple[float, float, float], products: tuple[float, float], straight: float
) -> tuple[float, float]:
    """Solve the normal equations; of the solutions for cells on a line, return the least steep.

    Parameters
    ----------
    spreads : tuple of float
        Weighted sums of x x, x y and y y, places counted from their weighted mean, pixels squared.
    products : tuple of float
        Weighted sums of x z and y z.
    straight : float
        Share of the squared spread below which cells are taken to lie on a line.

    Returns
    -------
    slopes : tuple of float
        Along x and along y, of z per pixel; 0 where all cells are in one place.
    """
    (xx, xy, yy), (xz, yz) = spreads, products
    spread, determinant = xx + yy, xx * yy - xy * xy
    if determinant > straight * spread * spread:
        return (yy * xz - xy * yz) / determinant, (xx * yz - xy * xz) / determinant
    return (xz / spread, yz / spread) if spread else (0.0, 0.0)
