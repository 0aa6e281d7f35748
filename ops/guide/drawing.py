"""The cures as a figure and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ops.guide.cures import Cure

__all__ = ["draw", "table"]

_STYLES: Mapping[str, Mapping[str, Any]] = {
    "truth": {"color": "0.6", "linewidth": 4},
    "lsst": {"color": "#c44e52", "linewidth": 1.6},
    "survey": {"color": "#2a6f97", "linewidth": 1.6, "linestyle": "--"},
}
_BESIDE = 3


def draw(cures: Sequence[Cure], file: Path) -> None:
    """Draw one panel a cure, three beside each other.

    Parameters
    ----------
    cures : sequence of Cure
    file : Path
        PNG to be written.
    """
    lines = -(-len(cures) // _BESIDE)
    figure = Figure(figsize=(4.6 * _BESIDE, 3.8 * lines), layout="constrained")
    for place, cure in enumerate(cures, start=1):
        _panel(figure.add_subplot(lines, _BESIDE, place), cure)
    figure.savefig(file, dpi=80, metadata={"Software": None})


def table(cures: Sequence[Cure]) -> str:
    """Return the numbers as a table in Markdown.

    Parameters
    ----------
    cures : sequence of Cure
    """
    rows = [
        f"| {cure.title} | {cure.measure} | {cure.numbers['lsst']:.3g} "
        f"| {cure.numbers['survey']:.3g} |"
        for cure in cures
    ]
    return "\n".join(["| cure | figure | lsst | survey |", "|---|---|--:|--:|", *rows])


def _panel(axes: Axes, cure: Cure) -> None:
    for name, line in cure.lines.items():
        axes.plot(cure.x, line, label=name, **_STYLES[name])
    if max(abs(line).max() for line in cure.lines.values()) > 20:  # noqa: PLR2004 - sigma of a cell
        axes.set_yscale("log")
    elif all((line % 1 == 0).all() for line in cure.lines.values()):
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title=cure.title, xlabel=cure.x_label, ylabel=cure.y_label)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
