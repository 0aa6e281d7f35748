"""Coadds, mosaics, thumbnails and stretches against slow twins and planted noise."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from core import MaskedImage, MatchConfig
from stream import page, pictures
from stream.drawing import Tile
from stream.page import Findings, VisitPanel, visit_panel
from stream.pictures import Coadd, coadd_before_after, mosaic

PLANES = {"BAD": 0, "SAT": 1, "CR": 3, "DETECTED": 5, "NO_DATA": 8}

Float = NDArray[np.float64]


def warp_of(rng: np.random.Generator, shape: tuple[int, int]) -> MaskedImage:
    """Return a warp of any values, some of them bad in one way or another."""
    image = rng.normal(10.0, 3.0, shape).astype(np.float32)
    image[rng.uniform(size=shape) < 0.1] = np.nan
    mask = (rng.uniform(size=shape) < 0.2).astype(np.int32) << int(rng.choice([0, 1, 3, 5, 8]))
    variance = rng.uniform(1.0, 9.0, shape).astype(np.float32)
    return MaskedImage(image, mask, variance, PLANES, origin=(7, 9))


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_a_coadd_is_that_of_the_slow_way(seed: int, count: int) -> None:
    """Each pixel is the mean of its good warps, weighted by one over their median variance."""
    rng = np.random.default_rng(seed)
    warps = [warp_of(rng, (5, 6)) for _ in range(count)]
    addends = [rng.normal(size=(5, 6)) for _ in warps]
    coadd = Coadd()
    for warp, addend in zip(warps, addends, strict=True):
        coadd.add(warp, addend)
    weights = []
    for warp in warps:
        good = np.isfinite(warp.image) & (warp.mask & 0b100001001 == 0)
        weights.append(1.0 / float(np.median(warp.variance[good])) if good.any() else 0.0)
    for place in np.ndindex(5, 6):
        total = weight = 0.0
        for warp, addend, inverse in zip(warps, addends, weights, strict=True):
            if math.isfinite(warp.image[place]) and not warp.mask[place] & 0b100001001:
                total += inverse * float(warp.image[place] + addend[place])
                weight += inverse
        expected = total / weight if weight else math.nan
        assert coadd.tile().image[place] == pytest.approx(expected, rel=1e-6, nan_ok=True)
    assert coadd.tile().origin == (7, 9)


TILES = st.lists(
    st.tuples(
        st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
        st.tuples(st.integers(1, 6), st.integers(1, 6)),
        st.integers(0, 99),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(TILES)
def test_a_mosaic_is_that_of_the_slow_way(
    drawn: list[tuple[tuple[int, int], tuple[int, int], int]],
) -> None:
    """Each pixel of the tract is the mean of the tiles that have it; nothing is added around."""
    tiles = []
    for origin, shape, seed in drawn:
        image = np.random.default_rng(seed).normal(size=shape)
        image[np.random.default_rng(seed + 1).uniform(size=shape) < 0.2] = np.nan
        tiles.append(Tile(image, origin))
    held: dict[tuple[int, int], list[float]] = {}
    for tile in tiles:
        for (y, x), value in np.ndenumerate(tile.image):
            values = held.setdefault((y + tile.origin[1], x + tile.origin[0]), [])
            if math.isfinite(value):
                values.append(float(value))
    whole = mosaic(tiles)
    x0, y0 = whole.origin
    assert (y0, x0) == (min(y for y, _ in held), min(x for _, x in held))
    height, width = whole.image.shape
    assert (y0 + height - 1, x0 + width - 1) == (max(y for y, _ in held), max(x for _, x in held))
    for (y, x), value in np.ndenumerate(whole.image):
        values = held.get((y + y0, x + x0), [])
        expected = sum(values) / len(values) if values else math.nan
        assert value == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("size", [100, 150, 151, 450])
def test_a_panels_noise_is_the_scatter_of_what_it_shows(size: int) -> None:
    """With the planted model taken away a panel's residual scatters by the noise it names."""
    rng = np.random.default_rng(size)

    def noisy(level: float, variance: float) -> MaskedImage:
        image = level + math.sqrt(variance) * rng.normal(size=(size, size))
        planes = np.zeros((size, size), np.int32), np.full((size, size), variance, np.float32)
        return MaskedImage(image.astype(np.float32), *planes, PLANES)

    warps, model = (noisy(50.0, 9.0), noisy(20.0, 16.0)), np.full((size, size), 30.0)
    for bin_size in (4, 32):
        panel = visit_panel(Findings(visit=3), *warps, model, MatchConfig(bin_size=bin_size))
        scatter = panel.residual[:-1, :-1]
        error = 4 / math.sqrt(2 * scatter.size)
        assert scatter.std() == pytest.approx(panel.residual_noise, rel=error)
        assert abs(scatter.mean()) < 5 * panel.residual_noise / math.sqrt(scatter.size)
        shown = panel.difference[:-1, :-1]
        assert shown.std() == pytest.approx(panel.noise, rel=4 / math.sqrt(2 * shown.size))


def test_stars_do_not_hide_the_sky_that_is_left() -> None:
    """What a few bright pixels leave does not colour their block; hardly seen blocks are grey."""
    rng = np.random.default_rng(5)
    image = rng.normal(0.0, 1.0, (320, 320))
    image[::16, ::16] = 500.0
    image[:40, :20] = np.nan
    means, noise = page._averaged(image, 20)  # noqa: SLF001 - without a drawing
    assert np.isnan(means[:2, 0]).all()
    left = means[np.isfinite(means)]
    assert left.size == 256 - 2
    assert noise == pytest.approx(1 / 20, rel=0.05)
    assert np.abs(left).max() < 5 * noise


def panel_of(findings: Findings | None = None, model: Float | None = None) -> VisitPanel:
    """Return a small panel."""
    image = np.arange(12.0).reshape(3, 4)
    return VisitPanel(
        findings=findings or Findings(visit=1), difference=image, model=model, residual=image,
        box=(0, 4, 0, 3), noise=0.5, residual_noise=0.5,
    )  # fmt: skip


FIGURES = st.tuples(
    st.none() | st.floats(0.1, 50.0),
    st.none() | st.floats(0.1, 50.0),
    st.sampled_from(["accept", "reject", "none"]),
)


@settings(derandomize=True, max_examples=60)
@given(st.lists(FIGURES, max_size=40))
def test_a_page_shows_no_better_visit_than_one_it_hides(
    figures: list[tuple[float | None, float | None, str]],
) -> None:
    """Of more than 24 visits the worst are shown: without a model, then rejected, then by chi2."""
    panels = [
        panel_of(Findings(visit=visit, ratio=ratio, sky_chi2=chi2, verdict=verdict))
        for visit, (ratio, chi2, verdict) in enumerate(figures)
    ]
    visits = [one.findings.visit for one in page._worst(panels)]  # noqa: SLF001 - what is shown, without pixels
    assert len(visits) == min(24, len(panels))
    assert visits == sorted(visits)
    badness = []
    for ratio, chi2, verdict in figures:
        figure = chi2 if chi2 is not None else ratio if ratio is not None else math.inf
        badness.append((1000.0 if verdict == "reject" or figure == math.inf else 0.0) + figure)
    hidden = [badness[n] for n in range(len(figures)) if n not in visits]
    assert not hidden or max(hidden) <= min(badness[n] for n in visits)


def test_a_span_is_the_models_with_room_for_the_noise() -> None:
    """Both are drawn over the model's range where it is seen, and two sigma on each side."""
    model = np.linspace(0.0, 100.0, 1001).reshape(7, 143)
    panel = dataclasses.replace(panel_of(model=model), difference=np.zeros((7, 143)))
    assert page._span(panel) == pytest.approx((0.5 - 1.0, 99.5 + 1.0))  # noqa: SLF001 - the formula itself
    panel.difference[3:] = np.nan
    low, high = page._span(panel)  # noqa: SLF001 - as above
    assert (low, high) == pytest.approx((0.0 - 1.0, 42.8 + 1.0), abs=0.3)
    assert page._span(panel_of()) == pytest.approx((0.055 - 1.0, 10.945 + 1.0))  # noqa: SLF001 - as above


@settings(derandomize=True, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.1, 100.0), st.booleans())
def test_a_stretch_holds_the_sky_and_grows_with_it(seed: int, scale: float, both: bool) -> None:
    """Most of a sky is inside, symmetric if asked for; twice the sky has twice the range."""
    image = np.random.default_rng(seed).normal(0.0, scale, (40, 50))
    image[:5] = np.nan
    low, high = pictures._stretch([image, image / 2], symmetric=both)  # noqa: SLF001 - the formula itself
    inside = (image[5:] >= low) & (image[5:] <= high)
    assert inside.mean() > 0.9
    assert low < 0.0 < high
    assert not both or low == -high
    wider = pictures._stretch([2 * image, image], symmetric=both)  # noqa: SLF001 - as above
    assert wider == pytest.approx((2 * low, 2 * high), rel=1e-6)


def test_an_empty_stretch_is_still_a_range() -> None:
    """Images without a finite pixel, and flat ones, are drawn over a range that is not empty."""
    assert pictures._stretch([np.full((2, 2), np.nan)], symmetric=True) == (-1.0, 1.0)  # noqa: SLF001 - as above
    for symmetric in (True, False):
        low, high = pictures._stretch([np.zeros((4, 4))], symmetric=symmetric)  # noqa: SLF001 - as above
        assert low < high


def shades(path: Path) -> tuple[Float, Float]:
    """Return the grey levels in the middles of the left and the right panel of a coadd."""
    with Image.open(path) as image:
        grey = np.asarray(image.convert("L"), dtype=float)
    height, width = grey.shape
    rows = slice(int(0.4 * height), int(0.6 * height))
    return grey[rows, int(0.12 * width) : int(0.38 * width)], grey[
        rows, int(0.56 * width) : int(0.82 * width)
    ]


def test_before_and_after_are_drawn_at_one_stretch(tmp_path: Path) -> None:
    """A step that was taken out is seen at the left and not at the right, noise alike in both."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0.0, 1.0, (300, 400))
    step = np.where(np.arange(400) < 200, -4.0, 4.0)[None, :]
    path = tmp_path / "coadd.png"
    coadd_before_after(path, Tile(noise + step), Tile(noise), title="t", unit="count")
    left, right = shades(path)
    split = [half[:, -60:].mean() - half[:, :60].mean() for half in (left, right)]
    assert split[0] > 60
    assert abs(split[1]) < 15
    assert left[:, :60].std() == pytest.approx(right[:, :60].std(), rel=0.5)
