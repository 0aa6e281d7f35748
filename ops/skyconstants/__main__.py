"""Simulate the judgement of the sky: ``python -m ops.skyconstants table`` or ``truth``.

``table`` prints `core.skytable` anew; ``truth`` the tables of planted skies, as they stand in
``ops/guide/truth.md``. Either takes a quarter of an hour or so on two cores, and does the same
every time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from ops.skyconstants.table import module
from ops.skyconstants.truth import report

_COMMANDS: dict[str, Callable[[], Iterator[str]]] = {
    "table": lambda: iter(module().splitlines()),
    "truth": report,
}


def main(arguments: list[str]) -> int:
    """Do what is asked for, line by line."""
    if len(arguments) != 1 or arguments[0] not in _COMMANDS:
        print(__doc__, file=sys.stderr)  # noqa: T201 - how it is called
        return 2
    for line in _COMMANDS[arguments[0]]():
        print(line, flush=True)  # noqa: T201 - the tables are what it is called for
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
