"""What a person at a terminal sees: groups as they fill and are published, and the final table.

Everything is drawn from plain values; names that come out of messages are shown as text, never read
as markup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from types import TracebackType
from typing import Literal, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

__all__ = [
    "GroupDisplay",
    "GroupView",
    "ResultRow",
    "State",
    "counting",
    "group_table",
    "result_table",
]

State = Literal["filling", "matching", "published", "incomplete"]

_STYLES: dict[State, str] = {
    "filling": "yellow",
    "matching": "cyan",
    "published": "green",
    "incomplete": "magenta",
}
_ORDER: tuple[State, ...] = ("matching", "filling", "incomplete", "published")
_BAR = 8  # characters
_COLUMNS = {
    "group": 12,
    "state": 9,
    "visits": 6,
    "": _BAR,
    "models": 6,
    "trigger": 8,
    "reference": 9,
}
_AROUND = 7  # lines of the screen that are not groups
_FEW = 2  # groups, from which on what they have in common is said once
_FEWEST = 4  # groups, however small the screen
_NONE = "-"
_ERROR = "; error: of the models, in units of a pixel's noise"


@dataclass(frozen=True, kw_only=True)
class GroupView:
    """What is known of one group at this moment.

    Attributes
    ----------
    group : str
        Its key.
    state : str
        ``filling``, ``matching``, ``published`` or ``incomplete``.
    arrived : int
        Visits that arrived.
    expected : int or None
        Visits expected, if that is known.
    matched : int
        Visits whose model is ready.
    trigger : str
        The rule that completed the group; empty before.
    reference : int or None
        The reference visit, once chosen.
    revision : int
        The last published revision; 0 before.
    """

    group: str
    state: State = "filling"
    arrived: int = 0
    expected: int | None = None
    matched: int = 0
    trigger: str = ""
    reference: int | None = None
    revision: int = 0

    @property
    def line(self) -> str:
        """The group in one line of plain text."""
        words = [self.group, self.state, f"{_filled(self)} visits"]
        if self.trigger:
            words.append(f"by {self.trigger}")
        if self.reference is not None:
            words.append(f"reference {self.reference}")
        if self.revision > 1:
            words.append(f"revision {self.revision}")
        return "  ".join(words)


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One group in the final table.

    Attributes
    ----------
    group, trigger : str
        Its key; the rule that completed it.
    reference : int or None
        The reference visit.
    visits : str
        How many took part, such as ``7/8``.
    fit_rms : float or None
        Root mean square of the fits, image units.
    ratio : float or None
        mse/variance.
    sky_chi2 : float or None
        Structure left in the sky over its noise.
    error : float or None
        Error against the planted truth, in units of the noise of one pixel; None without truth.
    accepted : str
        How many of the matched are fit to be coadded, such as ``5/6``.
    """

    group: str
    trigger: str
    reference: int | None
    visits: str
    fit_rms: float | None
    ratio: float | None
    sky_chi2: float | None
    error: float | None
    accepted: str


class GroupDisplay:
    """Groups on the screen as they fill, are matched and are published.

    On a terminal a table that is drawn anew at each `show`; elsewhere a line for each change of a
    group's state. Use it as a context manager.

    Parameters
    ----------
    console : Console, optional
        Where to draw; stderr if not given.
    title : str
        What stands above the table.
    """

    def __init__(self, console: Console | None = None, title: str = "") -> None:
        self._console = console or Console(stderr=True)
        self._title = title
        self._states: dict[str, tuple[State, int]] = {}
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, views: Iterable[GroupView], note: str = "") -> None:
        """Show the groups as they are now.

        Parameters
        ----------
        views : iterable of GroupView
            All groups. Those that do not fit on the screen are counted below the table.
        note : str
            A line below the table, such as how far the night has come.
        """
        held = list(views)
        if self._live is not None:
            rows = max(_FEWEST, self._console.height - _AROUND)
            self._live.update(group_table(held, self._title, note, rows), refresh=True)
            return
        for view in held:
            if self._states.get(view.group) != (view.state, view.revision):
                self._states[view.group] = (view.state, view.revision)
                self._console.print(Text(view.line), soft_wrap=True)


def group_table(
    views: Sequence[GroupView], title: str = "", note: str = "", rows: int = 40
) -> RenderableType:
    """Return the groups as a table of at most `rows` rows, the busiest first."""
    common = _common([view.group for view in views])
    table = Table(
        title=Text(_heading(title, common)) if title else None,
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for name, width in _COLUMNS.items():
        right = name in ("visits", "models")
        table.add_column(name, no_wrap=True, min_width=width, justify="right" if right else "left")
    for view in _shown(views, rows):
        table.add_row(*_cells(view, view.group.removeprefix(f"{common}/")))
    below = [line for line in (_rest(views, rows), note) if line]
    return Group(table, *(Text(line) for line in below))


def _heading(title: str, common: str) -> str:
    return f"{title or 'groups'} of {common}" if common else title


def _common(keys: Sequence[str]) -> str:
    """Return what all keys begin with: most of a screen's width would say the same in each row."""
    if len(keys) < _FEW:
        return ""
    levels = zip(*(key.split("/") for key in keys), strict=False)
    return "/".join(level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels))


def _shown(views: Sequence[GroupView], rows: int) -> Sequence[GroupView]:
    """Return what fits; if not all does, what still changes goes before what is done."""
    if len(views) <= rows:
        return views
    busiest = sorted(range(len(views)), key=lambda place: _ORDER.index(views[place].state))
    return [views[place] for place in sorted(busiest[:rows])]


def _rest(views: Sequence[GroupView], rows: int) -> str:
    if len(views) <= rows:
        return ""
    counts = Counter(view.state for view in views)
    parts = ", ".join(f"{counts[state]} {state}" for state in _ORDER if counts[state])
    return f"{len(views)} groups in all: {parts}"


def _cells(view: GroupView, name: str) -> Iterator[RenderableType]:
    yield Text(name)
    yield Text(view.state, style=_STYLES[view.state])
    yield Text(_filled(view))
    yield _bar(view)
    yield Text(str(view.matched) if view.matched else _NONE)
    yield Text(view.trigger or _NONE)
    yield Text(_NONE if view.reference is None else str(view.reference))


def _bar(view: GroupView) -> RenderableType:
    """Return how full the group is; nothing while nobody knows how many to expect."""
    if not view.expected:
        return Text("")
    return ProgressBar(
        total=view.expected,
        completed=min(view.arrived, view.expected),
        width=_BAR,
        complete_style="yellow",
        finished_style="green",
    )


def _filled(view: GroupView) -> str:
    return f"{view.arrived}/{'?' if view.expected is None else view.expected}"


def result_table(rows: Iterable[ResultRow], *, unit: str, title: str = "") -> Table:
    """Return the final table.

    Parameters
    ----------
    rows : iterable of ResultRow
        The groups, in order.
    unit : str
        The unit of the images.
    title : str
        What stands above the table.
    """
    held = list(rows)
    judged = any(row.error is not None for row in held)
    common = _common([row.group for row in held])
    table = Table(
        title=Text(_heading(title, common)) if title or common else None,
        title_justify="left",
        caption=Text(f"rms: of the fits, in {unit}{_ERROR if judged else ''}"),
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("group", overflow="fold", min_width=5)
    for name in ("trigger", "reference"):
        table.add_column(name, no_wrap=True)
    numbers = ["visits", "rms", "mse/var", "sky_chi2", *(["error"] if judged else [])]
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("accepted", no_wrap=True)
    for row in held:
        short = replace(row, group=row.group.removeprefix(f"{common}/"))
        table.add_row(*(Text(cell) for cell in _result_cells(short, judged=judged)))
    return table


def _result_cells(row: ResultRow, *, judged: bool) -> Iterator[str]:
    yield row.group
    yield row.trigger or _NONE
    yield _NONE if row.reference is None else str(row.reference)
    yield row.visits
    yield _number(row.fit_rms, ".3g")
    yield _number(row.ratio, ".3f")
    yield _number(row.sky_chi2, ".2f")
    if judged:
        yield _number(row.error, ".3f")
    yield row.accepted


def _number(value: float | None, style: str) -> str:
    return _NONE if value is None else format(value, style)


@contextmanager
def counting(label: str, console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """Show how far a count has come, on a terminal only.

    Yields
    ------
    callable
        Takes (done, total).
    """
    out = console or Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task(label, total=None)

        def step(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield step
