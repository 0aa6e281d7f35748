"""The fuzzer's command line: ``python -m ops.fuzz --seconds 600``.

Each batch runs in a process of its own, with little memory and little time, and writes down what it
is about to decode. So a crash, or a file that costs too much, is found out, and kept.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.fuzz import batch

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Decode damaged warps until the time is over; exit 1 with the first that is not as it should.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command's words; those of this process if not given.
    """
    asked = _parser().parse_args(arguments)
    context = multiprocessing.get_context("spawn")
    end, outcomes = time.monotonic() + asked.seconds, Counter[str]()
    with TemporaryDirectory() as scratch:
        case, told = Path(scratch) / "case.fits", Path(scratch) / "outcomes"
        for number in itertools.count():
            child = context.Process(target=batch.run, args=(f"{asked.seed}/{number}", case, told))
            child.start()
            child.join()
            if child.exitcode:
                asked.keep.write_bytes(case.read_bytes() if case.exists() else b"")
                sys.exit(f"batch {number} ended with {child.exitcode}; its last file: {asked.keep}")
            outcomes.update(told.read_text(encoding="utf-8").split())
            if time.monotonic() > end:
                break
    for outcome, count in outcomes.most_common():
        sys.stdout.write(f"{count:10} {outcome}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default: %(default)s)")
    parser.add_argument(
        "--keep",
        type=Path,
        default=Path("fuzzed.fits"),
        help="where to write the file that something was wrong with (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    main()
