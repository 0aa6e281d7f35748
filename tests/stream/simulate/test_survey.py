"""The survey as a whole: warps and their truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core import MatchConfig, match_background
from stream.simulate import SimulatedWarp, SurveySpec, simulate
from stream.simulate.layout import good_pixels
from stream.simulate.skies import sky_of


def of_group(warps: list[SimulatedWarp], band: str, patch: int) -> list[SimulatedWarp]:
    """Return one group's warps."""
    return [w for w in warps if w.plan.band == band and w.box.patch == patch]


def test_flaws_are_what_was_planted(spec: SurveySpec, warps: list[SimulatedWarp]) -> None:
    """A warp is flawed by a step that crosses it, a quarter without data, or no detection."""
    for warp in warps:
        covered = np.isfinite(warp.image.image)
        stepped = sky_of(spec, warp.plan)
        plain = sky_of(spec, dataclasses.replace(warp.plan, amplifier_step=False))
        cut = np.s_[:, warp.box.offset : warp.box.offset + spec.size]
        higher = ((stepped - plain)[cut] > 1.0)[covered].mean()
        flaws = {
            "amplifier_step": 0.1 < higher < 0.9,
            "gap": covered.mean() < 0.75,
            "undetected": not (warp.image.mask & warp.image.bits(["DETECTED"])).any(),
        }
        assert warp.flaws == tuple(name for name, there in flaws.items() if there)
    found = [flaw for warp in warps for flaw in warp.flaws]
    assert {"amplifier_step", "gap", "undetected"} == set(found)


def test_every_visit_is_on_every_patch(spec: SurveySpec, warps: list[SimulatedWarp]) -> None:
    """There is one warp for each visit, band and patch, each of the patch's size and place."""
    assert len(warps) == spec.patches * spec.visits * len(spec.bands)
    assert len({(w.plan.visit, w.box.patch) for w in warps}) == len(warps)
    for warp in warps:
        assert warp.image.shape == (spec.size, spec.size)
        assert warp.image.origin == (warp.box.x0, warp.box.y0)
        assert warp.sky.shape == warp.sources.shape == warp.image.shape


def test_neighbouring_patches_share_their_pixels(
    spec: SurveySpec, warps: list[SimulatedWarp]
) -> None:
    """Where two patches overlap a visit's warps, skies and sources are the same."""
    left, right = warps[0], warps[1]
    assert left.plan is right.plan
    step, overlap = spec.size - spec.overlap, spec.overlap
    for of in ("sky", "sources"):
        assert np.array_equal(getattr(left, of)[:, step:], getattr(right, of)[:, :overlap])
    assert np.array_equal(
        left.image.image[:, step:], right.image.image[:, :overlap], equal_nan=True
    )
    assert np.array_equal(left.image.mask[:, step:], right.image.mask[:, :overlap])


def test_a_warp_is_its_truth_and_noise(warps: list[SimulatedWarp]) -> None:
    """(image - sky - sources) / sqrt(variance) is standard normal on good pixels of each warp."""
    for warp in warps:
        good = good_pixels(warp.image)
        truth = warp.sky.astype(float) + warp.sources
        pull = (warp.image.image - truth)[good] / np.sqrt(warp.image.variance[good])
        assert pull.var() == pytest.approx(1.0, abs=0.05)
        assert abs(pull.mean()) < 5 / np.sqrt(good.sum())


def test_two_runs_are_the_same_bytes_and_two_seeds_are_not() -> None:
    """The seed decides every pixel."""
    small = SurveySpec(seed=11, patches=1, visits=2, bands=("g",), size=96)
    first, again = (b"".join(_bytes(w) for w in simulate(small)) for _ in range(2))
    other = SurveySpec(seed=12, patches=1, visits=2, bands=("g",), size=96)
    assert first == again
    assert first != b"".join(_bytes(w) for w in simulate(other))


def _bytes(warp: SimulatedWarp) -> bytes:
    planes = (warp.image.image, warp.image.mask, warp.image.variance, warp.sky, warp.sources)
    return b"".join(plane.tobytes() for plane in planes)


def test_masks_are_those_of_a_pipeline(warps: list[SimulatedWarp]) -> None:
    """Over a group a pipeline's planes occur, and a good part of each warp can be matched."""
    group = of_group(warps, "r", warps[0].box.patch)
    seen = np.bitwise_or.reduce([np.bitwise_or.reduce(w.image.mask, axis=None) for w in group])
    for name in ("INTRP", "CR", "EDGE", "DETECTED", "NO_DATA"):
        assert seen & group[0].image.bits([name]), name
    assert all(good_pixels(w.image).mean() > 0.3 for w in group)


def test_stars_stay_where_they_are(warps: list[SimulatedWarp]) -> None:
    """The brightest good source of the first visit is bright at the same place in all visits."""
    group = of_group(warps, "r", warps[0].box.patch)
    y, x = np.unravel_index(np.argmax(group[0].sources), group[0].sources.shape)
    near = np.s_[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
    assert all(w.sources[near].max() == w.sources.max() for w in group)


def test_matching_finds_the_planted_difference(warps: list[SimulatedWarp]) -> None:
    """The model of reference - warp is the planted difference to a fraction of a pixel's noise."""
    reference, *others = of_group(warps, "i", warps[0].box.patch)
    for warp in others:
        model = match_background(reference.image, warp.image, MatchConfig(bin_size=48)).model
        good = good_pixels(reference.image) & good_pixels(warp.image)
        error = (model.image() - (reference.sky - warp.sky))[good]
        noise = np.sqrt(np.median(warp.image.variance[good]))
        assert np.sqrt(np.mean(error**2)) < 0.12 * noise
