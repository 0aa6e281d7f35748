"""The commands that simulate the sky: their tables are whole, and the guide shows them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core import MatchConfig
from ops import guide
from ops.skyconstants.__main__ import main
from ops.skyconstants.cores import on_all_cores
from ops.skyconstants.leftovers import LEFTOVERS, share_left
from ops.skyconstants.table import module, seeds_of
from ops.skyconstants.truth import report

PAGE = Path(guide.__file__).with_name("truth.md").read_text()


def shape(lines: list[str]) -> list[str]:
    """Return titles, heads and first cells of tables: all but what is counted and measured."""
    kept = [line for line in lines if line.startswith(("## ", "| "))]
    return [line if line.startswith("## ") else line.split("|")[1] for line in kept]


def test_the_page_has_the_tables_of_today() -> None:
    """Few seeds give the page's tables, row by row, but for the figures."""
    assert shape(list(report(0.001))) == shape(PAGE.splitlines())


def test_figures_on_the_page_are_as_good_as_is_said() -> None:
    """The pulls on the page keep within what the judgement of the sky promises."""
    table = PAGE.partition("## Pulls")[2].partition("\n## ")[0]
    rows = [row.split("|")[1:-1] for row in re.findall(r"^\| [A-Z].*, .*$", table, re.MULTILINE)]
    assert len(rows) >= 21
    for name, *cells in rows:
        white, white_sky, warped, warped_sky, kappa = map(float, cells)
        assert 0.95 < white < (1.1 if "MEANCLIP" in name else 1.05), name
        assert 0.95 < white_sky < 1.05, name
        # LSST's error of the median is for noise that is not correlated
        assert (0.87 if "MEDIAN" in name else 0.9) < warped < 1.15, name
        assert 0.9 < warped_sky < 1.1, name
        assert 1.2 < kappa < 1.3, name


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("wave of 3 bins", 0.4, 0.8), ("wave of 6 bins", 0.05, 0.2), ("bump, sigma 1 bin", 0.0, 0.2)],
)
def test_what_a_model_follows_of_a_sky(name: str, low: float, high: float) -> None:
    """A spline follows what is wide over its bins, and less of what is narrow."""
    config = MatchConfig(bin_size=16)
    assert low < share_left(config, LEFTOVERS[name], side=12, seeds=3) < high


def test_a_plane_is_followed_whole() -> None:
    """Next to nothing is left of a plane: a pixel in the corner is masked."""

    def slope(rng: np.random.Generator, side: int, size: int) -> NDArray[np.float64]:
        """Return a slope along both axes."""
        along = np.arange(side * size) * rng.uniform(0.5, 1.0) / size
        return np.asarray(np.add.outer(along, along), dtype=np.float64)

    assert share_left(MatchConfig(bin_size=16), slope, side=8, seeds=2) < 1e-3


def test_the_table_is_a_module_that_can_be_read() -> None:
    """What is printed is Python, with a row a fit and side, in the order of the fits."""
    names: dict[str, str] = {}
    exec(module((2, 3), 0.001), names)  # noqa: S102 - it is a module
    rows = [line.split() for line in names["TABLE"].strip().splitlines()]
    assert [len(row) for row in rows] == [11] * len(rows)
    assert [row[:2] for row in rows[:2]] == [["CONSTANT", "2"], ["CONSTANT", "3"]]
    assert {row[0] for row in rows} == {"CONSTANT", "CONSTANT/survey", "LINEAR", "NATURAL_SPLINE"}


def test_small_grids_have_more_seeds() -> None:
    """What a match tells grows with its tiles, and there is a least number of matches."""
    assert seeds_of(2) > seeds_of(9) > seeds_of(25) >= 250


def test_order_is_kept_on_all_cores() -> None:
    """What comes of many arguments comes in their order."""
    assert list(on_all_cores(abs, range(-20, 0))) == list(range(20, 0, -1))


@pytest.mark.parametrize("words", [[], ["tables"], ["table", "more"]])
def test_wrong_words_are_told_the_right_ones(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says how it is called, and ends with 2."""
    assert main(words) == 2
    assert "``table``" in capsys.readouterr().err
