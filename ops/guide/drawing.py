"""The cures as a figure and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ops.guide.cures import Cure

__all__ = ["draw", "table"]

_STYLES: Mapping[str, Mapping[str, Any]] = {
    "truth": {"color": "0.6", "linewidth": 4},
    "lsst": {"color": "#c44e52", "linewidth": 1.6},
    "survey": {"color": "#2a6f97", "linewidth": 1.6, "linestyle": "--"},
}


def draw(cures: Sequence[Cure], file: Path) -> None:
    """Draw one panel a cure, side by side.

    Parameters
    ----------
    cures : sequence of Cure
    file : Path
        PNG to be written.
    """
    figure = Figure(figsize=(5 * len(cures), 4.2), layout="constrained")
    for axes, cure in zip(figure.subplots(1, len(cures), squeeze=False)[0], cures, strict=True):
        _panel(axes, cure)
    figure.savefig(file, dpi=70, metadata={"Software": None})


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
    axes.set(title=cure.title, xlabel=cure.x_label, ylabel=cure.y_label)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
