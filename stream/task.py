"""LSST's MatchBackgroundsTask, as its users know it, over `core` (MATCHING.md section 1).

The names, arguments, results and kinds of error are those of LSST's task; the service's workers
run through its parts, so that its timings are theirs. What is ours beside them: `scaleExposure`,
`measureExposure` and `matchExposures`, which change and log nothing.

::

    refs = [FileDataRef(path, {"visit": visit}) for visit, path in files.items()]
    task = MatchBackgroundsTask(MatchBackgroundsConfig(binSize=128))
    results = task.run(refs, "deepCoadd_directWarp").backgroundInfoList
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

import core
from core import MaskedImage, MatchConfig
from core.image import require_exposure
from stream.dataref import DataRef
from stream.taskbase import Struct, Task, TaskError
from stream.taskconfig import MatchBackgroundsConfig

__all__ = ["MatchBackgroundsTask"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One exposure of a run, by its reference, and its scaler."""

    ref: DataRef
    scaler: Any

    @property
    def name(self) -> str:
        return str(getattr(self.ref, "dataId", self.ref))

    def is_that_of(self, other: _Entry) -> bool:
        """Tell whether both are the same exposure; an empty dataId names none."""
        mine, theirs = (getattr(one.ref, "dataId", None) for one in (self, other))
        return self.ref is other.ref or bool(mine and mine == theirs)


class MatchBackgroundsTask(Task):
    """Match the backgrounds of exposures to that of one of them.

    Parameters
    ----------
    config : optional
        A `MatchBackgroundsConfig`, `core.MatchConfig`, mapping of LSST's names, or a config of
        LSST's own.
    name : str, optional
        "matchBackgrounds".
    parentTask : Task, optional
        As for `Task`.

    Notes
    -----
    Data references need ``get(datasetType)``, which returns a `core.MaskedImage`,
    ``datasetExists(datasetType)`` and ``dataId``; `FileDataRef` is one. A scaler has
    ``scaleMaskedImage(maskedImage)``, which changes what it is given or returns a new one, or is a
    number, array or callable as for `core.scaled`; it always works on a copy.

    Its timers are "run", "selectRefExposure" and "matchBackgrounds", and within them "decode",
    "scale", "measure" and "match".
    """

    ConfigClass = MatchBackgroundsConfig
    _DefaultName = "matchBackgrounds"

    def __init__(
        self, config: Any = None, name: str | None = None, parentTask: Task | None = None
    ) -> None:
        super().__init__(config, name, parentTask)
        self.config = MatchBackgroundsConfig.of(self.config)

    # As LSST has it

    def run(
        self,
        expRefList: Sequence[DataRef],
        expDatasetType: str,
        imageScalerList: Sequence[Any] | None = None,
        refExpDataRef: DataRef | None = None,
        refImageScaler: Any = None,
    ) -> Struct:
        """Match every exposure to the reference; one failure never stops the others.

        Parameters
        ----------
        expRefList : sequence of DataRef
            The exposures; all must exist.
        expDatasetType : str
            Which dataset of each is meant.
        imageScalerList : sequence, optional
            A scaler or None an exposure.
        refExpDataRef : DataRef, optional
            The reference, in the list or not; by default `selectRefExposure` chooses.
        refImageScaler : optional
            Scaler of `refExpDataRef`; as in LSST its entry in the list is not looked at, and
            neither is this if the reference is chosen.

        Returns
        -------
        result : Struct
            ``backgroundInfoList``, in the exposures' order: Structs of ``isReference``,
            ``backgroundModel`` (a `core.Background`, to be added to the scaled exposure),
            ``fitRMS``, ``matchedMSE`` and ``diffImVar``, all but the first None for the reference
            and for an exposure that failed, for which the log says why. Nothing that a data
            reference returned is changed.

        Raises
        ------
        RuntimeError
            If there are no exposures, one does not exist, or the lists differ in length.
        ValueError
            If no exposure can be the reference.
        TypeError
            If one of the lists is no list.
        """
        with self.timer("run"):
            entries = _entries(expRefList, imageScalerList)
            given = [] if refExpDataRef is None else [_Entry(refExpDataRef, refImageScaler)]
            _require_existing([*entries, *given], expDatasetType)
            planes: set[str] = set()
            chosen = given[0] if given else entries[self._select(entries, expDatasetType, planes)]
            reference = self._read(chosen, expDatasetType)
            planes.update(reference.planes)
            results = [
                _info(isReference=True)
                if entry.is_that_of(chosen)
                else self._matched(entry, reference, expDatasetType, planes)
                for entry in entries
            ]
            self._warn_of_planes(planes)
            return Struct(backgroundInfoList=results)

    def selectRefExposure(
        self,
        expRefList: Sequence[DataRef],
        imageScalerList: Sequence[Any] | None,
        expDatasetType: str,
    ) -> int:
        """Choose the exposure that is best as the reference (MATCHING.md section 9).

        Parameters
        ----------
        expRefList : sequence of DataRef
            The exposures; one that does not exist is skipped with a warning.
        imageScalerList : sequence or None
            A scaler or None an exposure. One whose scaler fails is never chosen.
        expDatasetType : str
            Which dataset of each is meant.

        Returns
        -------
        index : int
            Its place in the list, from 0.

        Raises
        ------
        RuntimeError
            If there are no exposures, none exists, or the lists differ in length.
        ValueError
            If no exposure can be the reference.
        TypeError
            If one of the lists is no list.
        """
        planes: set[str] = set()
        index = self._select(_entries(expRefList, imageScalerList), expDatasetType, planes)
        self._warn_of_planes(planes)
        return index

    def matchBackgrounds(self, refExposure: MaskedImage, sciExposure: MaskedImage) -> Struct:
        """Match an exposure to the reference, and add the model to its image in place.

        Parameters
        ----------
        refExposure : core.MaskedImage
            The reference; not changed.
        sciExposure : core.MaskedImage
            The exposure, of the same shape. Its image gets the model added, in float32; if
            anything goes wrong it is as it was.

        Returns
        -------
        result : Struct
            ``isReference`` (False), ``backgroundModel``, ``fitRMS``, ``matchedMSE``,
            ``diffImVar``.

        Raises
        ------
        ImageError
            If one is no MaskedImage, or the science image cannot be written to (a `ValueError`).
        CoreError
            As `core.match_background` does.
        """
        with self.timer("matchBackgrounds"):
            require_exposure("refExposure", refExposure)
            require_exposure("sciExposure", sciExposure)
            if not sciExposure.image.flags.writeable:
                expected = "writable, as the model is added to it"
                raise core.ImageError("sciExposure.image", "read-only", expected)
            match = self.matchExposures(refExposure, sciExposure)
            self._warn_of_planes({*refExposure.planes, *sciExposure.planes})
            model = match.model.image()
            with np.errstate(invalid="ignore", over="ignore"):
                np.add(sciExposure.image, model, out=sciExposure.image)
            return _info_of(match)

    # Ours: the parts, for who has the exposures already

    def readExposure(self, dataRef: DataRef, datasetType: str) -> MaskedImage:
        """Return what a data reference gives, timed as "decode".

        Parameters
        ----------
        dataRef : DataRef
        datasetType : str

        Raises
        ------
        ImageTypeError
            If it is no `core.MaskedImage` (a `TypeError`).
        """
        with self.timer("decode"):
            exposure = dataRef.get(datasetType)
        require_exposure(f"what get({datasetType!r}) returned", exposure)
        return exposure

    def scaleExposure(
        self, exposure: MaskedImage, scaler: Any, which: str = "the exposure"
    ) -> MaskedImage:
        """Return the exposure scaled, timed as "scale" if it has a scaler; it is not changed.

        Parameters
        ----------
        exposure : core.MaskedImage
        scaler : optional
            None leaves the exposure as it is.
        which : str, optional
            Whose scaler it is, for errors.

        Raises
        ------
        ScalerError
            As `core.scaled` does (a `RuntimeError`).
        """
        if scaler is None:
            return exposure
        with self.timer("scale"):
            return core.scaled(exposure, _core_scaler(scaler), which)

    def measureExposure(self, exposure: MaskedImage) -> core.SelectionStatistics:
        """Return what a reference is chosen by, timed as "measure".

        Parameters
        ----------
        exposure : core.MaskedImage
            Scaled.
        """
        with self.timer("measure"):
            return core.selection_statistics(exposure, self.config.settings)

    def matchExposures(
        self, reference: MaskedImage, science: MaskedImage, *, quality: bool = False
    ) -> core.Match:
        """Return the match of two scaled exposures, timed as "match"; neither is changed.

        Parameters
        ----------
        reference, science : core.MaskedImage
        quality : bool, optional
            Whether to judge the sky that is left, too.

        Raises
        ------
        CoreError
            As `core.match_background` does.
        """
        with self.timer("match"):
            settings: MatchConfig = self.config.settings
            return core.match_background(reference, science, settings, quality=quality)

    # How they come together

    def _select(self, entries: Sequence[_Entry], dataset_type: str, planes: set[str]) -> int:
        with self.timer("selectRefExposure"):
            there = [entry.ref.datasetExists(dataset_type) for entry in entries]
            if not any(there):
                raise TaskError(f"none of {len(entries)} exposures of {dataset_type!r} exists")
            measured = [
                self._measured(entry, dataset_type, planes, exists=exists)
                for entry, exists in zip(entries, there, strict=True)
            ]
            choice = core.reference_costs(measured, self.config.settings)
            for warning in choice.warnings:
                self.log.warning("odd reference costs", why=warning)
            best = entries[choice.index].name
            self.log.info("reference chosen", exposure=best, cost=choice.costs[choice.index])
            return choice.index

    def _measured(
        self, entry: _Entry, dataset_type: str, planes: set[str], *, exists: bool
    ) -> core.SelectionStatistics | None:
        def measure() -> core.SelectionStatistics:
            exposure = self._read(entry, dataset_type)
            planes.update(exposure.planes)
            return self.measureExposure(exposure)

        if not exists:
            self.log.warning("exposure does not exist", exposure=entry.name, dataset=dataset_type)
            return None
        return self._attempt(measure, entry, "not measured")

    def _matched(
        self, entry: _Entry, reference: MaskedImage, dataset_type: str, planes: set[str]
    ) -> Struct:
        def match() -> core.Match:
            science = self._read(entry, dataset_type)
            planes.update(science.planes)
            with self.timer("matchBackgrounds"):
                return self.matchExposures(reference, science)

        found = self._attempt(match, entry, "not matched")
        return _info() if found is None else _info_of(found)

    def _attempt(self, work: Callable[[], T], entry: _Entry, failure: str) -> T | None:
        """Return what comes of an exposure; a lack of memory alone is not its own fault."""
        try:
            return work()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this exposure's alone
            why = f"{type(error).__name__}: {error}"
            self.log.warning(failure, exposure=entry.name, why=why)
            return None

    def _read(self, entry: _Entry, dataset_type: str) -> MaskedImage:
        exposure = self.readExposure(entry.ref, dataset_type)
        return self.scaleExposure(exposure, entry.scaler, entry.name)

    def _warn_of_planes(self, planes: set[str]) -> None:
        absent = [name for name in self.config.badMaskPlanes if name not in planes]
        if absent:
            self.log.warning("no exposure has these bad mask planes", planes=absent)


def _entries(refs: Sequence[DataRef], scalers: Sequence[Any] | None) -> list[_Entry]:
    _require_list("expRefList", refs)
    if len(refs) == 0:
        raise TaskError("no exposures to match")
    if scalers is None:
        scalers = [None] * len(refs)
    _require_list("imageScalerList", scalers)
    if len(refs) != len(scalers):
        message = f"imageScalerList has {len(scalers)} entries for {len(refs)} exposures"
        raise TaskError(f"{message}: there must be one, or None, for each")
    return [_Entry(ref, scaler) for ref, scaler in zip(refs, scalers, strict=True)]


def _require_list(name: str, value: object) -> None:
    if not isinstance(value, Sized) or isinstance(value, str | Mapping):
        raise core.ImageTypeError(name, f"a {type(value).__name__}", "a list of one an exposure")


def _require_existing(entries: Sequence[_Entry], dataset_type: str) -> None:
    missing = [entry.name for entry in entries if not entry.ref.datasetExists(dataset_type)]
    if missing:
        raise TaskError(f"no {dataset_type!r} exists of {', '.join(missing)}")


def _core_scaler(scaler: Any) -> Any:
    """Return a scaler as `core.scaled` takes it; it works on the copy that it is given."""
    scale = getattr(scaler, "scaleMaskedImage", None)
    if scale is None:
        return scaler

    def apply(exposure: MaskedImage) -> Any:
        result = scale(exposure)
        return exposure if result is None else result

    return apply


def _info_of(match: core.Match) -> Struct:
    return _info(
        backgroundModel=match.model,
        fitRMS=match.fit_rms,
        matchedMSE=match.matched_mse,
        diffImVar=match.diff_im_var,
    )


def _info(*, isReference: bool = False, **figures: Any) -> Struct:
    blank = {"backgroundModel": None, "fitRMS": None, "matchedMSE": None, "diffImVar": None}
    return Struct(isReference=isReference, **{**blank, **figures})
