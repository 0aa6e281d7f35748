"""The command line of the bench."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from ops.bench.cores import scaling
from ops.bench.memory import peaks
from ops.bench.report import Section, as_json, as_text
from ops.bench.speed import by_share, by_size, pipeline
from ops.bench.start import starts

_SIZES = (1000, 2000, 4200, 8000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and print each table as soon as it is there.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command's words; those of this process if not given.
    """
    asked = _parser().parse_args(arguments)
    sections = _sections(asked)
    if asked.json:
        _say(as_json(sections))
        return
    _say(f"{_processor()}, Python {platform.python_version()}\n")
    for section in sections:
        _say(as_text(section))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description=__doc__)
    parser.add_argument("what", choices=["core"], help="what to measure: the mathematics")
    parser.add_argument("--side", type=int, default=4200, help="pixels (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=9, help="of each row (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--only", nargs="+", choices=list(_parts(0, 0)), help="the tables wanted (default: all)"
    )
    return parser


def _parts(side: int, runs: int) -> dict[str, Callable[[], Section]]:
    few = max(1, runs // 2)
    sizes = tuple(size * side // 4200 for size in _SIZES)
    return {
        "start": starts,
        "speed": partial(pipeline, side, runs),
        "cores": partial(scaling, side, few),
        "memory": partial(peaks, side),
        "sizes": partial(by_size, sizes, few),
        "shares": partial(by_share, side, few),
    }


def _sections(asked: argparse.Namespace) -> Iterator[Section]:
    for name, measure in _parts(asked.side, asked.runs).items():
        if asked.only is None or name in asked.only:
            yield measure()


def _processor() -> str:
    """Name the processor, so that a table that is passed on says where it was made."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
