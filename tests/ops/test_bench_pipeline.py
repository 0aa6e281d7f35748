"""The bench of the pipeline counts right, and measures a real service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from ops.bench.__main__ import main
from ops.bench.page import put
from ops.bench.pipeline.alternative import by_astropy_and_core, by_ours, by_photutils
from ops.bench.pipeline.decoded import counted
from ops.bench.pipeline.night import Found, Night, busy, section
from ops.bench.pipeline.peak import told as peaks_told
from ops.bench.pipeline.picture import Bar, draw, story, watch
from ops.bench.pipeline.pieces import Pieces, pieces
from ops.bench.pipeline.pieces import told as pieces_told
from ops.bench.pipeline.price import Price, overhead_row, price_row, rounds_of
from ops.bench.pipeline.scaled import told as cores_told
from ops.bench.pipeline.serving import Memory
from ops.bench.pipeline.wait import Wait, groups, matched_but_last, small_stock
from ops.bench.pipeline.wait import told as waits_told
from ops.bench.pipeline.warps import FORMS, Stock
from ops.bench.planes import planted
from ops.bench.report import Row, Section, as_markdown

GUIDE = Path(__file__).parents[2] / "ops/guide/pipeline.md"
PARTS = (
    "price", "decode", "overhead", "pieces", "wait", "decodes", "memory", "cores", "alternative",
    "night",
)  # fmt: skip

# -- arithmetic, on planted values -----------------------------------------------------------------

PRICES = [
    Price(1.0, 4.0, 0.8, 0.5, 1.5),
    Price(3.0, 4.0, 2.0, 2.0, 2.0),
    Price(2.0, 2.0, 1.0, 1.0, 3.0),
]


def test_a_price_is_the_median_of_ratios() -> None:
    """Each round's service is compared with that round's decode."""
    row = price_row("gzip2", PRICES)
    assert row.values["ratio"] == 0.75
    assert row.values["service, s"] == 2.0
    assert not row.met
    assert price_row("rice", PRICES).met
    assert price_row("plain", PRICES).met is None


def test_overhead_is_what_the_service_adds() -> None:
    """A quarter, a half and as much again have a half in their middle; what is met is told of it.

    Beside it stands what the service adds to kernels that keep their pages.
    """
    row = overhead_row("gzip2", PRICES)
    assert row.values["overhead"] == 0.5
    assert row.values["over those keeping pages"] == 1.0
    assert not row.met
    assert overhead_row("gzip2", [Price(1.05, 1.0, 1.0, 0.5, 1.0)]).met


def test_waits_are_compared_by_their_medians() -> None:
    """The largest group's over the smallest's, whatever the last arrival is beside them."""
    same = {10: _waits(0.1, 0.2, 0.9), 100: _waits(5.0), 1000: _waits(0.22, 0.1, 0.3)}
    rows = {row.name: row for row in waits_told(same, {10: _waits(7.0)}).rows}
    assert rows["N = 10"].values["wait, ms"] == pytest.approx(200)
    assert rows["N = 10"].values["longest, ms"] == pytest.approx(900)
    assert rows["N = 10, the last becomes the reference"].values["wait, ms"] == pytest.approx(7000)
    assert rows["N = 1000 over N = 10"].values["ratio"] == pytest.approx(1.1)
    assert rows["N = 1000 over N = 10"].met


def _waits(*seconds: float) -> list[Wait]:
    return [Wait(one, 0.01) for one in seconds]


@pytest.mark.parametrize(
    ("pairs", "done"),
    [
        ([], False),
        ([(1, 2), (1, 3), (1, 4)], True),
        ([(1, 2), (1, 3), (2, 4)], False),
        ([(2, 1), (1, 2), (1, 3), (1, 3), (1, 4)], True),
    ],
)
def test_all_but_the_last_are_matched_when_one_has_them_all(
    pairs: list[tuple[int, int]], *, done: bool
) -> None:
    """Of four warps three must have been matched to the fourth, be it as it may with others."""
    notes = [{"job": "match", "visits": list(pair)} for pair in pairs]
    assert matched_but_last([{"job": "measure", "visits": [1]}, *notes], 4) == done


def test_decodes_are_told_with_their_causes() -> None:
    """All causes together are held to what was to be reached."""
    row = counted("some", {"first": 10, "evicted": 5}, 10, 1.5)
    assert row.values["decodes"] == 1.5
    assert row.values["by cause"] == "evicted 5, first 10"
    assert row.met
    assert not counted("some", {"first": 10, "evicted": 6}, 10, 1.5).met


def test_what_nobody_counts_is_said() -> None:
    """Without a counter there is no figure, and nothing is met."""
    assert counted("some", {}, 10, 1.5) == Row("some", {"decodes": "not counted", "to reach": 1.5})


def test_memory_has_a_peak_and_a_slope() -> None:
    """A line's slope is that of its points, from a time on."""
    memory = Memory([0.0, 1.0, 2.0, 3.0], [900, 100, 110, 120], [0] * 4)
    assert memory.peak == 900
    assert memory.slope(1.0) == pytest.approx(10)
    assert Memory().slope() == 0
    assert Memory().peak == 0


def test_what_a_service_adds_at_least_is_the_sum_of_its_pieces() -> None:
    """Over the kernels; the checksum is taken on the way, and counts once."""
    found = Pieces([1.0, 2.0, 9.0], [0.1], [0.2, 0.1, 0.3], [0.5], [0.1])
    (row,) = pieces_told(100, 3, {"rice": found}).rows
    assert row.values["of the kernels"] == pytest.approx((0.2 + 0.5 + 0.1) / 2.0)
    assert row.values["sha256 alone, s"] == 0.1


def test_the_pieces_of_a_small_warp_are_measured() -> None:
    """Each costs something, in each form."""
    section = pieces(300, 2)
    assert [row.name for row in section.rows] == list(FORMS.values())
    for row in section.rows:
        assert float(row.values["copy and sha256, s"]) > 0
        assert float(row.values["lay, s"]) > 0


def test_peaks_are_compared() -> None:
    """The large group's over that of one small group, and over that of as many warps."""
    found = {
        "N = 10": Memory([0.0], [100], [5]),
        "N = 10, 100 groups": Memory([0.0], [108], [5]),
        "N = 1000": Memory([0.0], [112], [9]),
    }
    *_, once, as_many = peaks_told(100, found).rows
    assert once.values["ratio"] == pytest.approx(1.12)
    assert not once.met
    assert as_many.values["ratio"] == pytest.approx(112 / 108)
    assert as_many.met


def test_cores_are_compared_with_the_kernels() -> None:
    """A service that gains 1.8 where its kernels gain 1.9 is near enough."""
    _, service = cores_told(1.8, 1.9, "note").rows
    assert service.values["over the kernels'"] == pytest.approx(1.8 / 1.9)
    assert not service.met
    assert cores_told(1.85, 1.9, "note").rows[1].met


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, set[str]()),
        ({"distinct": 5}, {"distinct checksums"}),
        ({"matched": 5}, {"matched, or references"}),
        ({"reused": 1}, {"results reused"}),
        ({"busy": 0.94}, {"pool busy"}),
        (
            {"memory": Memory([0.0, 1.0, 2.0, 3.0], [100, 100, 100, 120], [0] * 4)},
            {"second half's peak over the first's"},
        ),
    ],
)
def test_a_night_is_held_to_what_it_is_for(changes: dict[str, Any], missed: set[str]) -> None:
    """All warps are different and matched, no result is reused, and memory does not grow."""
    steady = Memory([0.0, 1.0, 2.0, 3.0], [100, 101, 100, 102], [0] * 4)
    given: dict[str, Any] = {
        "seconds": 12.0, "processor_s": 6.0, "memory": steady,
        "decodes": {"first": 6, "evicted": 3}, "distinct": 6, "matched": 6, "reused": 0,
        "busy": 0.96,
    }  # fmt: skip
    rows = {row.name: row for row in section(Night(10, 2, 3, 1), Found(**given | changes)).rows}
    assert {name for name, row in rows.items() if row.met is False} == missed
    assert rows["seconds a warp"].values["found"] == 2
    assert rows["decodes a warp"].values["found"] == 1.5
    assert rows["decodes by cause"].values["found"] == "evicted 3, first 6"


def test_a_pool_is_busy_while_jobs_are_done() -> None:
    """Two workers that do three seconds' work within two had one second in four to spare."""
    jobs = [{"began": 5.0, "left": 7.0}, {"began": 5.5, "left": 6.0}, {"began": 6.5, "left": 7.0}]
    assert busy(jobs, 2) == 0.75


def test_a_story_puts_jobs_into_lanes() -> None:
    """Each worker has a lane, its stages follow each other, and time begins with the arrivals."""
    notes = [
        {"what": "fetched", "began": 10.5, "ended": 11.0},
        {"what": "job", "began": 11.0, "pid": 9, "timings": {"decode": 2.0, "measure": 0.5}},
        {"what": "job", "began": 12.0, "pid": 4, "timings": {"match": 1.0}},
        {"what": "frozen", "began": 14.0, "ended": 14.0},
        {"what": "published", "began": 15.0, "ended": 15.25},
    ]
    told = story(notes, [10.0, 12.0])
    assert told.bars == (
        Bar("fetching", "fetch", 0.5, 0.5),
        Bar("worker 2", "decode", 1.0, 2.0),
        Bar("worker 2", "measure", 3.0, 0.5),
        Bar("worker 1", "match", 2.0, 1.0),
    )
    assert (told.frozen, told.publishing, told.published, told.wait) == (4.0, 5.0, 5.25, 3.0)


# -- real warps ------------------------------------------------------------------------------------


def test_every_way_finds_the_planted_difference(tmp_path: Path) -> None:
    """Scripts and core come near the truth, and ours does not hang on who reads the files."""
    reference, warp = Stock.pair(tmp_path, 400, "gzip2").files
    for fit in (by_astropy_and_core, by_ours, by_photutils):
        assert np.abs(fit(reference, warp, 50) - planted(400)).mean() < 1
    assert np.array_equal(by_astropy_and_core(reference, warp, 50), by_ours(reference, warp, 50))


# -- a real service, at the smallest size ----------------------------------------------------------


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """Undo what the bench does to the logs of this process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_a_price_is_measured() -> None:
    """Decode, kernels and service take time, and each warp is measured, all but one matched."""
    (found,) = rounds_of("gzip2", 128, 3, 1)
    assert min(found.decode, found.kernels) > 0
    assert found.service >= 0
    assert found.jobs >= 5 / 3


def test_a_wait_is_measured(tmp_path: Path) -> None:
    """A group whose last warp changes the reference has its wait, and its transaction."""
    (found,) = groups(small_stock(tmp_path / "warps"), tmp_path / "service", 4, 1, best=True)
    assert found.publish > 0
    assert found.wait > -found.publish


def test_decodes_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Within the spool each warp is decoded once, and a late visit costs two decodes."""
    words = ("--small-side", "96", "--most", "200", "--json", "--only", "decodes")
    main(["pipeline", *words])
    (found,) = json.loads(capsys.readouterr().out)
    within, beyond, late = (row["values"]["decodes"] for row in found["rows"])
    assert within == 1
    assert beyond > 1
    assert late == 2


def test_a_night_goes_through(capsys: pytest.CaptureFixture[str]) -> None:
    """Warps that the server makes are fetched, matched and published."""
    words = ("--side", "128", "--groups", "2", "--warps", "4", "--room", "3")
    main(["night", *words, "--json"])
    (found,) = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in found["rows"]}
    assert all(rows[name]["met"] for name in ("distinct checksums", "matched, or references"))
    assert rows["results reused"]["met"]


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    """A group's way is seen in a real run, and drawn."""
    told = watch(tmp_path, 4, 128)
    assert len(told.arrivals) == 4
    assert {"fetch", "decode", "measure", "match"} <= {bar.stage for bar in told.bars}
    draw(told, tmp_path / "way.png")
    assert (tmp_path / "way.png").read_bytes().startswith(b"\x89PNG")


# -- the page --------------------------------------------------------------------------------------


def test_a_table_is_put_where_its_name_stands(tmp_path: Path) -> None:
    """What stood there goes, and nothing else is touched; a second time nothing changes."""
    page = tmp_path / "page.md"
    page.write_text("one\n<!-- a -->\nold\n<!-- end of a -->\n<!-- b -->\n<!-- end of b -->\ntwo\n")
    for _ in range(2):
        put(page, "a", "new\n")
        wanted = "one\n<!-- a -->\nnew\n<!-- end of a -->\n<!-- b -->\n<!-- end of b -->\ntwo\n"
        assert page.read_text() == wanted
    with pytest.raises(ValueError, match="add the two lines"):
        put(page, "c", "new\n")


def test_a_page_s_table_has_all_that_was_found() -> None:
    """Columns, goals and notes are those of the text."""
    rows = [Row("one", {"ms": 12.345, "to reach": 5.0}, met=False), Row("other", {"ms": 4.0})]
    assert as_markdown(Section("A title", rows, ["A note."])).splitlines() == [
        "**A title**",
        "",
        "|  | ms | to reach |  |",
        "| --- | --: | --: | --- |",
        "| one | 12.3 | 5 | **missed** |",
        "| other | 4 |  |  |",
        "",
        "A note.",
    ]


def test_the_guide_has_a_place_for_each_part(tmp_path: Path) -> None:
    """Every part that can be run by its name can be put on the page."""
    page = tmp_path / "pipeline.md"
    page.write_text(GUIDE.read_text())
    for part in PARTS:
        put(page, part, "found\n")
    assert page.read_text().count("found\n") == len(PARTS)
