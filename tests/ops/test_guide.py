"""The guide's figures: what is claimed of profile `survey` is what the code does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core import MaskedImage
from ops import guide
from ops.guide.cures import ALL, Cure
from ops.guide.drawing import draw, table
from stream import fits

PROFILES = {"lsst", "survey"}
PAGE = Path(guide.__file__).with_name("matching.md").read_text()


def warp_files(folder: Path) -> list[Path]:
    """Write two warps of one patch under skies of their own, with a source in each."""
    random, files = np.random.default_rng(5), []
    for visit, slope in ((1, 0.0), (2, 0.02)):
        image = random.normal(20.0 * visit, 3.0, (320, 320)) + slope * np.arange(320)
        mask = np.zeros(image.shape, dtype=np.int32)
        mask[40:44, 60:64] = 1
        variance = np.full(image.shape, 9.0, dtype=np.float32)
        exposure = MaskedImage(image.astype(np.float32), mask, variance, {"DETECTED": 0})
        files.append(folder / f"{visit}.fits")
        files[-1].write_bytes(fits.encode(exposure, {"VISIT": visit}))
    return files


@pytest.fixture(scope="module")
def cures() -> list[Cure]:
    """Every cure, computed once."""
    return [made() for made in ALL]


@pytest.mark.parametrize("made", ALL, ids=lambda made: made.__name__)
def test_a_cure_cures(made: Callable[[], Cure]) -> None:
    """What a fault comes to in profile lsst is at most half as much in profile survey."""
    numbers = made().numbers
    assert set(numbers) == PROFILES
    assert numbers["lsst"] > 0
    assert numbers["survey"] <= numbers["lsst"] / 2


def test_lines_belong_to_their_figure(cures: list[Cure]) -> None:
    """Every line has a finite value wherever its figure has a position, for both profiles."""
    for cure in cures:
        assert set(cure.lines) - {"truth"} == PROFILES
        assert all(line.shape == cure.x.shape for line in cure.lines.values())
        assert all(np.isfinite(line).all() for line in cure.lines.values())


def test_the_figure_and_the_table_are_whole(cures: list[Cure], tmp_path: Path) -> None:
    """The figure is a picture, and the table has a row a cure with both numbers."""
    draw(cures, tmp_path / "cures.png")
    assert (tmp_path / "cures.png").read_bytes().startswith(b"\x89PNG")
    rows = table(cures).splitlines()[2:]
    assert [row.count("|") for row in rows] == [5] * len(cures)
    assert all(cure.title in row for cure, row in zip(cures, rows, strict=True))


def test_the_page_tells_the_numbers_of_today(cures: list[Cure]) -> None:
    """The table on the page is the one that the code makes."""
    assert table(cures) in PAGE


def test_the_ten_lines_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines on the page, as they stand, match and judge two simulated warps."""
    lines = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    files = warp_files(tmp_path)
    for block in lines:
        exec(block, {"FILES": files})  # noqa: S102 - the page's own lines are what is tested
    assert "accept" in capsys.readouterr().out
