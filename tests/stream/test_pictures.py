"""Pictures: what is drawn is right, and drawing never fails on what real warps hold."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from core import MaskedImage, MatchConfig, match_backgrounds
from stream import page
from stream.drawing import Tile, block_mean
from stream.page import Findings, VisitPanel, group_page, visit_panel
from stream.pictures import Coadd, coadd_before_after, mosaic
from stream.simulate import SurveySpec, simulate

PLANES = {"BAD": 0, "SAT": 1, "CR": 3, "DETECTED": 5, "NO_DATA": 8}
FINE = MatchConfig(bin_size=2)
"""Bins so small that residuals are drawn as fine as differences."""


def flat(
    level: float,
    *,
    shape: tuple[int, int] = (60, 80),
    variance: float = 4.0,
    origin: tuple[int, int] = (0, 0),
    noise: float = 0.0,
) -> MaskedImage:
    """Return a warp of one level."""
    rng = np.random.default_rng(int(level))
    return MaskedImage(
        (level + noise * rng.normal(size=shape)).astype(np.float32),
        np.zeros(shape, dtype=np.int32),
        np.full(shape, variance, dtype=np.float32),
        PLANES,
        origin=origin,
    )


def holed(warp: MaskedImage, plane: str, value: float = 1e9) -> MaskedImage:
    """Return the warp with a masked corner of a foolish value."""
    image, mask = warp.image.copy(), warp.mask.copy()
    image[:20, :20] = value
    mask[:20, :20] |= 1 << PLANES[plane]
    return MaskedImage(image, mask, warp.variance, PLANES, origin=warp.origin)


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height of a PNG."""
    with Image.open(path) as image:
        image.load()
        return image.size


def colours_of(path: Path) -> int:
    """Return how many colours a PNG has: an empty picture has few."""
    with Image.open(path) as image:
        return len(image.convert("RGB").getcolors(1 << 24) or [])


def test_a_coadd_weighs_by_inverse_variance() -> None:
    """Levels 10 and 20 with variances 1 and 4 make 12."""
    coadd = Coadd()
    coadd.add(flat(10, variance=1.0))
    coadd.add(flat(20, variance=4.0))
    assert np.allclose(coadd.tile().image, 12.0)


def test_a_coadd_takes_the_models() -> None:
    """With the models added the coadd is that of the reference's level."""
    coadd = Coadd()
    coadd.add(flat(10))
    coadd.add(flat(25), np.full((60, 80), -15.0, dtype=np.float32))
    assert np.allclose(coadd.tile().image, 10.0)


@pytest.mark.parametrize("plane", ["BAD", "CR", "NO_DATA"])
def test_a_coadd_leaves_bad_pixels_out(plane: str) -> None:
    """A pixel bad in one warp is that of the other; bad in all, it is NaN."""
    one, both = Coadd(), Coadd()
    for warp in (flat(10), holed(flat(10), plane)):
        one.add(warp)
        both.add(holed(warp, plane))
    assert np.allclose(one.tile().image, 10.0)
    assert np.isnan(both.tile().image[:20, :20]).all()
    assert np.allclose(both.tile().image[20:], 10.0)


def test_a_coadd_keeps_its_sources() -> None:
    """Detected pixels belong into a coadd though a match does not use them."""
    coadd = Coadd()
    coadd.add(holed(flat(10), "DETECTED", 500.0))
    assert np.allclose(coadd.tile().image[:20, :20], 500.0)


def test_a_warp_without_a_good_pixel_changes_nothing() -> None:
    """A warp that is all NaN, and a model with NaN, add nothing where they are NaN."""
    coadd = Coadd()
    coadd.add(flat(10))
    empty = flat(10)
    coadd.add(MaskedImage(np.full_like(empty.image, np.nan), empty.mask, empty.variance, PLANES))
    coadd.add(flat(30), np.full((60, 80), np.nan))
    assert np.allclose(coadd.tile().image, 10.0)


def test_an_empty_coadd_says_so() -> None:
    """A coadd of nothing is refused."""
    with pytest.raises(ValueError, match="no warp was added"):
        Coadd().tile()


def test_a_mosaic_puts_tiles_where_they_lie() -> None:
    """Tiles lie at their origins, overlaps are averaged, gaps are NaN."""
    left = Tile(np.full((4, 6), 1.0), (10, 5))
    right = Tile(np.full((4, 6), 3.0), (14, 7))
    whole = mosaic([right, left])
    assert whole.origin == (10, 5)
    assert whole.image.shape == (6, 10)
    assert whole.image[0, 0] == 1.0
    assert whole.image[2, 4] == 2.0
    assert whole.image[5, 9] == 3.0
    assert np.isnan(whole.image[0, 9])


def test_a_tiles_box_is_its_pixels_edges() -> None:
    """Pixel centres are integers, so edges lie at halves."""
    assert Tile(np.zeros((4, 6)), (10, 5)).box == (9.5, 15.5, 4.5, 8.5)


@pytest.mark.parametrize("factor", [1, 2, 3, 7])
def test_block_means_are_means_of_what_is_finite(factor: int) -> None:
    """Each block is the mean of its finite pixels; the slow way gives the same."""
    rng = np.random.default_rng(factor)
    image = rng.normal(size=(23, 31))
    image[rng.uniform(size=image.shape) < 0.3] = np.nan
    image[:factor, :factor] = np.nan
    fast = block_mean(image, factor)
    for (j, i), value in np.ndenumerate(fast):
        block = image[j * factor : (j + 1) * factor, i * factor : (i + 1) * factor]
        good = block[np.isfinite(block)]
        assert np.isnan(value) if good.size == 0 else value == pytest.approx(good.mean())


def test_a_panel_shows_reference_less_warp_and_the_rest() -> None:
    """Difference is reference - warp, residual that less the model, masked pixels are NaN."""
    found = Findings(visit=7, fit_rms=0.5, ratio=1.1, sky_chi2=1.25, verdict="accept")
    warp = holed(flat(10), "DETECTED")
    panel = visit_panel(found, flat(30), warp, np.full((60, 80), 18.0), FINE)
    good = np.isfinite(panel.difference)
    assert np.allclose(panel.difference[good], 20.0)
    assert np.allclose(panel.residual[good], 2.0)
    assert not good[:19, :19].any()
    assert good[20:].all()
    assert panel.noise == pytest.approx(np.sqrt(8.0))
    assert panel.titles == (
        "visit 7: accept\ndifference",
        "model\nfit_rms 0.5",
        "residual, sky_chi2 1.25\nmse/var 1.100",
    )


def test_a_panels_planes_are_those_of_the_config() -> None:
    """What a match does not use is grey: another list of planes, other grey pixels."""
    config = MatchConfig(bad_mask_planes=("SAT",))
    warp = holed(flat(10), "DETECTED", 5.0)
    panel = visit_panel(Findings(visit=7), flat(30), warp, None, config)
    assert np.isfinite(panel.difference).all()


def test_large_warps_are_averaged_and_their_noise_with_them() -> None:
    """A thumbnail has at most some hundred pixels a side, its noise falls with their number."""
    warps = flat(9, shape=(600, 450)), flat(8, shape=(600, 450))
    panel = visit_panel(Findings(visit=1), *warps, None, MatchConfig(bin_size=64))
    assert max(panel.difference.shape) <= 150
    assert panel.noise == pytest.approx(np.sqrt(8.0) / 4)
    assert panel.residual.shape == (22, 17)


@pytest.mark.parametrize(
    ("shape", "bin_size", "blocks"),
    [((4200, 4200), 256, 128), ((489, 489), 256, 30), ((96, 96), 8, 4), ((30, 30), 64, 1)],
)
def test_residuals_are_averaged_to_the_scale_of_the_bins(
    shape: tuple[int, int], bin_size: int, blocks: int
) -> None:
    """To half a bin, while there are sixteen blocks a side, and never finer than else."""
    assert page._factors(shape, bin_size)[1] == blocks  # noqa: SLF001 - the formula itself


@pytest.mark.parametrize(
    ("shape", "errors"), [((60, 80), False), ((120, 60), False), ((60, 400), True)]
)
def test_a_coadds_picture_is_about_1600_pixels_wide(
    tmp_path: Path, shape: tuple[int, int], errors: bool
) -> None:
    """The picture is readable on a screen, whatever the shape of the field."""
    tiles = [Tile(np.random.default_rng(k).normal(size=shape), (100, 200)) for k in range(4)]
    path = tmp_path / "deep" / "coadd.png"
    coadd_before_after(
        path,
        tiles[0],
        tiles[1],
        title="A field",
        unit="count",
        errors=(tiles[2], tiles[3]) if errors else None,
    )
    assert size_of(path)[0] == 1600
    assert colours_of(path) > 200


def panels_of(count: int) -> list[VisitPanel]:
    """Return `count` panels with falling mse/variance."""
    reference = flat(30, noise=2.0)
    return [
        visit_panel(
            Findings(visit=visit, fit_rms=0.01, ratio=2.0 - 0.01 * visit),
            reference,
            flat(10 + visit, noise=2.0),
            np.full((60, 80), 20.0 - visit),
        )
        for visit in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_page_takes_any_number_of_visits(tmp_path: Path, count: int) -> None:
    """None, one, two or many visits make a page; it grows in height."""
    path = tmp_path / "page.png"
    group_page(path, panels_of(count), reference=30, title="a/b/1/2/r", unit="count")
    width, height = size_of(path)
    assert 700 <= width <= 1700
    assert height < 1300


def test_a_page_of_hundreds_shows_the_worst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page is bounded: of 60 visits it draws those of largest mse/variance, in order."""
    panels = panels_of(60)
    shown = [panel.findings.visit for panel in page._worst(panels)]  # noqa: SLF001 - what is shown, without pixels
    assert shown == list(range(24))
    monkeypatch.setattr(page, "_PAGE", 4)
    group_page(tmp_path / "page.png", panels, reference=30, title="g", unit="count")
    assert size_of(tmp_path / "page.png")[1] < 700


def test_visits_without_models_are_shown_with_the_reason(tmp_path: Path) -> None:
    """No overlap, all masked, all NaN: the page is drawn and says why."""
    nothing = flat(10)
    nothing = MaskedImage(
        np.full_like(nothing.image, np.nan),
        nothing.mask,
        np.full_like(nothing.variance, np.inf),
        PLANES,
    )
    panel = visit_panel(Findings(visit=5, note="no overlap"), flat(30), nothing, None)
    assert panel.titles == ("visit 5\ndifference", "no overlap\n", "residual\n")
    group_page(tmp_path / "page.png", [panel], reference=30, title="g", unit="count")
    empty = Tile(np.full((30, 40), np.nan))
    coadd_before_after(tmp_path / "coadd.png", empty, empty, title="nothing", unit="count")
    assert size_of(tmp_path / "coadd.png")[0] == 1600


@pytest.mark.parametrize(
    ("reasons", "said"),
    [((), "difference"), (("coverage",), "coverage"), (("sky_chi2", "x"), "sky_chi2, ...")],
)
def test_a_panel_says_why_it_was_rejected(reasons: tuple[str, ...], said: str) -> None:
    """The first reason stands in the heading, and whether there are more."""
    found = Findings(visit=5, verdict="reject", reasons=reasons)
    panel = visit_panel(found, flat(30), flat(10), None)
    assert panel.titles[0] == f"visit 5: reject\n{said}"


def test_a_rejected_visit_is_seen_at_a_glance(tmp_path: Path) -> None:
    """Its heading is red and its worst block is framed; an accepted one has neither."""
    drawn = []
    for verdict in ("accept", "reject"):
        worst = (20.0, 50.0, 10.0, 40.0) if verdict == "reject" else None
        found = Findings(visit=5, verdict=verdict, worst=worst, sky_chi2=9.0)
        panel = visit_panel(found, flat(30), flat(10), np.full((60, 80), 20.0), FINE)
        path = tmp_path / f"{verdict}.png"
        group_page(path, [panel], reference=1, title="g", unit="count")
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"), dtype=int)
        red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
        reddish = (red > 150) & (green < 60) & (blue < 60)
        drawn.append((int(reddish.sum()), int((pixels == (0, 166, 214)).all(axis=-1).sum())))
    assert drawn[0] == (0, 0)
    assert min(drawn[1]) > 50


def test_titles_are_text_not_mathematics(tmp_path: Path) -> None:
    """Names with dollar signs are drawn as they are: they come from strangers."""
    panel = visit_panel(Findings(visit=5, note="failed: $x_{"), flat(30), flat(10), None)
    group_page(tmp_path / "page.png", [panel], reference=1, title="$\\frac{\u661f", unit="$")
    tile = Tile(np.random.default_rng(1).normal(size=(30, 40)))
    coadd_before_after(tmp_path / "coadd.png", tile, tile, title="$\\frac{$", unit="$a$")
    assert size_of(tmp_path / "page.png")[0] > 0


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    """No figure stays behind, no setting is changed: a library's picture is no global state."""
    before = dict(mpl.rcParams)
    group_page(tmp_path / "page.png", panels_of(1), reference=3, title="g", unit="count")
    assert dict(mpl.rcParams) == before


def test_matching_flattens_the_coadd() -> None:
    """On a simulated group the coadd's error against truth is an order smaller after matching."""
    spec = SurveySpec(seed=2, patches=1, visits=5, bands=("r",), size=192)
    warps = list(simulate(spec))
    results = match_backgrounds(
        [warp.image for warp in warps], MatchConfig(bin_size=48), reference=0
    )
    before, after = Coadd(), Coadd()
    for warp, result in zip(warps, results, strict=True):
        truth = warp.sources + warps[0].sky
        before.add(warp.image, -truth)
        model = 0.0 if result.model is None else result.model.image()
        after.add(warp.image, model - truth)
    spread = [np.nanstd(block_mean(c.tile().image, 16)) for c in (before, after)]
    assert spread[0] > 5 * spread[1]
