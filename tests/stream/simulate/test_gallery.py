"""The pictures of a simulated survey."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from stream.simulate import SurveyManifest, group_truth
from stream.simulate.gallery import GroupOutcome, draw_coadd, draw_group


@pytest.fixture
def outcomes(survey: SurveyManifest) -> dict[str, GroupOutcome]:
    """Return exact models for every group, but one visit without any."""
    out = {}
    for group in survey.groups:
        truth = group_truth(survey, group)
        reference, *others, last = group.visits
        models = {v: truth[reference].sky - truth[v].sky for v in others}
        numbers = dict.fromkeys(others, 1.0)
        out[group.key] = GroupOutcome(reference, models, numbers, numbers, {last: "no overlap"})
    return out


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height of a PNG."""
    with Image.open(path) as image:
        image.load()
        return image.size


def test_a_coadd_over_all_patches_is_drawn(
    survey: SurveyManifest, outcomes: dict[str, GroupOutcome], tmp_path: Path
) -> None:
    """The picture is one for all patches of a band, a visit without a model left out of it."""
    draw_coadd(survey, "r", outcomes, tmp_path / "coadd.png")
    assert size_of(tmp_path / "coadd.png")[0] == 1600


def test_a_group_that_was_not_published_stays_out(
    survey: SurveyManifest, outcomes: dict[str, GroupOutcome], tmp_path: Path
) -> None:
    """The picture holds the groups that there are."""
    missing = next(group.key for group in survey.groups if group.band == "r")
    del outcomes[missing]
    draw_coadd(survey, "r", outcomes, tmp_path / "coadd.png")
    assert size_of(tmp_path / "coadd.png")[1] > 700


def test_a_groups_page_is_drawn(
    survey: SurveyManifest, outcomes: dict[str, GroupOutcome], tmp_path: Path
) -> None:
    """The page shows all visits but the reference, in two columns."""
    group = survey.groups[0]
    draw_group(survey, group, outcomes[group.key], tmp_path / "page.png")
    width, height = size_of(tmp_path / "page.png")
    assert 1500 < width < 1700
    assert 500 < height < 800
