"""Draws the guide's figure and prints its numbers: ``python -m ops.guide [FILE.png]``."""

from __future__ import annotations

import sys
from pathlib import Path

from ops.guide.cures import ALL
from ops.guide.drawing import draw, table


def main(arguments: list[str]) -> None:
    """Draw into the file that is named, by default that of the guide."""
    cures = [made() for made in ALL]
    file = Path(arguments[0]) if arguments else Path(__file__).with_name("cures.png")
    draw(cures, file)
    print(table(cures))  # noqa: T201 - the numbers are what it is called for


if __name__ == "__main__":
    main(sys.argv[1:])
