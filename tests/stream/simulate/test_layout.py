"""The survey on disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream import fits
from stream.simulate import (
    SimulatedWarp,
    SurveyError,
    SurveyManifest,
    SurveySpec,
    read_manifest,
    write_survey,
)
from stream.simulate.layout import README
from stream.simulate.manifest import MANIFEST

SMALL = SurveySpec(seed=5, patches=1, visits=2, bands=("r",), size=96)


def test_every_warp_reads_back_as_it_was(
    survey: SurveyManifest, warps: list[SimulatedWarp]
) -> None:
    """Lossless files hold the simulated planes to the bit; RICE within a tenth of the noise."""
    for entry, warp in zip(survey.warps, warps, strict=True):
        read = fits.decode(survey.path(entry).read_bytes(), fits.DecodeLimits())
        assert read.origin == warp.image.origin
        assert np.array_equal(read.mask, warp.image.mask)
        if warp.plan.index % 4 != 3:
            assert read.image.tobytes() == warp.image.image.tobytes()
            assert read.variance.tobytes() == warp.image.variance.tobytes()
        else:
            apart = (read.image - warp.image.image) / np.sqrt(warp.image.variance)
            assert np.nanstd(apart) < 0.1


def test_headers_identify_the_warp(survey: SurveyManifest) -> None:
    """What `evensky match` and `announce` read from a file is what the list says of it."""
    for entry in survey.warps:
        header = fits.identify(survey.path(entry).read_bytes())
        assert (header.skymap, header.tract, header.patch) == (
            entry.skymap,
            entry.tract,
            entry.patch,
        )
        assert (header.band, header.visit, header.sky) == (entry.band, entry.visit, "intact")
        assert (header.shape, header.unit) == (entry.shape, entry.unit)
        assert header.psf_fwhm == pytest.approx(entry.psf_fwhm)
        assert header.mjd == pytest.approx(entry.mjd_tai)


def test_checksums_and_sizes_are_those_of_the_files(survey: SurveyManifest) -> None:
    """The list's checksum is the file's."""
    for entry in survey.warps:
        data = survey.path(entry).read_bytes()
        assert entry.checksum == hashlib.sha256(data).hexdigest()
        assert entry.size == len(data)


def test_files_are_a_mix_of_compressions(survey: SurveyManifest) -> None:
    """Plain, gzipped and tile-compressed files all occur."""
    suffixes = {"".join(Path(entry.file).suffixes) for entry in survey.warps}
    assert suffixes == {".fits", ".fits.gz", ".fits.fz"}


def test_the_list_reads_back_equal(survey: SurveyManifest) -> None:
    """`read_manifest` returns what `write_survey` returned."""
    assert read_manifest(survey.directory) == survey


def test_every_rule_of_completion_has_a_group() -> None:
    """With the default survey each rule completes at least one group, most the manifest."""
    spec = SurveySpec(size=96, visits=2)
    triggers = [group.trigger for group in _groups(spec)]
    assert sorted(set(triggers)) == ["closed", "count", "deadline", "manifest", "quiet"]
    assert max(set(triggers), key=triggers.count) == "manifest"


def test_groups_say_what_completes_them() -> None:
    """A manifest names the visits, a count counts them, a deadline waits for one in vain."""
    for group in _groups(SurveySpec(size=96, visits=2)):
        expected = set(group.expected_visits or ())
        if group.trigger == "manifest":
            assert expected == set(group.visits)
        elif group.trigger == "deadline":
            assert len(expected - set(group.visits)) == 1
        else:
            assert not expected
        assert (group.expected_count == len(group.visits)) == (group.trigger == "count")


def _groups(spec: SurveySpec) -> tuple[Any, ...]:
    from stream.simulate import layout  # noqa: PLC0415 - a private name, for this test alone

    return layout._groups(spec)  # noqa: SLF001 - pixels are not needed to see the groups


def test_warps_of_a_group_are_its_visits(survey: SurveyManifest) -> None:
    """Each group's warps are its visits, in order, and belong to it alone."""
    for group in survey.groups:
        assert tuple(warp.visit for warp in survey.warps_of(group)) == group.visits
        assert group.key == f"live/simulated/4849/{group.patch}/{group.band}"


def test_writing_again_replaces_the_survey_and_keeps_strangers(tmp_path: Path) -> None:
    """A folder that holds a survey takes another; a file that is not ours is left alone."""
    first = write_survey(SMALL, tmp_path / "night")
    stranger = tmp_path / "night" / "notes.txt"
    stranger.write_text("mine")
    second = write_survey(SurveySpec(**{**vars(SMALL), "seed": 6}), tmp_path / "night")
    assert stranger.read_text() == "mine"
    assert read_manifest(tmp_path / "night") == second
    held = {path.name for path in (tmp_path / "night" / "warps").iterdir()}
    assert held == {Path(entry.file).name for entry in second.warps}
    assert first.warps[0].checksum != second.warps[0].checksum


def test_the_same_survey_is_the_same_bytes(tmp_path: Path) -> None:
    """Two folders written from one specification hold the same files."""
    one, two = (write_survey(SMALL, tmp_path / name) for name in ("a", "b"))
    assert [w.checksum for w in one.warps] == [w.checksum for w in two.warps]
    assert (one.directory / MANIFEST).read_bytes() == (two.directory / MANIFEST).read_bytes()


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    """A folder that holds something else is not written to."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SurveyError, match="not empty and holds no simulated survey"):
        write_survey(SMALL, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_foreign_readme_is_refused(tmp_path: Path) -> None:
    """Another program's README does not make its folder ours."""
    (tmp_path / README).write_text("About my data")
    with pytest.raises(SurveyError, match="name a new or empty folder"):
        write_survey(SMALL, tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """A file's name is refused with a sentence, not a traceback of the system."""
    (tmp_path / "night").write_text("")
    with pytest.raises(SurveyError, match="is a file; name a folder"):
        write_survey(SMALL, tmp_path / "night")


def test_an_unwritable_place_is_named_with_the_systems_reason(tmp_path: Path) -> None:
    """Where no folder can be made, the error names the place and the reason."""
    (tmp_path / "plain").write_text("")
    with pytest.raises(SurveyError, match=r"cannot write a survey to .*plain/night: Not a dir"):
        write_survey(SMALL, tmp_path / "plain" / "night")


def test_an_interrupted_survey_has_no_list_and_can_be_written_again(tmp_path: Path) -> None:
    """The list comes last: what was broken off is not taken for whole, and is taken over."""

    def interrupt(done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_survey(SMALL, tmp_path / "night", interrupt)
    with pytest.raises(SurveyError, match="run `evensky simulate"):
        read_manifest(tmp_path / "night")
    assert len(write_survey(SMALL, tmp_path / "night").warps) == 2


def test_progress_counts_every_warp(tmp_path: Path) -> None:
    """The callback hears of each warp once."""
    heard: list[tuple[int, int]] = []
    write_survey(SMALL, tmp_path / "night", lambda done, total: heard.append((done, total)))
    assert heard == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not a survey's list"),
        ("[]", "not a list that this version of evensky wrote"),
        ('{"format": "evensky-survey", "version": 99}', "this version"),
        ('{"format": "evensky-survey", "version": 1}', "lacks something"),
        (json.dumps({"format": "evensky-survey", "version": 1, "spec": {}, "groups": [{}],
                     "warps": []}), "lacks something"),
    ],
)  # fmt: skip
def test_a_damaged_list_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """A list that is not ours is refused by name, never half read."""
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(SurveyError, match=says):
        read_manifest(tmp_path)


def test_the_readme_says_what_is_what(survey: SurveyManifest) -> None:
    """The folder explains itself, with a line that can be run as it stands."""
    text = (survey.directory / README).read_text()
    for word in ("warps/", "truth/", "manifest.json", "evensky match warps/r-39-*"):
        assert word in text
    assert list(survey.directory.glob("warps/r-39-*"))
