"""`python -m ops.proof`: run rows of RELIABILITY, keep what they show, write the report."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.proof.report import REPORT, keep, write_report
from ops.proof.row import Context, Row, RowResult, Terms
from ops.proof.rows import TITLES, WAITING, rows

__all__ = ["main"]


@dataclass(frozen=True)
class _Ran:
    row: Row
    terms: Terms
    result: RowResult
    seconds: float

    @property
    def full(self) -> bool:
        return self.terms.rounds >= self.row.rounds


def main(words: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 if all of it holds."""
    asked = _parser().parse_args(words)
    known = rows()
    unknown = [number for number in asked.rows if number not in TITLES]
    if unknown:
        _say(f"there is no row {unknown[0]}; there are 1 to {max(TITLES)}")
        return 2
    chosen = [] if asked.report else asked.rows or list(TITLES)
    holds = [_one(number, known, asked) for number in chosen]
    whole = write_report(asked.results, TITLES, known, WAITING)
    _say(f"{asked.results / 'report.md'}: {'all rows hold' if whole else 'not all rows hold'}")
    return 0 if all(holds) and (whole or asked.rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.proof", description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, help="numbers of rows (default: all)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor of the load (default: %(default)g)"
    )
    parser.add_argument(
        "--rounds", type=int, help="fewer rounds than are stated: shown, never kept as proof"
    )
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=REPORT, help="folder of results and report")
    parser.add_argument("--report", action="store_true", help="only write the report anew")
    parser.add_argument("--keep-scratch", action="store_true", help="keep logs of the processes")
    return parser


def _one(number: int, known: Mapping[int, Row], asked: argparse.Namespace) -> bool:
    row = known.get(number)
    if row is None:
        why = WAITING.get(number, "nobody has written it")
        _say(f"row {number}, {TITLES[number]}: {why}, so it does not hold")
        return False
    ran = _run(row, Terms(asked.rounds or row.rounds, asked.scale, asked.seed), asked)
    _tell(ran)
    if ran.full:
        keep(asked.results, row, ran.terms, ran.result, ran.seconds)
    return ran.result.passed


def _run(row: Row, terms: Terms, asked: argparse.Namespace) -> _Ran:
    folder = Path(tempfile.mkdtemp(prefix=f"evensky-proof-{row.number:02}-"))
    started = time.monotonic()
    _say(f"row {row.number}, {row.title}: {terms.rounds} {row.counted}, load x {terms.scale:g}")
    try:
        result = row.run(terms, Context(folder, say=lambda text: _say(f"  {text}")))
    except Exception as error:  # noqa: BLE001 - whatever ends a row, the others are run
        traceback.print_exc()
        result = RowResult({}, (f"the run broke: {error!r}"[:2000],))
    if asked.keep_scratch or not result.passed:
        _say(f"  scratch: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return _Ran(row, terms, result, time.monotonic() - started)


def _tell(ran: _Ran) -> None:
    for name, value in ran.result.figures.items():
        _say(f"  {name}: {value}")
    for violation in ran.result.violations:
        _say(f"  VIOLATION: {violation}")
    holds = "holds" if ran.result.passed else "DOES NOT HOLD"
    short = "" if ran.full else f" (short: {ran.row.rounds} {ran.row.counted} are stated)"
    _say(f"row {ran.row.number} {holds} after {ran.seconds:.0f} s{short}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
