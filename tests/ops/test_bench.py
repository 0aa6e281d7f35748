"""The bench measures what it says, and prints what it measured."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from ops.bench.__main__ import main
from ops.bench.clock import Timing, race
from ops.bench.flow import flow
from ops.bench.places import Place
from ops.bench.planes import pair, planes
from ops.bench.report import Row, Section, as_text

STATISTICS = ["MEAN", "MEDIAN", "MEANCLIP"]


@pytest.fixture(autouse=True)
def light() -> Iterator[None]:
    """Keep what other tests have loaded from the collector, which the bench calls before each run.

    A collection of all that a test run holds takes longer than a match of small exposures.
    """
    gc.freeze()
    yield
    gc.unfreeze()


def measured(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    """Run the bench on small exposures and read its JSON."""
    main(["core", "--side", "520", "--runs", "1", "--json", *words])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def names(section: dict[str, Any]) -> list[str]:
    """Return what a table has rows of."""
    return [row["name"].strip() for row in section["rows"]]


def test_every_row_of_speed_has_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """Each row has seconds and floors, shortest and median; those with a goal say if it is met."""
    (section,) = measured(capsys, "--only", "speed")
    wanted = ["Chebyshev order 8", "MEAN with quality", "of which quality"]
    assert names(section) == [*STATISTICS, *wanted, "selection, one exposure"]
    for row in section["rows"]:
        assert {"min, ms", "median, ms", "floors (min)", "floors (median)"} <= row["values"].keys()
        goal = row["values"].get("to reach")
        assert row["met"] == (None if goal is None else row["values"]["floors (min)"] <= goal)


def test_every_other_table_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes, shares and cores have a row for each, and a figure for each statistic."""
    cores, sizes, shares = measured(capsys, "--only", "sizes", "shares", "cores")
    assert names(sizes) == ["123 x 123", "247 x 247", "520 x 520", "990 x 990"]
    kinds = ["5", "25", "50", "75", "100", "outliers:"]
    assert [name.partition(" ")[0] for name in names(shares)] == kinds
    assert names(cores)[1:] in ([], STATISTICS), "there may be one core"
    for row in shares["rows"]:
        assert [name.partition(",")[0] for name in row["values"]] == STATISTICS
        assert all(0 < floors < 10_000 for floors in row["values"].values())


def test_memory_is_held_to_one_plane(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that is measured takes more than one plane beside what it is given and returns."""
    main(["core", "--side", "3000", "--json", "--only", "memory"])
    (section,) = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["values"] for row in section["rows"] if not row["met"]} == {}
    assert max(row["values"]["planes"] for row in section["rows"]) > 0.9, "something is measured"


# -- its parts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("good", [0.05, 0.5, 0.8, 1.0])
def test_exposures_are_as_asked_for(good: float) -> None:
    """The share of good pixels is what was asked for, within the size of a blob, every time."""
    one, two = pair(900, good)
    bad = (one.mask | two.mask) != 0
    assert abs(1 - bad.mean() - good) < 0.02
    assert np.isfinite((one.image - two.image)[~bad]).all()
    assert all(
        np.array_equal(first, second, equal_nan=True)
        for first, second in zip(planes(one, two), planes(*pair(900, good)), strict=True)
    )


def test_outliers_are_not_flagged() -> None:
    """What is to be clipped is in the good pixels."""
    one, _ = pair(300, 1.0, 0.01)
    assert 0.005 < np.mean(np.abs(one.image) > 1000) < 0.01
    assert not one.mask.any()


def test_every_run_has_its_floor() -> None:
    """Tasks run in turns, each right after the floor; the first turn is not counted."""
    order: list[str] = []
    tasks = {name: partial(order.append, name) for name in ("a", "b")}
    found = race(partial(order.append, "floor"), tasks, 2)
    assert order == ["floor", "a", "floor", "b"] * 3
    assert {name: len(timing.seconds) for name, timing in found.items()} == {"a": 2, "b": 2}


def test_ratios_are_of_what_ran_beside() -> None:
    """The shortest runs are compared with each other, and the median is of pairs."""
    timing = Timing(seconds=(4.0, 9.0, 10.0), floors=(2.0, 3.0, 1.0))
    assert (timing.least, timing.middle) == (4.0, 9.0)
    assert (timing.ratio, timing.middle_ratio) == (4.0, 3.0)


def test_a_table_can_be_read() -> None:
    """Names stand left, numbers right, goals say whether they are met."""
    rows = [Row("MEAN", {"ms": 12.345, "to reach": 5.0}, met=False), Row("other", {"ms": 4200.4})]
    assert as_text(Section("A title", rows, ["A note."])).splitlines() == [
        "A title",
        "",
        "           ms  to reach",
        "  MEAN   12.3         5  MISSED",
        "  other  4200",
        "  A note.",
    ]


# -- the service -----------------------------------------------------------------------------------

TINY = ("--events", "60", "--rounds", "1", "--members", "200")
FEW = ("--group-members", "100", "--open-groups", "2000")


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """Undo what the bench does to the logs of this process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def rows_of(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, Any]]:
    """Run the bench of the service at a tiny size, and return its rows."""
    main(["stream", *TINY, *FEW, "--json", *words])
    sections = json.loads(capsys.readouterr().out)
    return {row["name"]: row for section in sections for row in section["rows"]}


def hold_flow(rows: dict[str, dict[str, Any]], place: str) -> None:
    """Hold that there is a figure for each thing that was measured on a place."""
    ingest = rows[f"{place}: ingest, events / s"]
    assert ingest["met"] == (ingest["values"]["median"] >= ingest["values"]["to reach"])
    for name in ("publish, ms", "loop lag, ms"):
        values = rows[f"{place}: {name}"]["values"]
        assert 0 <= values["median"] <= values["p99"]


def test_the_service_is_measured_on_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Flow, state and growth have a row for each figure, and each says whether it is met."""
    rows = rows_of(capsys, "--no-broker")
    hold_flow(rows, "embedded")
    for name in ("restore, s", "memory a member, B"):
        assert rows[f"embedded: {name}"]["values"]["measured"] > 0
    for name in ("1 to 100 members a group", "2 to 2000 open groups"):
        values = rows[name]["values"]
        assert values["ratio"] == pytest.approx(values["large, us"] / values["small, us"])
    assert {row["met"] for row in rows.values()} <= {True, False}
    assert len(rows) == 7


@pytest.mark.kafka
def test_the_service_is_measured_on_a_broker(tmp_path: Path, kafka: str) -> None:
    """On a broker the same is measured, and ingest is compared with what the broker takes."""
    section = flow([Place("Kafka", tmp_path, kafka)], 1000, 1)
    rows = {row.name: asdict(row) for row in section.rows}
    hold_flow(rows, "Kafka")
    assert rows["Kafka: ingest, events / s"]["values"]["over bare"] > 0


def test_decoding_is_compared_with_astropy_in_every_form(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each form of a warp has the seconds of both and their ratio; GZIP_2 has a goal."""
    main(["pipeline", "--side", "64", "--runs", "1", "--only", "decode", "--json"])
    (section,) = json.loads(capsys.readouterr().out)
    assert names(section) == [
        "GZIP_2, a row a tile",
        "Rice and GZIP_2",
        "gzip, the whole file",
        "plain",
    ]
    for row in section["rows"]:
        values = row["values"]
        assert values["ratio"] == pytest.approx(values["ours, s"] / values["astropy, s"])
    assert [row["met"] is None for row in section["rows"]] == [False, True, True, True]
