"""The report says what was run, what was not, and what did not hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.proof import __main__ as command
from ops.proof.report import keep, kept, write_report
from ops.proof.row import Context, Row, RowResult, Terms
from ops.proof.rows import TITLES, WAITING, rows

TWO = {1: "the first", 2: "the second"}


def _row(number: int, *violations: str) -> Row:
    def run(terms: Terms, _: Context) -> RowResult:
        return RowResult({"kills": terms.rounds, "took s": 1.5}, violations)

    return Row(number, TWO[number], "it must hold", 10, "kills", run)


def _keep(folder: Path, row: Row, terms: Terms) -> None:
    keep(folder, row, terms, row.run(terms, Context(folder)), 12.0)


def test_a_row_that_was_not_run_fails_the_proof(tmp_path: Path) -> None:
    """A missing row is named, and the whole does not hold without it."""
    _keep(tmp_path, _row(1), Terms(10))
    assert not write_report(tmp_path, TWO, {1: _row(1)})
    text = (tmp_path / "report.md").read_text()
    assert "does not hold" in text
    assert "not run, each of which fails the proof: 2 (the second)" in text


def test_a_row_that_waits_says_for_what(tmp_path: Path) -> None:
    """A row that cannot be run yet is missing, and the report says what it waits for."""
    _keep(tmp_path, _row(1), Terms(10))
    assert not write_report(tmp_path, TWO, {1: _row(1)}, {2: "it waits for issue 6"})
    text = (tmp_path / "report.md").read_text()
    assert "not run, each of which fails the proof: 2 (the second)" in text
    assert "Row 2 (the second) cannot be run yet: it waits for issue 6." in text


def test_a_row_that_does_not_hold_fails_the_proof(tmp_path: Path) -> None:
    """Its violations stand in the report."""
    for row in (_row(1), _row(2, "one was lost")):
        _keep(tmp_path, row, Terms(10))
    assert not write_report(tmp_path, TWO, {})
    text = (tmp_path / "report.md").read_text()
    assert "**Violation:** one was lost" in text
    assert "failed: 2 (the second)" in text


def test_rows_run_one_by_one_make_the_proof(tmp_path: Path) -> None:
    """Results are kept beside the report with all that is needed to have them again."""
    for number in TWO:
        _keep(tmp_path, _row(number), Terms(10, 0.25, seed=7))
    assert write_report(tmp_path, TWO, {})
    text = (tmp_path / "report.md").read_text()
    assert "All rows hold." in text
    assert "x 0.25" in text
    (first, _) = kept(tmp_path).values()
    assert (first.seed, first.scale, first.rounds) == (7, 0.25, 10)
    assert {"Kafka", "Python", "aiokafka", "evensky"} <= first.versions.keys()
    assert first.machine.keys() == {"cores", "memory", "system"}


def test_a_run_of_fewer_rounds_is_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ran for less than is stated is shown and not kept."""
    monkeypatch.setattr(command, "rows", lambda: {1: _row(1)})
    assert command.main(["1", "--rounds", "3", "--results", str(tmp_path)]) == 0
    assert kept(tmp_path) == {}
    assert command.main(["1", "--results", str(tmp_path)]) == 0
    assert kept(tmp_path)[1].rounds == 10
    assert command.main(["--results", str(tmp_path)]) == 1  # row 2 and others are missing


def test_a_run_that_breaks_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error in a row is a violation, and the next row is run all the same."""

    def broken(_: Terms, __: Context) -> RowResult:
        raise RuntimeError("no broker")

    bad = Row(1, "the first", "", 1, "kills", broken)
    monkeypatch.setattr(command, "rows", lambda: {1: bad, 2: _row(2)})
    assert command.main(["1", "2", "--results", str(tmp_path)]) == 1
    assert "no broker" in kept(tmp_path)[1].violations[0]
    assert kept(tmp_path)[2].passed
    assert "DOES NOT HOLD" in capsys.readouterr().err


def test_every_row_has_its_title() -> None:
    """What can be run is one of the rows that there must be, under its name."""
    found = rows()
    assert {number: row.title for number, row in found.items()}.items() <= TITLES.items()
    assert all(row.rounds > 0 and row.hold for row in found.values())
    assert found.keys() | WAITING.keys() == TITLES.keys()
    assert not found.keys() & WAITING.keys()
