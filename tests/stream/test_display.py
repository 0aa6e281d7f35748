"""The terminal display, rendered to a recorded console."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
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

VIEW = GroupView(
    group="live/simulated/4849/39/r",
    state="published",
    arrived=7,
    expected=7,
    matched=6,
    trigger="manifest",
    reference=81201,
    revision=1,
)
ROW = ResultRow(
    group="live/simulated/4849/39/r",
    trigger="manifest",
    reference=81201,
    visits="7/7",
    fit_rms=0.00834,
    ratio=1.0023,
    sky_chi2=1.04,
    error=0.0461,
    accepted="6/6",
)


def drawn(renderable: RenderableType, width: int = 100) -> str:
    """Return what a terminal of this width shows, without colours."""
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(renderable)
    return console.export_text()


def test_a_group_is_one_row_with_all_that_is_known() -> None:
    """State, visits, models, trigger and reference stand in the group's row."""
    lines = drawn(group_table([VIEW], "A night", "12 of 42")).splitlines()
    row = next(line for line in lines if "4849/39/r" in line)
    for word in ("published", "7/7", "6", "manifest", "81201"):
        assert word in row
    assert lines[0].strip() == "A night"
    assert lines[-1].strip() == "12 of 42"


def test_what_is_not_known_is_a_dash() -> None:
    """A group that only fills shows how many came, of an unknown number."""
    row = drawn(group_table([GroupView(group="g/s/1/2/r", arrived=3)]))
    assert "3/?" in row
    assert row.count(" -") >= 3


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_table_fits_the_terminal(width: int) -> None:
    """No line is longer than the terminal, and the state can be read at 80 columns."""
    text = drawn(group_table([VIEW], "A night"), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "published" in text
    assert "manifest" in text


def test_names_are_text_not_markup() -> None:
    """A band of a stranger's message that looks like markup is shown as it is."""
    view = replace(VIEW, group="live/s/1/2/[red]r[/nope]", trigger="[bold]")
    text = drawn(group_table([view]), 140)
    assert "[red]r[/nope]" in text
    assert "[bold]" in text
    assert "[/b]" in drawn(result_table([replace(ROW, group="[/b]")], unit="count"))


def views(count: int, state: State) -> list[GroupView]:
    """Return `count` groups of one state."""
    return [replace(VIEW, group=f"{state}-{k}", state=state) for k in range(count)]


def test_more_groups_than_rows_are_counted() -> None:
    """A table is bounded: what changes is shown first, the rest is in the count below."""
    many = [*views(30, "published"), *views(3, "filling"), *views(2, "matching")]
    text = drawn(group_table(many, rows=6))
    assert [name in text for name in ("matching-0", "matching-1", "filling-2")] == [True] * 3
    assert "published-0" in text
    assert "published-1" not in text
    assert "35 groups in all: 2 matching, 3 filling, 30 published" in text


def test_off_a_terminal_each_change_is_a_line() -> None:
    """Without a terminal a line is written when a state changes, and only then."""
    out = io.StringIO()
    with GroupDisplay(Console(file=out, width=40)) as display:
        display.show([replace(VIEW, state="filling", arrived=1, revision=0)])
        display.show([replace(VIEW, state="filling", arrived=2, revision=0)])
        display.show([VIEW])
        display.show([VIEW], "a note")
        display.show([replace(VIEW, revision=2)])
    lines = out.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["filling", "published", "published"]
    assert lines[1].endswith("7/7 visits  by manifest  reference 81201")
    assert lines[2].endswith("revision 2")


def test_on_a_terminal_the_table_is_drawn_and_then_taken_away() -> None:
    """The live table shows each update, and leaves the cursor on when it is left by an error."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=20)

    def fail() -> None:
        with GroupDisplay(console, "A night") as display:
            display.show([VIEW], "12 of 42")
            display.show([replace(VIEW, state="matching")], "13 of 42")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    text = out.getvalue()
    assert "12 of 42" in text
    assert "13 of 42" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_small_terminal_still_shows_some_groups() -> None:
    """On a screen of few lines some groups are shown and the rest counted."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=6)
    with GroupDisplay(console) as display:
        display.show(views(9, "filling"))
    assert "filling-3" in out.getvalue()
    assert "9 groups in all: 9 filling" in out.getvalue()


def test_the_final_table_holds_the_numbers() -> None:
    """Group, trigger, reference, rms, mse/variance, error and verdict stand in a row."""
    text = drawn(result_table([ROW], unit="count", title="Matched"))
    for word in ("manifest", "81201", "0.00834", "1.002", "0.046", "6/6", "in count"):
        assert word in text


def test_without_truth_there_is_no_column_for_it() -> None:
    """Real warps have no planted truth, and the table does not pretend."""
    text = drawn(result_table([replace(ROW, error=None)], unit="adu"))
    assert "error" not in text
    assert "in adu" in text


def test_missing_numbers_are_dashes() -> None:
    """A group without models has no numbers, never zeros."""
    row = replace(ROW, group="g", reference=None, trigger="", fit_rms=None, ratio=None,
                  sky_chi2=None, accepted="0/0")  # fmt: skip
    line = next(x for x in drawn(result_table([row], unit="count")).splitlines() if "7/7" in x)
    assert line.split() == ["g", "-", "-", "7/7", "-", "-", "-", "0.046", "0/0"]


def test_the_final_table_fits_eighty_columns() -> None:
    """What all groups have in common is said once, so that no number is cut at a terminal."""
    rows = [ROW, replace(ROW, group="live/simulated/4849/40/i")]
    text = drawn(result_table(rows, unit="count"), 80)
    assert "groups of live/simulated/4849" in text
    for line in text.splitlines():
        if "manifest" in line:
            assert line.split()[0] in ("39/r", "40/i")
            assert line.split()[-4:] == ["1.002", "1.04", "0.046", "6/6"]
    assert "…" not in text


def test_counting_is_silent_off_a_terminal() -> None:
    """Progress is for terminals: a log does not fill with it."""
    out = io.StringIO()
    with counting("simulating", Console(file=out)) as step:
        step(1, 10)
    assert out.getvalue() == ""


def test_counting_shows_how_far_it_is_on_a_terminal() -> None:
    """On a terminal the label and the count are shown."""
    out = io.StringIO()
    with counting("[x] simulating", Console(file=out, force_terminal=True, width=80)) as step:
        step(7, 42)
    assert "[x] simulating" in out.getvalue()
    assert "7/42" in out.getvalue()
