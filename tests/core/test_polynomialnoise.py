"""What noise does to a polynomial: worked out of its fit, and pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import GridStatistic, MatchConfig
from core.chebyshev import ChebyshevBackground
from core.kernels.chebyshev import whiten
from core.polynomialnoise import mean_shares, noise_left
from core.skytiles import SkyTiles
from ops.skyconstants.planes import leave, pair, white_noise
from tests.core.exposures import LAW

RNG = np.random.default_rng
BIN = 6
Doubles = NDArray[np.float64]


@dataclass
class Case:
    """A polynomial that was fitted to noise on a grid, some of whose cells are empty."""

    order: int
    empty: NDArray[np.bool_]
    model: ChebyshevBackground
    tiles: SkyTiles

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """Which pixels are good."""
        return ~np.kron(self.empty, np.ones((BIN, BIN), dtype=np.bool_))


def case_of(order: int, shape: tuple[int, int], seed: int, gaps: float = 0.0) -> Case:
    """Fit an unweighted polynomial to noise in which a share of the cells is missing."""
    empty = RNG(seed).random(shape) < gaps
    bad = np.kron(empty, np.ones((BIN, BIN), dtype=np.bool_))
    bad[0, 0] = False
    config = MatchConfig(bin_size=BIN, use_polynomial=True, order=order, approx_weighting=False)
    match = leave(*pair(white_noise(RNG(seed), *bad.shape), bad), config)
    assert isinstance(match.model, ChebyshevBackground)
    return Case(match.model.order_used, empty, match.model, match.tiles)


def cell_means(case: Case) -> Doubles:
    """Return the matrix from pixels to means of the cells that are not empty."""
    ny, nx = case.empty.shape
    cells = np.arange(ny * nx).reshape(ny, nx)[~case.empty]
    owner = np.kron(np.arange(ny * nx).reshape(ny, nx), np.ones((BIN, BIN))).ravel()
    return np.array([(owner == cell) / BIN**2 for cell in cells])


def terms(case: Case) -> Doubles:
    """Return every term at every pixel, ``[terms, pixels]``, by the cosine."""
    ny, nx = case.empty.shape
    y, x = np.mgrid[: ny * BIN, : nx * BIN]
    u, v = (2 * (x + 0.5) / (nx * BIN) - 1).ravel(), (2 * (y + 0.5) / (ny * BIN) - 1).ravel()
    degrees = [(n - j, j) for n in range(case.order + 1) for j in range(n + 1)]
    return np.array([np.cos(i * np.arccos(u)) * np.cos(j * np.arccos(v)) for i, j in degrees])


def at_centres(case: Case) -> Doubles:
    """Return every term at the centres of the cells that are not empty."""
    ny, nx = case.empty.shape
    y, x = np.argwhere(~case.empty).T
    u, v = 2 * (x + 0.5) / nx - 1, 2 * (y + 0.5) / ny - 1
    degrees = [(n - j, j) for n in range(case.order + 1) for j in range(n + 1)]
    return np.array([np.cos(i * np.arccos(u)) * np.cos(j * np.arccos(v)) for i, j in degrees])


def response(case: Case) -> Doubles:
    """Return the matrix from the cells' values to the polynomial at every pixel."""
    return np.asarray(terms(case).T @ np.linalg.pinv(at_centres(case).T))


def tile_means(case: Case) -> list[Doubles]:
    """Return, for each tile that counts, the shares of the pixels in its mean."""
    found = []
    for j, i in np.argwhere(case.tiles.counting):
        mask = np.zeros(case.pixels.shape)
        y, x = case.tiles.y_edges[j : j + 2], case.tiles.x_edges[i : i + 2]
        mask[y[0] : y[1], x[0] : x[1]] = 1.0
        found.append(mask.ravel())
    return found


@pytest.mark.parametrize(("order", "shape"), [(0, (2, 3)), (1, (4, 3)), (2, (5, 5)), (4, (5, 7))])
@pytest.mark.parametrize("gaps", [0.0, 0.25])
def test_what_is_left_is_that_of_the_pixels(
    order: int, shape: tuple[int, int], gaps: float
) -> None:
    """Variances of tiles and windows are those that the noise of every pixel adds up to."""
    case = case_of(order, shape, 5, gaps)
    model, cells, good = response(case), cell_means(case), case.pixels.ravel()
    left = []
    for tile in tile_means(case):
        noise = tile * good / (tile * good).sum()
        left.append(noise - (tile / tile.sum()) @ model @ cells)
    of_pixels = np.array(left)
    alone = [1 / (tile * good).sum() for tile in tile_means(case)]
    found = noise_left(case.model, case.tiles, 1.0)
    np.testing.assert_allclose(found.tiles, (of_pixels**2).sum(axis=1) / alone, rtol=1e-6)
    windows = windows_of(case)
    if windows:
        expected = [
            (of_pixels[w].sum(axis=0) ** 2).sum() / np.array(alone)[w].sum() for w in windows
        ]
        assert found.window == pytest.approx(np.mean(expected), rel=1e-6)
    else:
        assert np.isnan(found.window)


def windows_of(case: Case) -> list[list[int]]:
    """Return the tiles of every window of which five count, numbered among those that count."""
    ny, nx = len(case.tiles.y_edges) - 1, len(case.tiles.x_edges) - 1
    numbers = np.full((ny, nx), -1)
    numbers[case.tiles.counting] = range(case.tiles.count)
    found = [
        [int(n) for n in numbers[j : j + 3, i : i + 3].ravel() if n >= 0]
        for j in range(ny - 2)
        for i in range(nx - 2)
    ]
    return [window for window in found if len(window) >= 5]


def test_a_spread_adds_to_the_noise_of_the_model() -> None:
    """Where the cells' statistic scatters more, so does the model, and what it shares stays."""
    case = case_of(3, (6, 6), 1)
    one, two, three = (noise_left(case.model, case.tiles, s).tiles for s in (1.0, 2.0, 3.0))
    assert (two > one).all()
    np.testing.assert_allclose(three - two, two - one, rtol=1e-9)


def test_it_is_what_matches_of_noise_leave() -> None:
    """Over 400 matches the tiles scatter as is worked out."""
    order, shape = 4, (6, 5)
    case = case_of(order, shape, 0)
    offsets = np.array([case_of(order, shape, seed).tiles.offsets for seed in range(400)])
    scatter = offsets.reshape(400, -1).var(axis=0) * BIN**2
    worked_out = noise_left(case.model, case.tiles, 1.0).tiles
    np.testing.assert_allclose(scatter, worked_out, rtol=0.35)
    assert scatter.mean() == pytest.approx(worked_out.mean(), rel=0.06)


@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_shares_of_the_level_are_those_of_the_fit(gaps: float) -> None:
    """The mean over the image follows each cell by its share, and all of them add up to 1."""
    case = case_of(3, (6, 7), 2, gaps)
    known = (~case.empty).astype(np.float64)
    shares = mean_shares(case.model, known)
    expected = response(case).mean(axis=0)
    np.testing.assert_allclose(shares[~case.empty], expected, rtol=1e-8, atol=1e-12)
    assert (shares[case.empty] == 0).all()
    assert shares.sum() == pytest.approx(1.0)


def test_shares_follow_the_weights() -> None:
    """A cell that weighs a million times what the others do is where the level is."""
    case = case_of(0, (4, 4), 3)
    weights = np.ones((4, 4))
    weights[2, 1] = 1e6
    assert mean_shares(case.model, weights)[2, 1] == pytest.approx(1.0, abs=2e-5)


def test_what_is_not_determined_is_not_known() -> None:
    """Of cells that do not determine the polynomial nothing is told."""
    case = case_of(2, (5, 5), 4)
    weights = np.zeros((5, 5))
    weights[1] = 1.0
    assert np.isnan(mean_shares(case.model, weights)).all()
    assert np.isnan(mean_shares(case.model, np.zeros((5, 5)))).all()


@LAW
@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 1000))
def test_whitening_divides_by_the_root(size: int, count: int, seed: int) -> None:
    """Products of whitened vectors are those with the inverse of the matrix between."""
    rng = RNG(seed)
    root = rng.normal(size=(size, size)) + 3 * np.eye(size)
    matrix, vectors = root @ root.T, rng.normal(size=(size, count))
    expected = vectors.T @ np.linalg.inv(matrix) @ vectors
    found = vectors.copy()
    assert whiten(matrix.copy(), found) > 0
    np.testing.assert_allclose(found.T @ found, expected, rtol=1e-6, atol=1e-9)


def test_a_singular_matrix_is_told() -> None:
    """Where a matrix has no inverse, next to nothing is left of an element of its diagonal."""
    assert not whiten(np.ones((3, 3)), np.ones((3, 1))) > 1e-12
    assert not whiten(np.zeros((2, 2)), np.ones((2, 1))) > 1e-12


@pytest.mark.parametrize("statistic", list(GridStatistic))
def test_a_whole_line_of_bins_may_be_missing(statistic: GridStatistic) -> None:
    """With columns of empty cells what counts is worked out, and is finite."""
    bad = np.zeros((48, 48), dtype=np.bool_)
    bad[:, :18] = True
    bad[0, 0] = False
    config = MatchConfig(bin_size=BIN, use_polynomial=True, order=2, grid_statistic=statistic)
    match = leave(*pair(white_noise(RNG(1), 48, 48), bad), config)
    assert isinstance(match.model, ChebyshevBackground)
    left = noise_left(match.model, match.tiles, 1.0)
    assert left.tiles.size == match.tiles.count
    assert np.isfinite(left.tiles).all()
    assert (left.tiles > 0).all()


def test_tiles_over_cells_without_a_value_are_not_told() -> None:
    """A tile whose cells all lack a value, though they have pixels, is left out."""
    case = case_of(1, (6, 6), 6)
    values = case.model.values.copy()
    values[2:4, 2:4] = np.nan
    left = noise_left(replace(case.model, values=values), case.tiles, 1.0)
    assert left.tiles.size == case.tiles.count - 1
    assert np.isfinite(left.tiles).all()
