"""What the bench has found, as a table for people or as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

__all__ = ["Row", "Section", "as_json", "as_markdown", "as_text"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    name : str
        What was measured.
    values : dict of str to float or str
        Column to value; a column that is missing is empty.
    met : bool or None
        Whether the target was met, if there is one.
    """

    name: str
    values: dict[str, float | str]
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A table.

    Attributes
    ----------
    title : str
        What it is about.
    rows : list of Row
        Its lines.
    notes : list of str
        What one should know to read it.
    """

    title: str
    rows: list[Row]
    notes: list[str] = field(default_factory=list)


def as_json(sections: Iterable[Section]) -> str:
    """Return the tables as JSON: a list of sections with their rows.

    Parameters
    ----------
    sections : iterable of Section
        What was found.
    """
    return json.dumps([asdict(section) for section in sections], indent=2)


def as_text(section: Section) -> str:
    """Return a table in columns, the numbers flush right.

    Parameters
    ----------
    section : Section
        What was found.
    """
    lines = _lines(section, "MISSED")
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = "\n".join(_line(line, widths) for line in lines)
    return "\n".join([section.title, "", table, *("  " + note for note in section.notes), ""])


def as_markdown(section: Section) -> str:
    """Return a table as a page has it, the notes below.

    Parameters
    ----------
    section : Section
        What was found.
    """
    heading, *lines = _lines(section, "**missed**")
    rule = ["---", *("--:" for _ in heading[1:-1]), "---"]
    table = "\n".join(f"| {' | '.join(line)} |" for line in [heading, rule, *lines])
    return "\n\n".join([f"**{section.title}**", table, " ".join(section.notes)]).rstrip() + "\n"


def _lines(section: Section, missed: str) -> list[list[str]]:
    """Return the cells of a table, line by line, the heading first."""
    columns = list(dict.fromkeys(name for row in section.rows for name in row.values))
    words = {None: "", True: "met", False: missed}
    rows = [
        [row.name, *(_cell(row.values.get(name, "")) for name in columns), words[row.met]]
        for row in section.rows
    ]
    return [["", *columns, ""], *rows]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(["", first, *others]).rstrip()


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}" if value < 1000 else f"{value:.0f}"  # noqa: PLR2004 - digits
