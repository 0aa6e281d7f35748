"""`evensky match`: what it prints, writes, and how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rich.console import Console

import schemas
from stream.commands import match
from stream.commands.match import _brief, _remarks, _spooled
from stream.configure import load_settings
from stream.crosschecks import memory_left
from stream.machine import Disk, Machine
from stream.settings import Settings
from tests.schemas.examples import matched_model
from tests.stream.commands.conftest import Say
from tests.stream.night import write_warp

QUICK = ("--workers", "1", "-c", "bin_size=16")
GROUP = {"campaign", "skymap", "tract", "patch", "band", "reference", "members", "warnings"}
MEMBER = {
    *("visit", "status", "is_reference", "fit_rms", "matched_mse", "diff_im_var"),
    *("cost", "verdict", "reason", "verdict_reasons", "flags", "quality"),
}


def test_json_has_the_promised_fields(say: Say, warps: list[Path]) -> None:
    """The document has exactly the fields that programs rely on; what is absent is null."""
    said = say("match", *warps, *QUICK, "--json")
    assert (said.code, said.err) == (0, "")
    document = json.loads(said.out)
    assert set(document) == {"groups"}
    (group,) = document["groups"]
    assert set(group) == GROUP
    assert (group["skymap"], group["tract"], group["patch"], group["band"]) == ("rings", 7, 3, "r")
    assert all(set(member) == MEMBER for member in group["members"])
    assert [member["visit"] for member in group["members"]] == [1, 2, 3]
    (reference,) = [member for member in group["members"] if member["is_reference"]]
    assert reference["visit"] == group["reference"]
    assert (reference["fit_rms"], reference["matched_mse"]) == (None, None)


def test_a_bad_warp_fails_alone(say: Say, warps: list[Path]) -> None:
    """A truncated file fails with its reason, a text file is named, the others are matched."""
    warps[2].write_bytes(warps[2].read_bytes()[:20_000])
    text = warps[0].with_name("notes.fits")
    text.write_text("notes", encoding="utf-8")
    said = say("match", *warps, text, *QUICK, "--json")
    assert said.code == 1
    assert str(text) in said.err
    (group,) = json.loads(said.out)["groups"]
    states = [member["status"] for member in group["members"]]
    assert sorted(states[:2]) == ["matched", "reference"]
    assert states[2] == "failed"
    assert group["members"][2]["reason"].startswith("truncated")


def test_a_lone_warp_is_looked_at(say: Say, warps: list[Path]) -> None:
    """A warp alone in its group needs no match, but one that cannot be read is not passed over."""
    good = say("match", warps[0], *QUICK)
    assert good.code == 0
    assert "incomplete" in good.out
    warps[0].write_bytes(warps[0].read_bytes()[:20_000])
    bad = say("match", warps[0], *QUICK, "--json")
    assert bad.code == 1
    assert str(warps[0]) in bad.err
    assert json.loads(bad.out) == {"groups": []}


def test_files_written(say: Say, warps: list[Path]) -> None:
    """With -o each visit has its model and the group its pictures, below the band."""
    said = say("match", *warps, *QUICK, "-o", "out", "--reference", 2)
    assert said.code == 0
    assert "reference 2" in said.out
    names = {path.relative_to("out").as_posix() for path in Path("out").rglob("*.*")}
    models = {f"r/{visit}.model.msgpack" for visit in (1, 2, 3)}
    assert names == {*models, "r/coadd.png", "r/group.png"}
    assert Path("out/r/coadd.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_is_not_cut_in_a_pipe(say: Say, warps: list[Path]) -> None:
    """Where there is no terminal the table is as wide as it needs to be."""
    long = write_warp(warps[0].parent, 2**62 + 1)
    said = say("match", *warps, long, *QUICK)
    assert str(2**62 + 1) in said.out
    assert "…" not in said.out


def test_eighty_columns_cut_nothing(
    say: Say, warps: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a terminal a visit of 13 digits, its figures and each reason are whole, on lines of 80."""
    folder = warps[0].parent
    kept = {2024112300120: None, 2024112300121: slice(16, None), 2024112300122: slice(0)}
    good, part, gone = kept
    files = [write_warp(folder, visit, sky=100.0, keep=keep) for visit, keep in kept.items()]
    cut = write_warp(folder, good + 9)
    cut.write_bytes(cut.read_bytes()[:20_000])
    monkeypatch.setattr(match, "table_console", lambda: Console(width=80))
    limits = ("--verdict-max-worst-block", "0.1", "--verdict-max-extrapolated-fraction", "0")
    said = say("match", *files, cut, *QUICK, *limits, "--reference", good)
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in said.out
    rows = {row[0]: row for row in map(str.split, lines) if row}
    assert rows[str(good)][6:] == ["reference"]
    assert rows[str(good + 9)][6:] == ["failed", "truncated"]
    assert rows[str(gone)][6] == "no_overlap"
    assert rows[str(part)][6:] == ["reject", "worst_block", ">", "0.1,"]
    assert ["extrapolated", "0.25"] in [line.split()[:2] for line in lines]


def test_a_flag_that_is_a_reason_too_is_named_once() -> None:
    """What a reason says of the extrapolated share, the flag does not say again."""
    reasons = ("extrapolated_fraction is 0.3, over 0.15",)
    model = matched_model(verdict_reasons=reasons, flags=("extrapolated", "mixed_sky"))
    assert _remarks(model) == ["extrapolated 0.3 > 0.15", "mixed_sky"]
    accepted = matched_model(verdict_reasons=(), flags=("extrapolated",))
    assert _remarks(accepted) == ["extrapolated"]


def test_another_reference_than_asked_for_is_told(say: Say, warps: list[Path]) -> None:
    """If the visit asked for cannot be read another is chosen, and a warning says which."""
    warps[1].write_bytes(warps[1].read_bytes()[:20_000])
    said = say("match", *warps, *QUICK, "--reference", 2)
    assert said.code == 1
    assert re.search(r"visit 2 could not be the reference, [13] was chosen", said.err)
    assert "was chosen" not in say("match", *warps, *QUICK, "--reference", 1).err


def test_a_group_without_a_reference_says_so(say: Say, warps: list[Path]) -> None:
    """Where no warp can be read the heading is a sentence, not None."""
    for warp in warps:
        warp.write_bytes(warp.read_bytes()[:20_000])
    said = say("match", *warps, *QUICK)
    assert said.code == 1
    assert "no reference, partial" in said.out
    assert "None" not in said.out


def test_a_reference_that_is_not_there(say: Say, warps: list[Path]) -> None:
    """A reference that none of the files is, is wrong use."""
    said = say("match", *warps, "--reference", 9)
    assert said.code == 2
    assert "--reference 9" in said.err


def test_one_warp_alone(say: Say, warps: list[Path]) -> None:
    """A group of one is told to be incomplete, which is no failure."""
    said = say("match", warps[0], *QUICK)
    assert said.code == 0
    assert "incomplete" in said.out
    assert "nothing to match" in said.err


def test_settings_may_stand_in_a_row(say: Say, warps: list[Path]) -> None:
    """After one -c further NAME=VALUE are settings, unless there is a file of that name."""
    row = ("-c", "use_polynomial=true", "order=1", "grid_statistic=MEDIAN", "bin_size=16")
    said = say("match", *warps, "--workers", "1", *row, "-o", "out", "--json")
    assert (said.code, said.err) == (0, "")
    (group,) = json.loads(said.out)["groups"]
    assert [one["status"] for one in group["members"]].count("matched") == 2
    (visit, *_) = (one["visit"] for one in group["members"] if one["status"] == "matched")
    value = Path(f"out/r/{visit}.model.msgpack").read_bytes()
    model = schemas.decode_value(value, schemas.BackgroundModel).model
    assert model is not None
    assert (model.form, model.order_x, model.values.shape) == ("chebyshev", 1, (4, 4))
    alone = say("match", *row)
    assert alone.code == 2
    assert "which files" in alone.err


def test_a_plane_that_no_file_has_is_warned_of(say: Say, warps: list[Path]) -> None:
    """A misspelt bad mask plane is told on stderr and in the document, and fails nothing."""
    said = say("match", *warps, *QUICK, "-c", "bad_mask_planes=BAD,DETECTD", "--json")
    assert said.code == 0
    assert "warning: bad_mask_planes: no warp of the group defines DETECTD" in said.err
    (group,) = json.loads(said.out)["groups"]
    assert group["warnings"] == ["bad_mask_planes: no warp of the group defines DETECTD"]


def test_the_table_says_why(say: Say, warps: list[Path]) -> None:
    """Figures, verdict and reasons stand in a row of each visit, and fit eighty columns."""
    limits = ("--verdict-max-worst-block", "0.001", "--verdict-min-coverage", "1")
    said = say("match", *warps, *QUICK, *limits, "--reference", 2)
    heading, *rows = [line.split() for line in said.out.splitlines() if "  " in line.strip()]
    assert heading == [
        "visit", "cost", "fit_rms", "mse/var", "sky_chi2", "worst_block", "verdict", "why",
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["2", "1", "3"]
    assert rows[0][6:] == ["reference"]
    for row in rows[1:]:
        assert row[6] == "reject"
        assert " ".join(row[7:]).startswith("worst_block > 0.001, coverage 0.9")
        assert all(float(cell) > 0 for cell in row[1:6])
    assert said.err == ""
    accepted = say("match", *warps, *QUICK, "--verdict-profile", "none")
    assert "none" in accepted.out
    assert "worst_block >" not in accepted.out


def test_json_says_why_a_match_is_rejected(say: Say, warps: list[Path]) -> None:
    """The reason of a rejected member is that of its verdict; the reference has none."""
    limits = ("--verdict-max-worst-block", "0.001", "--verdict-min-coverage", "1")
    said = say("match", *warps, *QUICK, *limits, "--reference", 2, "--json")
    members = json.loads(said.out)["groups"][0]["members"]
    assert [member["verdict"] for member in members] == ["reject", "accept", "reject"]
    assert [member["reason"] is None for member in members] == [False, True, False]
    for member in (members[0], members[2]):
        assert len(member["verdict_reasons"]) > 1
        assert member["reason"] == "; ".join(member["verdict_reasons"])


@pytest.mark.parametrize(
    ("reason", "brief"),
    [
        ("sky_chi2 is 7.5, over 2.512 (63 tiles)", "sky_chi2 > 2.512"),
        ("matched_mse / diff_im_var is 1.87, over 1.1", "mse/var > 1.1"),
        ("fit_rms is 4.902, over 1 count", "fit_rms > 1"),
        ("coverage is 0.1, under 0.2", "coverage 0.1 < 0.2"),
        ("extrapolated_fraction is 0.3, over 0.15", "extrapolated 0.3 > 0.15"),
        ("edge_step: the sky has a step", "edge_step"),
        ("worst_block could not be measured", "worst_block could not be measured"),
    ],
)  # fmt: skip
def test_reasons_are_brief_in_a_table(reason: str, brief: str) -> None:
    """A value that has a column of its own is not said twice."""
    assert _brief(reason) == brief


GIB = 2**30


def planned(tmp_path: Path, memory: int, *, in_memory: bool) -> tuple[Settings, Machine]:
    """Return the settings that a machine's memory leaves, whose temporary folder is on tmpfs."""
    machine = Machine(2, memory, lambda path: Disk(2**50, in_memory and path == tmp_path))
    given = {"workers": 2, "log": tmp_path / "log.db", "spool_bytes": 8 * GIB}
    settings = load_settings(given, environment={}, machine=machine)
    return _spooled(settings, tmp_path, machine), machine


def test_a_temporary_folder_in_memory_is_kept_within_it(tmp_path: Path) -> None:
    """Where the system's folder for such lies on tmpfs, each byte of the spool is one of memory."""
    whole, machine = planned(tmp_path, 64 * GIB, in_memory=True)
    assert (whole.spool_dir, whole.spool_bytes) == (tmp_path, 8 * GIB)
    less = 64 * GIB - memory_left(whole, machine) + GIB
    assert planned(tmp_path, less, in_memory=True)[0].spool_bytes == GIB
    assert planned(tmp_path, less, in_memory=False)[0].spool_bytes == 8 * GIB
    assert planned(tmp_path, less - GIB, in_memory=True)[0].spool_bytes == 0
