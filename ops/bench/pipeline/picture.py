"""Draws the way of a group: ``python -m ops.bench.pipeline.picture FILE.png [WARPS [SIDE]]``.

A real service on real warps, which are announced one after the other, a little faster than it
works them off.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

import schemas
from ops.bench.pipeline.serving import Note, Served, serving
from ops.bench.pipeline.warps import Stock, manifest
from stream.logs import configure_logs

__all__ = ["Bar", "Story", "draw", "story", "watch"]

_FIRST: Final = 1001
_COLOURS: Final[Mapping[str, str]] = {
    "fetch": "#8c8c8c",
    "map": "#c9c9c9",
    "decode": "#2a6f97",
    "lay": "#89c2d9",
    "measure": "#e9c46a",
    "match": "#c44e52",
}
_FETCHERS: Final = "fetching"
_USUAL: Final = ("100", "4200")


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that took time.

    Attributes
    ----------
    lane, stage : str
        Who did it, and what it was.
    start, seconds : float
    """

    lane: str
    stage: str
    start: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Story:
    """What is drawn; times are seconds since the first arrival.

    Attributes
    ----------
    arrivals : tuple of float
        When each became durable.
    frozen, publishing, published : float
        When the group was complete, and when its transaction began and ended.
    bars : tuple of Bar
    """

    arrivals: tuple[float, ...]
    frozen: float
    publishing: float
    published: float
    bars: tuple[Bar, ...]

    @property
    def wait(self) -> float:
        """From the last arrival to the begin of the publication, seconds."""
        return self.publishing - self.arrivals[-1]


def story(notes: Sequence[Note], arrivals: Sequence[float]) -> Story:
    """Order what a service has noted.

    Parameters
    ----------
    notes : sequence of Note
        Of one group, published once.
    arrivals : sequence of float
        When each became durable, by the clock of the notes.
    """
    zero = arrivals[0]
    jobs = [one for one in notes if one["what"] == "job"]
    lanes = {pid: f"worker {n}" for n, pid in enumerate(sorted({one["pid"] for one in jobs}), 1)}
    bars = [
        Bar(_FETCHERS, "fetch", one["began"] - zero, one["ended"] - one["began"])
        for one in notes
        if one["what"] == "fetched"
    ]
    for job in jobs:
        start = job["began"] - zero
        for stage, seconds in job["timings"].items():
            bars.append(Bar(lanes[job["pid"]], stage, start, seconds))
            start += seconds
    frozen, published = (_only(notes, what) for what in ("frozen", "published"))
    times = (frozen["began"] - zero, published["began"] - zero, published["ended"] - zero)
    return Story(tuple(at - zero for at in arrivals), *times, tuple(bars))


def _only(notes: Sequence[Note], what: str) -> Note:
    (found,) = (one for one in notes if one["what"] == what)
    return found


def draw(told: Story, file: Path) -> None:
    """Draw arrivals, work and waits over time.

    Parameters
    ----------
    told : Story
    file : Path
        PNG to be written.
    """
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    whole, end = figure.subplots(2, 1)
    _panel(whole, told)
    _panel(end, told)
    whole.set_title(f"A group of {len(told.arrivals)} warps, from the first arrival")
    before = max(told.wait, 0.05 * told.published, 0.2)
    end.set(xlim=(told.arrivals[-1] - before, told.published + 0.2 * before))
    end.set_title(f"Its end: {told.wait:.2f} s from the last arrival to the publication")
    end.set_xlabel("seconds")
    figure.legend(*_legend(whole), frameon=False, ncols=9, loc="outside lower center")
    figure.savefig(file, dpi=80, metadata={"Software": None})


def _panel(axes: Axes, told: Story) -> None:
    lanes = ["arrivals", *sorted({bar.lane for bar in told.bars})]
    places = {lane: place for place, lane in enumerate(reversed(lanes))}
    axes.eventplot(told.arrivals, lineoffsets=places["arrivals"], linelengths=0.6, colors="0.2")
    for stage in dict.fromkeys(bar.stage for bar in told.bars):
        many = [bar for bar in told.bars if bar.stage == stage]
        axes.barh(
            [places[bar.lane] for bar in many],
            [bar.seconds for bar in many],
            left=[bar.start for bar in many],
            height=0.6,
            color=_COLOURS.get(stage, "0.85"),
            label=stage,
        )
    axes.axvline(told.frozen, color="0.4", linestyle=":", label="complete")
    axes.axvspan(told.publishing, told.published, color="#588157", alpha=0.5, label="publish")
    axes.set_yticks(list(places.values()), list(places))
    axes.spines[["top", "right"]].set_visible(False)


def _legend(axes: Axes) -> tuple[list[Any], list[str]]:
    """Return each label once."""
    handles, labels = axes.get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))
    return list(found.values()), list(found)


def watch(folder: Path, warps: int, side: int) -> Story:
    """Have a service match a group, and return what was seen.

    Parameters
    ----------
    folder : Path
    warps : int
    side : int
        Width and height of a warp, pixels.
    """
    stock = Stock.pair(folder / "warps", side, "gzip2")
    arrivals = [stock.made(number) for number in range(_FIRST, _FIRST + warps)]
    with serving(folder / "service", "--workers", "2") as served:
        times = _announced(served, stock.folder, arrivals)
        served.until_published(1)
        kinds = ("fetched", "job", "frozen", "published")
        return story([note for kind in kinds for note in served.notes(kind)], times)


def _announced(
    served: Served, folder: Path, arrivals: Sequence[schemas.WarpArrived]
) -> list[float]:
    """Announce the first two, then the others a little faster than both workers measure."""
    served.announce([manifest(arrivals)], folder)
    times = [served.announce([one]) for one in arrivals[:2]]
    served.until(lambda: len(served.notes("job")) >= 2)  # noqa: PLR2004 - those two
    pace = sum(one["left"] - one["began"] for one in served.notes("job")[:2]) / 4
    for one in arrivals[2:]:
        time.sleep(pace)
        times.append(served.announce([one]))
    return times


def main(words: Sequence[str]) -> None:
    """Watch, and draw."""
    configure_logs("console", "error")
    file, warps, side = (*words, *_USUAL[len(words) - 1 :])
    with tempfile.TemporaryDirectory() as name:
        draw(watch(Path(name), int(warps), int(side)), Path(file))


if __name__ == "__main__":
    main(sys.argv[1:])
