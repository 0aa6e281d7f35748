"""LSST's task as its users drive it: over files, over references of their own, and by hand."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

import core
from core import MaskedImage, MatchConfig
from stream import fits
from stream.dataref import FileDataRef
from stream.fitswriter import Compression
from stream.task import MatchBackgroundsTask
from stream.taskbase import Struct, TaskError
from stream.taskconfig import MatchBackgroundsConfig
from tests.core.exposures import PLANES, flat, noisy

CONFIG = MatchConfig(bin_size=12, bad_mask_planes=tuple(PLANES))
FIGURES = ("isReference", "backgroundModel", "fitRMS", "matchedMSE", "diffImVar")
SHAPE = (40, 44)
WARP = "deepCoadd_directWarp"


class Ref:
    """A data reference as somebody else would write one."""

    def __init__(self, exposure: Any, visit: int, *, exists: bool = True) -> None:
        self.exposure = exposure
        self.dataId = {"visit": visit} if visit else {}
        self.exists = exists
        self.asked: list[str] = []

    def get(self, datasetType: str) -> Any:
        """Return the exposure, or raise it if it is an error."""
        self.asked.append(datasetType)
        if isinstance(self.exposure, BaseException):
            raise self.exposure
        return self.exposure

    def datasetExists(self, datasetType: str) -> bool:
        """Tell whether there is one."""
        return self.exists and datasetType == WARP


class Scaler:
    """A scaler as LSST's are: it changes what it is given."""

    def __init__(self, scale: float) -> None:
        self.scale = np.float32(scale)

    def scaleMaskedImage(self, maskedImage: MaskedImage) -> None:
        """Multiply in place."""
        maskedImage.image[...] *= self.scale
        maskedImage.variance[...] *= self.scale * self.scale


class Returning:
    """A scaler that returns a new exposure."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def scaleMaskedImage(self, maskedImage: MaskedImage) -> MaskedImage:
        """Multiply."""
        return core.scaled(maskedImage, self.scale)


class Broken:
    """A scaler without a zero point."""

    def scaleMaskedImage(self, maskedImage: MaskedImage) -> None:
        """Fail."""
        raise LookupError(f"no zero point for {maskedImage.shape}")


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """Return what is logged."""
    with structlog.testing.capture_logs() as found:
        yield found


def exposures(count: int = 4) -> list[MaskedImage]:
    """Return exposures of one shape, at levels above 0."""
    many = [noisy(seed, *SHAPE) for seed in range(count)]
    return [replace(one, image=one.image + np.float32(1000)) for one in many]


def refs(count: int = 4) -> list[Ref]:
    """Return references to them."""
    return [Ref(one, visit) for visit, one in enumerate(exposures(count), start=1)]


def task(**changes: Any) -> MatchBackgroundsTask:
    """Return a task with small bins."""
    return MatchBackgroundsTask(replace(CONFIG, **changes))


def figures(info: Struct) -> list[Any]:
    """Return the figures of a result."""
    assert sorted(info.getDict()) == sorted(FIGURES)
    return [getattr(info, name) for name in FIGURES]


def of_core(result: core.MatchResult) -> list[Any]:
    """Return the same of core's result."""
    names = ("is_reference", "model", "fit_rms", "matched_mse", "diff_im_var")
    return [getattr(result, name) for name in names]


def planes_of(exposure: MaskedImage) -> list[bytes]:
    """Return the bits of an exposure."""
    return [one.tobytes() for one in (exposure.image, exposure.mask, exposure.variance)]


# --- run


def test_a_run_is_core_s() -> None:
    """Choice, models and figures are those of core.match_backgrounds, in LSST's structs."""
    results = task().run(refs(), WARP)
    expected = core.match_backgrounds(exposures(), CONFIG)
    assert list(map(figures, results.backgroundInfoList)) == list(map(of_core, expected))
    assert [info.isReference for info in results.backgroundInfoList].count(True) == 1


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.floats(0.5, 2), min_size=3, max_size=3), st.sampled_from([0, 1, 2, None]))
def test_scalers_of_any_kind_are_core_s(scales: list[float], reference: int | None) -> None:
    """In place or not, numbers, arrays and callables: all give the bits of core's scalers."""
    many = refs(3)
    before = [planes_of(ref.exposure) for ref in many]
    given_ref = None if reference is None else many[reference]
    own = None if reference is None else scales[reference]
    expected = core.match_backgrounds(exposures(3), CONFIG, reference, scales)
    kinds: list[Callable[[float], Any]] = [
        Scaler,
        Returning,
        float,
        lambda scale: np.full(SHAPE, scale),
        lambda scale: lambda exposure: core.scaled(exposure, scale),
    ]
    with structlog.testing.capture_logs():
        for kind in kinds:
            scalers = [kind(scale) for scale in scales]
            found = task().run(many, WARP, scalers, given_ref, None if own is None else kind(own))
            assert list(map(figures, found.backgroundInfoList)) == list(map(of_core, expected))
    assert [planes_of(ref.exposure) for ref in many] == before


def test_a_reference_from_outside_is_nobody_in_the_list() -> None:
    """All are matched to it, scaled by its own scaler; nothing is chosen or measured."""
    outside, many = Ref(noisy(9, *SHAPE), 99), refs(2)
    worker = task()
    found = worker.run(many, WARP, None, outside, Scaler(2)).backgroundInfoList
    reference = core.scaled(noisy(9, *SHAPE), 2.0)
    for info, exposure in zip(found, exposures(2), strict=True):
        assert info.isReference is False
        assert info.backgroundModel == core.match_background(reference, exposure, CONFIG).model
    assert [len(ref.asked) for ref in (*many, outside)] == [1, 1, 1]
    assert "measure" not in worker.timings()


@pytest.mark.parametrize("visit", [2, 0])
def test_a_given_reference_is_known_by_itself_or_its_data_id(visit: int) -> None:
    """Another reference of the same dataId is the same exposure; an empty dataId names none."""
    many = refs(3)
    again = Ref(many[1].exposure, visit)
    many[2].dataId = {} if visit == 0 else many[2].dataId
    found = task().run(many, WARP, None, again).backgroundInfoList
    assert [info.isReference for info in found] == [False, visit == 2, False]
    same = task().run(many, WARP, None, many[0]).backgroundInfoList
    assert [info.isReference for info in same] == [True, False, False]


def test_one_failure_never_stops_the_others(lines: list[Any]) -> None:
    """A reference that raises, a foreign shape, a scaler that fails, no exposure: each alone."""
    bad = [Ref(OSError("disk"), 11), Ref(noisy(1, 9, 9), 12), Ref("a name", 13)]
    many = [*refs(3), *bad]
    scalers = [None, Broken(), None, None, None, None]
    found = task().run(many, WARP, scalers, many[0]).backgroundInfoList
    assert [info.backgroundModel is not None for info in found] == [
        False, False, True, False, False, False,
    ]  # fmt: skip
    assert figures(found[1]) == figures(found[3]) == [False, None, None, None, None]
    assert figures(found[0]) == [True, None, None, None, None]
    why = {line["exposure"]: line["why"] for line in lines if line["event"] == "not matched"}
    assert sorted(why) == [f"{{'visit': {visit}}}" for visit in (11, 12, 13, 2)]
    assert "no zero point" in why["{'visit': 2}"]
    assert "OSError: disk" in why["{'visit': 11}"]


def test_a_lack_of_memory_ends_the_run() -> None:
    """What the next exposure would meet as well comes through."""
    many = [*refs(2), Ref(MemoryError(), 3)]
    for reference in (None, many[0]):
        with pytest.raises(MemoryError):
            task().run(many, WARP, None, reference)


def test_all_exposures_of_a_run_must_exist() -> None:
    """A missing exposure, or reference, is a RuntimeError that names it, before any is read."""
    gone, many = Ref(noisy(1, *SHAPE), 77, exists=False), refs(2)
    with pytest.raises(RuntimeError, match="77"):
        task().run([*many, gone], WARP)
    with pytest.raises(RuntimeError, match="77"):
        task().run(many, WARP, None, gone)
    with pytest.raises(RuntimeError, match="'calexp'"):
        task().run(many, "calexp")
    assert [ref.asked for ref in many] == [[], []]


@pytest.mark.parametrize(("many", "scalers"), [([], None), ([], [None]), (refs(2), [None])])
def test_lists_that_do_not_fit_are_refused(many: list[Ref], scalers: list[Any] | None) -> None:
    """No exposures, and another number of scalers, is a TaskError, a RuntimeError."""
    for call in (
        lambda: task().run(many, WARP, scalers),
        lambda: task().selectRefExposure(many, scalers, WARP),
    ):
        with pytest.raises(TaskError) as caught:
            call()
        assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("given", [None, 3, "warp.fits", {"warp": 1}, iter([])])
def test_what_is_no_list_is_refused(given: Any) -> None:
    """A TypeError names the argument and says what was given for it."""
    kind = type(given).__name__
    with pytest.raises(TypeError, match=f"^expRefList is a {kind}"):
        task().run(given, WARP)
    if given is not None:
        with pytest.raises(TypeError, match=f"^imageScalerList is a {kind}"):
            task().selectRefExposure(refs(2), given, WARP)


@pytest.mark.parametrize("reference", [Ref(OSError("disk"), 8), Ref(3.5, 8)])
def test_a_reference_that_cannot_be_read_ends_the_run(reference: Ref) -> None:
    """Nothing can be matched to it."""
    with pytest.raises((OSError, TypeError)):
        task().run(refs(2), WARP, None, reference)
    with pytest.raises(core.ScalerError, match="'visit': 1"):
        task().run(refs(2), WARP, None, refs(1)[0], Broken())


def test_planes_that_no_exposure_has_are_told(lines: list[Any]) -> None:
    """A misspelt bad mask plane is a warning; one that a single file has is none."""
    names = ("DETECTD", "SAT")
    many = refs(2)
    many[1].exposure = replace(many[1].exposure, planes={"SAT": 1})
    task(bad_mask_planes=names).run(many, WARP, None, many[0])
    told = [line["planes"] for line in lines if "bad mask planes" in line["event"]]
    assert told == [["DETECTD"]]


def test_planes_are_told_wherever_exposures_are_read(lines: list[Any]) -> None:
    """A choice and a match by themselves warn of a misspelt plane too; a run does so once."""
    worker = task(bad_mask_planes=("DETECTD", "CR"))
    worker.selectRefExposure(refs(2), None, WARP)
    worker.matchBackgrounds(*exposures(2))
    worker.run(refs(2), WARP)
    told = [line["planes"] for line in lines if "bad mask planes" in line["event"]]
    assert told == [["DETECTD"]] * 3


# --- selectRefExposure


def test_the_choice_is_core_s(lines: list[Any]) -> None:
    """An index from 0, of the least cost; LSST's quirks are warned of."""
    index = task().selectRefExposure(refs(), None, WARP)
    assert index == core.select_reference(exposures(), CONFIG).index
    assert type(index) is int
    assert [line["log_level"] for line in lines] == ["info"]
    dark = [Ref(flat(ref.exposure.image - 9000), visit) for visit, ref in enumerate(refs(2), 1)]
    task().selectRefExposure(dark, [None, None], WARP)
    assert "all levels are negative" in str(lines)


def test_missing_exposures_are_skipped_with_a_warning(lines: list[Any]) -> None:
    """They are no candidates; if all are missing there is a RuntimeError."""
    many = refs()
    best = task().selectRefExposure(many, None, WARP)
    many[best].exists = False
    assert task().selectRefExposure(many, None, WARP) != best
    assert [line["exposure"] for line in lines if line["log_level"] == "warning"] == [
        str(many[best].dataId)
    ]
    for ref in many:
        ref.exists = False
    with pytest.raises(RuntimeError, match="none of 4 exposures"):
        task().selectRefExposure(many, None, WARP)


def test_what_cannot_be_scaled_or_read_is_never_chosen() -> None:
    """Its cost is NaN; if there is nothing else it is LSST's ValueError."""
    many = refs()
    best = task().selectRefExposure(many, None, WARP)
    scalers = [Broken() if place == best else None for place in range(4)]
    assert task().selectRefExposure(many, scalers, WARP) != best
    with pytest.raises(ValueError, match="All-NaN"):
        task().selectRefExposure(many, [Broken()] * 4, WARP)
    with pytest.raises(ValueError, match="All-NaN"):
        task().selectRefExposure([Ref(OSError(), 1)], None, WARP)


# --- matchBackgrounds


def test_the_science_exposure_is_changed_in_memory() -> None:
    """Its image is f32(science + model); mask, variance and the reference stay as they were."""
    reference, science = exposures(2)
    expected = core.match_background(reference, science, CONFIG)
    before, kept = planes_of(reference), science.image.copy()
    image, others = science.image, planes_of(science)[1:]
    found = task().matchBackgrounds(reference, science)
    np.testing.assert_array_equal(science.image, kept + expected.model.image())
    assert science.image is image
    assert planes_of(science)[1:] == others
    assert planes_of(reference) == before
    assert figures(found) == [
        False, expected.model, expected.fit_rms, expected.matched_mse, expected.diff_im_var,
    ]  # fmt: skip


def test_two_alike_after_matching_need_no_more() -> None:
    """Matched again, the model is nearly nothing: the sky is the reference's."""
    reference = flat(np.full(SHAPE, 7.0))
    science = flat(np.full(SHAPE, 2.0))
    task().matchBackgrounds(reference, science)
    assert (science.image == 7.0).all()
    assert not task().matchBackgrounds(reference, science).backgroundModel.image().any()


def spoilt(kind: str) -> tuple[Any, Any]:
    """Return a pair that cannot be matched, for a reason that is found sooner or later."""
    reference, science = exposures(2)
    if kind == "shape":
        return noisy(3, 9, 9), science
    if kind == "overlap":
        return flat(np.full(SHAPE, math.nan)), science
    if kind == "overflow":
        levels = np.repeat([-3e38, 0.0, 0.0, 3e38], 11)
        return flat(np.tile(levels, (40, 1))), flat(np.zeros(SHAPE))
    science.image.setflags(write=False)
    return reference, science


@pytest.mark.parametrize("kind", ["shape", "overlap", "overflow", "read-only"])
def test_a_failure_leaves_the_science_exposure_as_it_was(kind: str) -> None:
    """However late a match fails, no pixel has been changed."""
    reference, science = spoilt(kind)
    before = planes_of(science)
    with pytest.raises(core.CoreError):
        task(interp_style=core.InterpStyle.LINEAR).matchBackgrounds(reference, science)
    assert planes_of(science) == before


@pytest.mark.parametrize("name", ["refExposure", "sciExposure"])
def test_only_exposures_are_matched(name: str) -> None:
    """Anything else is a TypeError that names the argument."""
    pair: dict[str, Any] = {"refExposure": exposures(1)[0], "sciExposure": exposures(1)[0]}
    pair[name] = pair[name].image
    with pytest.raises(TypeError, match=f"{name} is a ndarray"):
        task().matchBackgrounds(**pair)


# --- over files


def written(folder: Path) -> list[FileDataRef]:
    """Write warps, plain, gzipped and in tiles, and return references to them."""
    kinds: list[Compression] = [None, "gzip", "gzip2", None]
    found = []
    for visit, (exposure, kind) in enumerate(zip(exposures(), kinds, strict=True), start=1):
        file = folder / f"warp-{visit}.fits"
        file.write_bytes(fits.encode(exposure, {"VISIT": visit}, compression=kind))
        found.append(FileDataRef(file, {"visit": visit}))
    return found


def test_a_run_over_files_is_a_run_over_their_pixels(tmp_path: Path) -> None:
    """What the files hold is matched, whatever their compression; the files stay as they were."""
    files = written(tmp_path)
    before = [file.read_bytes() for file in sorted(tmp_path.iterdir())]
    scalers = [None, Scaler(2.0), None, 0.5]
    found = task().run(files, WARP, scalers)
    expected = core.match_backgrounds(exposures(), CONFIG, None, [None, 2.0, None, 0.5])
    assert list(map(figures, found.backgroundInfoList)) == list(map(of_core, expected))
    assert [file.read_bytes() for file in sorted(tmp_path.iterdir())] == before


def test_a_damaged_file_fails_alone(tmp_path: Path, lines: list[Any]) -> None:
    """A file cut short, and one that is something else, are told with their fault."""
    files = written(tmp_path)
    whole = (tmp_path / "warp-2.fits").read_bytes()
    (tmp_path / "warp-2.fits").write_bytes(gzip.compress(gzip.decompress(whole)[:9000]))
    (tmp_path / "warp-3.fits").write_bytes(b"Dear sir")
    found = task().run(files, WARP, None, files[0]).backgroundInfoList
    assert [info.backgroundModel is not None for info in found] == [False, False, False, True]
    why = [line["why"] for line in lines if line["event"] == "not matched"]
    assert "truncated" in why[0]
    assert "not_fits" in why[1]


def test_a_missing_file_is_skipped_or_refused(tmp_path: Path) -> None:
    """The choice does without it; a run is a RuntimeError that names it."""
    files = written(tmp_path)
    (tmp_path / "warp-2.fits").unlink()
    assert task().selectRefExposure(files, None, WARP) != 1
    with pytest.raises(RuntimeError, match="'visit': 2"):
        task().run(files, WARP)


# --- timings


def test_a_run_notes_its_timings() -> None:
    """Every part has its timer, once a use, and the parts take no longer than the whole."""
    worker = task()
    worker.run(refs(), WARP, [None, 2.0, None, None])
    spent = worker.timings()
    parts = {"decode", "scale", "measure", "match"}
    assert set(spent) == {"run", "selectRefExposure", "matchBackgrounds", *parts}
    assert sum(spent[part] for part in parts) <= spent["run"]
    full = worker.getFullMetadata()
    assert "matchBackgrounds.runEndCpuTime" in full
    assert len(full.getArray("matchBackgrounds.matchStartWallTime")) == 3
    assert len(full.getArray("matchBackgrounds.measureStartWallTime")) == 4


def test_failures_are_timed_too() -> None:
    """A timer that an error left has ended."""
    worker = task()
    worker.run([*refs(2), Ref(OSError(), 5)], WARP, [None, Broken(), None], refs(1)[0])
    assert set(worker.timings()) == {"run", "decode", "scale"}


def test_the_parts_neither_log_nor_change(lines: list[Any]) -> None:
    """What workers call is core's, timed, and says nothing."""
    worker, (reference, science) = task(), exposures(2)
    before = [*planes_of(reference), *planes_of(science)]
    scaled = worker.scaleExposure(science, 2.0)
    assert planes_of(scaled) == planes_of(core.scaled(science, 2.0))
    assert worker.measureExposure(scaled) == core.selection_statistics(scaled, CONFIG)
    expected = core.match_background(reference, scaled, CONFIG)
    assert worker.matchExposures(reference, scaled) == expected
    assert worker.matchExposures(reference, scaled, quality=True).quality is not None
    assert worker.readExposure(Ref(science, 1), WARP) is science
    assert set(worker.timings()) == {"scale", "measure", "match", "decode"}
    assert [*planes_of(reference), *planes_of(science)] == before
    assert lines == []


# --- config


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        MatchBackgroundsConfig(binSize=12, badMaskPlanes=list(PLANES)),
        {"binSize": 12, "badMaskPlanes": list(PLANES)},
    ],
)
def test_a_config_may_come_under_either_names(config: Any) -> None:
    """LSST's names and ours are the same settings; without any they are the defaults."""
    assert MatchBackgroundsTask(config).config.settings == CONFIG
    assert MatchBackgroundsTask().config.settings == MatchConfig()
    assert MatchBackgroundsTask(config).getName() == "matchBackgrounds"


def test_a_setting_changed_later_counts() -> None:
    """The config is the task's, as in LSST."""
    worker = task()
    worker.config.binSize = 20
    found = worker.matchBackgrounds(*exposures(2)).backgroundModel
    assert found.values.shape == (2, 3)


@pytest.mark.parametrize("config", [3, "binSize", ["binSize"]])
def test_what_is_no_config_is_refused(config: Any) -> None:
    """A TypeError says what it is."""
    with pytest.raises(TypeError, match=f"config is a {type(config).__name__}"):
        MatchBackgroundsTask(config)
