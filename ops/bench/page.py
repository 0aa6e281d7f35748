"""Tables on a page of the guide, each between marks that name it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["put"]


def put(page: Path, name: str, text: str) -> None:
    """Put a table where the last one of its name stands.

    Parameters
    ----------
    page : Path
        It has a line ``<!-- NAME -->`` and below it ``<!-- end of NAME -->``.
    name : str
    text : str
        What is to stand between the two.

    Raises
    ------
    ValueError
        The page has no such lines.
    """
    first, last = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, begun, rest = page.read_text().partition(first)
    _, ended, after = rest.partition(last)
    if not (begun and ended):
        raise ValueError(f"{page} has no {first.strip()} with its end: add the two lines")
    page.write_text(f"{before}{first}{text}{last}{after}")
