"""What the runs have shown, kept row by row, and the report that is written from it.

A row's result is a JSON file beside the report, so that rows can be run one by one; the report
names the date and the commit of each, and what was not run.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from ops.broker import broker
from ops.proof.row import Figure, Row, RowResult, Terms
from stream.machine import Machine

__all__ = ["REPORT", "Kept", "keep", "kept", "write_report"]

REPORT: Final = Path(__file__).resolve().parent / "reports"
"""Where the results and the report lie."""

_GIB = 2**30
_NOTHING: Final[Mapping[int, str]] = MappingProxyType({})


@dataclass(frozen=True)
class Kept:
    """The result of one row, with all that is needed to have it again.

    Attributes
    ----------
    number : int
    passed : bool
    figures : mapping
    violations : list of str
    rounds, counted, scale, seed
        The terms of the run.
    seconds : float
        What it took.
    date, commit : str
        When, and of which tree.
    machine, versions : mapping
        On what.
    """

    number: int
    passed: bool
    figures: Mapping[str, Figure]
    violations: list[str]
    rounds: int
    counted: str
    scale: float
    seed: int
    seconds: float
    date: str
    commit: str
    machine: Mapping[str, Figure]
    versions: Mapping[str, str]


def keep(folder: Path, row: Row, terms: Terms, result: RowResult, seconds: float) -> Kept:
    """Keep a result; an older one of the same row is replaced."""
    one = Kept(
        number=row.number,
        passed=result.passed,
        figures=dict(result.figures),
        violations=list(result.violations),
        rounds=terms.rounds,
        counted=row.counted,
        scale=terms.scale,
        seed=terms.seed,
        seconds=round(seconds, 1),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=_commit(),
        machine=_machine(),
        versions=_versions(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(one), indent=2, sort_keys=True)
    (folder / f"row{row.number:02}.json").write_text(f"{text}\n")
    return one


def kept(folder: Path) -> dict[int, Kept]:
    """Return the results that are kept, by the number of their row."""
    found: list[dict[str, Any]] = [
        json.loads(path.read_text()) for path in sorted(folder.glob("row*.json"))
    ]
    return {one["number"]: Kept(**one) for one in found}


def write_report(
    folder: Path,
    titles: Mapping[int, str],
    rows: Mapping[int, Row],
    waiting: Mapping[int, str] = _NOTHING,
) -> bool:
    """Write the report; tell whether all rows hold and none is missing.

    Parameters
    ----------
    folder : Path
    titles : mapping of int to str
        All rows that there must be.
    rows : mapping of int to Row
        Those that can be run.
    waiting : mapping of int to str
        What rows that cannot be run yet wait for, as a clause.
    """
    found = kept(folder)
    missing = [number for number in titles if number not in found]
    failed = [number for number, one in found.items() if not one.passed]
    folder.mkdir(parents=True, exist_ok=True)
    told = [*_verdict(titles, missing, failed), *_waits(titles, missing, waiting)]
    text = "\n".join(("# The proof\n", *told, *_lines(found, titles, rows)))
    (folder / "report.md").write_text(f"{text}\n")
    return not missing and not failed


def _lines(
    found: Mapping[int, Kept],
    titles: Mapping[int, str],
    rows: Mapping[int, Row],
) -> Iterator[str]:
    yield "\n| row | what | terms | load | took | date | commit | holds |"
    yield "|--:|---|---|--:|--:|---|---|---|"
    for number, title in titles.items():
        yield _line(number, title, found.get(number))
    for number, one in sorted(found.items()):
        yield from _section(one, titles[number], rows.get(number))


def _verdict(
    titles: Mapping[int, str], missing: Sequence[int], failed: Sequence[int]
) -> Iterator[str]:
    if not missing and not failed:
        yield "All rows hold."
    else:
        yield "**The proof does not hold.**"
    if failed:
        yield f"Rows that failed: {_named(failed, titles)}."
    if missing:
        yield f"Rows that were not run, each of which fails the proof: {_named(missing, titles)}."


def _waits(
    titles: Mapping[int, str], missing: Sequence[int], waiting: Mapping[int, str]
) -> Iterator[str]:
    for number in missing:
        if number in waiting:
            yield f"Row {number} ({titles[number]}) cannot be run yet: {waiting[number]}."


def _named(numbers: Sequence[int], titles: Mapping[int, str]) -> str:
    return ", ".join(f"{number} ({titles[number]})" for number in numbers)


def _line(number: int, title: str, one: Kept | None) -> str:
    if one is None:
        return f"| {number} | {title} | | | | | | **not run** |"
    terms = f"{one.rounds:,} {one.counted}"
    holds = "yes" if one.passed else "**no**"
    return (
        f"| {number} | {title} | {terms} | x {one.scale:g} | {one.seconds:,.0f} s | {one.date} | "
        f"{one.commit} | {holds} |"
    )


def _section(one: Kept, title: str, row: Row | None) -> Iterator[str]:
    yield f"\n## {one.number}. {title}\n"
    if row is not None:
        yield f"Must hold: {row.hold}\n"
    machine = ", ".join(f"{name} {value}" for name, value in one.machine.items())
    versions = ", ".join(f"{name} {value}" for name, value in one.versions.items())
    yield f"Seed {one.seed}, load x {one.scale:g}; {machine}; {versions}.\n"
    yield "| figure | |\n|---|--:|"
    for name, value in one.figures.items():
        yield f"| {name} | {_shown(value)} |"
    for violation in one.violations:
        yield f"\n- **Violation:** {violation}"


def _shown(value: Figure) -> str:
    match value:
        case float():
            return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - digits
        case int():
            return f"{value:,}"
        case _:
            return value


def _machine() -> dict[str, Figure]:
    machine = Machine.here()
    memory = f"{machine.memory_bytes / _GIB:.1f} GiB"
    return {"cores": machine.cores, "memory": memory, "system": platform.system()}


def _versions() -> dict[str, str]:
    return {
        "evensky": version("evensky"),
        "Kafka": broker.VERSIONS[0],
        "Python": platform.python_version(),
        "aiokafka": version("aiokafka"),
        "numpy": version("numpy"),
    }


def _commit() -> str:
    """Name the commit; a tree with changes, but for what is kept here, says so."""
    commit = _git("describe", "--always", "--exclude=*")
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!reports")
    return (commit or "unknown") + ("+changes" if changes else "")


def _git(*words: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own words
        ["/usr/bin/env", "git", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return done.stdout.strip()
