"""The display's details: colours, columns, what is shown of many, and the words of a line."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from stream.display import (
    GroupDisplay,
    GroupView,
    ResultRow,
    State,
    counting,
    group_table,
    result_table,
)

STATES: tuple[State, ...] = ("matching", "filling", "incomplete", "published")
VIEW = GroupView(group="live/sim/1/2/r", state="filling", arrived=3, expected=7)
COLOURS = {"filling": "33", "matching": "36", "published": "32", "incomplete": "35"}


def plain(renderable: RenderableType, width: int = 100) -> list[str]:
    """Return the lines that a terminal shows, without colours."""
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(renderable)
    return console.export_text().splitlines()


def coloured(renderable: RenderableType) -> str:
    """Return what a terminal is sent."""
    out = io.StringIO()
    Console(file=out, width=100, force_terminal=True, color_system="standard").print(renderable)
    return out.getvalue()


@pytest.mark.parametrize("state", STATES)
def test_each_state_has_its_colour(state: State) -> None:
    """Yellow fills, cyan is matched, green is published, magenta is incomplete."""
    sent = coloured(group_table([replace(VIEW, state=state)]))
    assert f"\x1b[{COLOURS[state]}m{state}" in sent


def test_columns_stand_in_their_order_numbers_to_the_right() -> None:
    """Headings come in one order; counts end where their heading ends, words begin where it does.

    The empty heading is the bar's.
    """
    view = replace(VIEW, matched=5, trigger="quiet", reference=81)
    heading, row = (
        line for line in plain(group_table([view])) if "state" in line or "filling" in line
    )
    assert heading.split() == ["group", "state", "visits", "models", "trigger", "reference"]
    for name, cell in (("visits", "3/7"), ("models", "5")):
        end = heading.index(name) + len(name)
        assert row[:end].endswith(cell)
        assert row[end : end + 1] == " "
    for name, cell in (("state", "filling"), ("trigger", "quiet"), ("reference", "81")):
        assert row[heading.index(name) :].startswith(cell)


@pytest.mark.parametrize(
    ("arrived", "expected", "cells"), [(0, 8, 0), (4, 8, 4), (8, 8, 8), (12, 8, 8)]
)
def test_a_bar_is_as_full_as_the_group(arrived: int, expected: int, cells: int) -> None:
    """The bar's coloured part is the share that arrived, whole when more come than expected.

    It is yellow while visits are missing, green when none is.
    """
    sent = coloured(group_table([replace(VIEW, arrived=arrived, expected=expected)]))
    bars = re.findall(r"\x1b\[([0-9;]*)m(━+)", sent)
    filled = sum(len(bar) for colour, bar in bars if colour in ("33", "32"))
    assert filled == cells
    if cells:
        assert {colour for colour, _ in bars if colour in ("33", "32")} == {
            "32" if cells == 8 else "33"
        }


@pytest.mark.parametrize("expected", [None, 0])
def test_no_bar_where_nobody_knows_how_many(expected: int | None) -> None:
    """A group of unknown size has no bar, which would lie."""
    assert "━" not in "".join(plain(group_table([replace(VIEW, expected=expected)])))


# -- what groups have in common --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "common"),
    [
        (["a/s/1/2/r"], ""),
        (["a/s/1/2/r", "a/s/1/2/i"], "a/s/1/2"),
        (["a/s/1/2/r", "a/s/1/3/r"], "a/s/1"),
        (["a/s/1/2/r", "b/s/1/2/r"], ""),
        (["a/s/1/2/r", "a/s/11/2/r"], "a/s"),
    ],
)
def test_what_all_keys_begin_with_is_said_once(keys: list[str], common: str) -> None:
    """Whole levels that all share stand in the title; rows keep the rest, and lose no other."""
    lines = plain(group_table([replace(VIEW, group=key) for key in keys], "groups"))
    assert lines[0].strip() == (f"groups of {common}" if common else "groups")
    rows = [line.split()[0] for line in lines if "filling" in line]
    assert rows == [key.removeprefix(f"{common}/") if common else key for key in keys]


def test_without_a_title_there_is_none() -> None:
    """A table without a title begins with its headings."""
    lines = [line for line in plain(group_table([VIEW, VIEW])) if line.strip()]
    assert lines[0].split()[0] == "group"


# -- many groups -----------------------------------------------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=20), st.integers(1, 20))
def test_of_too_many_the_busiest_are_shown_in_their_order(states: list[State], rows: int) -> None:
    """At most `rows` are shown; no hidden group is busier than a shown one; all are counted."""
    views = [replace(VIEW, group=f"g{n:02}", state=state) for n, state in enumerate(states)]
    lines = plain(group_table(views, rows=rows))
    shown = [int(name) for name in re.findall(r"^\s*g(\d\d) ", "\n".join(lines), re.MULTILINE)]
    assert len(shown) == min(rows, len(states))
    assert shown == sorted(shown)
    rank = [STATES.index(state) for state in states]
    hidden = [rank[n] for n in range(len(states)) if n not in shown]
    assert not hidden or max(rank[n] for n in shown) <= min(hidden)
    counts = Counter(states)
    parts = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    told = f"{len(states)} groups in all: {parts}"
    assert (lines[-1].strip() == told) == (len(states) > rows)


# -- lines off a terminal --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "live/sim/1/2/r  filling  3/7 visits"),
        ({"expected": None}, "live/sim/1/2/r  filling  3/? visits"),
        ({"expected": 0}, "live/sim/1/2/r  filling  3/0 visits"),
        ({"trigger": "quiet"}, "live/sim/1/2/r  filling  3/7 visits  by quiet"),
        ({"reference": 0}, "live/sim/1/2/r  filling  3/7 visits  reference 0"),
        ({"revision": 1}, "live/sim/1/2/r  filling  3/7 visits"),
        ({"revision": 2}, "live/sim/1/2/r  filling  3/7 visits  revision 2"),
    ],
)
def test_a_line_says_what_is_known(changes: dict[str, object], line: str) -> None:
    """Only what is known stands in the line; a first revision is not worth a word."""
    assert replace(VIEW, **changes).line == line  # type: ignore[arg-type]  # by name


def test_names_are_text_on_every_way_out() -> None:
    """Brackets in a name that came out of a message are shown as they are, on a terminal or off."""
    odd = replace(VIEW, group="[bold]x[/bold]/s", trigger="[red]")
    assert any("[bold]x[/bold]/s" in line for line in plain(group_table([odd])))
    out = io.StringIO()
    with GroupDisplay(Console(file=out, width=30)) as display:
        display.show([odd])
    assert out.getvalue() == odd.line + "\n"
    row = ResultRow(
        group="[bold]x[/bold]/s", trigger="[red]", reference=None, visits="1/1",
        fit_rms=None, ratio=None, sky_chi2=None, error=None, accepted="[blink]",
    )  # fmt: skip
    text = "\n".join(plain(result_table([row], unit="[u]")))
    assert "[bold]x[/bold]/s" in text
    assert "[red]" in text
    assert "[blink]" in text


def test_lines_of_different_groups_do_not_hide_each_other() -> None:
    """Each group's changes are told by themselves."""
    out = io.StringIO()
    one, two = replace(VIEW, group="a"), replace(VIEW, group="b")
    with GroupDisplay(Console(file=out, width=80)) as display:
        display.show([one, two])
        display.show([replace(one, state="matching"), two])
        display.show([replace(one, state="matching"), replace(two, state="matching")])
    told = [tuple(line.split()[:2]) for line in out.getvalue().splitlines()]
    assert told == [("a", "filling"), ("b", "filling"), ("a", "matching"), ("b", "matching")]


def test_after_the_end_a_terminal_gets_lines_again() -> None:
    """Outside its context the display writes no table over what others print."""
    out = io.StringIO()
    display = GroupDisplay(Console(file=out, force_terminal=True, width=100, height=30))
    with display:
        display.show([VIEW])
    out.truncate(0)
    display.show([VIEW])
    assert "━" not in out.getvalue()
    assert VIEW.line in out.getvalue()


@pytest.mark.parametrize(("height", "rows"), [(6, 4), (11, 4), (12, 5), (30, 23)])
def test_a_screen_has_as_many_rows_as_fit(height: int, rows: int) -> None:
    """Seven lines of the screen are not groups; four groups are shown however small it is."""
    out = io.StringIO()
    views = [replace(VIEW, group=f"g{n:02}") for n in range(40)]
    with GroupDisplay(Console(file=out, force_terminal=True, width=100, height=height)) as display:
        display.show(views)
    assert len(set(re.findall(r"g\d\d", out.getvalue()))) == rows


# -- the final table -------------------------------------------------------------------------------

ROW = ResultRow(
    group="live/sim/1/2/r", trigger="count", reference=7, visits="6/7", fit_rms=1234.5678,
    ratio=1.00049, sky_chi2=1.044, error=0.04649, accepted="5/6",
)  # fmt: skip


def test_the_final_table_rounds_as_an_astronomer_would() -> None:
    """Three digits of the rms, three decimals of the ratio and the error, two of a chi2."""
    heading, row = (
        line
        for line in plain(result_table([ROW], unit="nJy"))
        if "trigger" in line or "live" in line
    )
    assert re.split(r"\s{2,}", heading.strip()) == [
        "group", "trigger", "reference", "visits", "rms", "mse/var", "sky_chi2", "error",
        "accepted",
    ]  # fmt: skip
    assert row.split() == [
        "live/sim/1/2/r", "count", "7", "6/7", "1.23e+03", "1.000", "1.04", "0.046", "5/6",
    ]  # fmt: skip


def test_one_group_with_truth_gives_all_the_column() -> None:
    """Where one row has an error each has a cell for it, a dash if it has none."""
    lines = plain(result_table([ROW, replace(ROW, error=None, group="other")], unit="x"))
    (other,) = (line for line in lines if "other" in line)
    assert other.split()[-2:] == ["-", "5/6"]


def test_numbers_end_under_each_other() -> None:
    """Numbers are set to the right, so that their sizes can be compared."""
    lines = plain(result_table([ROW, replace(ROW, fit_rms=0.5, visits="10/10")], unit="x"))
    rows = [line for line in lines if line.startswith("live")]
    for first, second in (("6/7", "10/10"), ("1.23e+03", "0.5")):
        assert rows[0].index(first) + len(first) == rows[1].index(second) + len(second)


def test_a_count_moves_and_then_is_gone() -> None:
    """Progress shows the newest count, and leaves the screen to what comes after it."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    with counting("reading", console) as step:
        step(1, 4)
        step(4, 4)
    text = out.getvalue()
    assert "4/4" in text
    assert text.rstrip().endswith(("\x1b[2K", "\x1b[?25h", "\x1b[1A\x1b[2K"))
