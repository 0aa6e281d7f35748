"""What the night came to: models against planted truth, pictures, and one number."""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

import schemas
from stream import fits
from stream.display import ResultRow
from stream.drawing import Tile
from stream.gather import Gathered, Image, gather, mse_ratio
from stream.log.topics import Topics
from stream.page import group_page
from stream.pictures import Coadd, coadd_before_after, mosaic
from stream.rebuild import background
from stream.settings import Settings
from stream.simulate import GroupCheck, GroupEntry, SurveyManifest, check_group, group_truth
from stream.wiring import decode_limits, reader_log

__all__ = ["GroupResult", "Report", "report"]

Models = Mapping[int, schemas.BackgroundModel]
Flaws = Mapping[int, tuple[str, ...]]

_EXPLAINED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "amplifier_step": ("edge_step", "sky_chi2", "worst_block"),
    "gap": ("extrapolated_fraction", "coverage"),
    "undetected": ("sources_unmasked",),
}
"""Which words of a rejection's reasons are right for a planted flaw."""

_QUIET_SKY: Final = (0.7, 1.4)
"""Between what the median sky_chi2 of accepted models must lie: 1 is pure noise."""

_FALSE_ALARMS: Final = 0.1
"""Share of the unflawed warps that may be rejected."""


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One group: what was published and how right it is.

    Attributes
    ----------
    entry : GroupEntry
    summary : GroupMatched
    models : mapping of int to BackgroundModel
        By visit.
    check : GroupCheck
        Against planted truth, without the visits whose models are rejected.
    flaws : mapping of int to tuple of str
        What was planted that should keep a coadder from using a visit.
    """

    entry: GroupEntry
    summary: schemas.GroupMatched
    models: Models
    check: GroupCheck
    flaws: Flaws

    @property
    def matched(self) -> list[schemas.BackgroundModel]:
        """The models of the visits that have one."""
        return [model for model in self.models.values() if model.status == "matched"]

    @property
    def rejected(self) -> list[schemas.BackgroundModel]:
        """Those that a coadder should not use."""
        return [model for model in self.matched if model.verdict == "reject"]

    @property
    def missed(self) -> list[schemas.BackgroundModel]:
        """Flawed warps that were not rejected, or for another reason than their flaws."""
        flawed = (model for model in self.matched if self.flaws.get(model.visit))
        return [model for model in flawed if not self._explained(model)]

    @property
    def unflawed(self) -> list[schemas.BackgroundModel]:
        """Those that should be accepted."""
        return [model for model in self.matched if not self.flaws.get(model.visit)]

    def _explained(self, model: schemas.BackgroundModel) -> bool:
        reasons = " ".join(model.verdict_reasons)
        words = [word for flaw in self.flaws[model.visit] for word in _EXPLAINED_BY[flaw]]
        return model.verdict == "reject" and any(word in reasons for word in words)

    @property
    def row(self) -> ResultRow:
        """The group in the final table."""
        return ResultRow(
            group=self.entry.key,
            trigger=self.summary.trigger,
            reference=self.summary.reference,
            visits=f"{len(self.summary.members)}/{self.summary.expected or len(self.models)}",
            fit_rms=_mean(model.fit_rms for model in self.matched),
            ratio=_mean(mse_ratio(model) for model in self.matched),
            sky_chi2=_median(_sky_chi2(self.matched)),
            error=self.check.rms_in_noise if self.check.visits else None,
            accepted=f"{len(self.matched) - len(self.rejected)}/{len(self.matched)}",
        )


@dataclass(frozen=True, slots=True)
class Report:
    """All groups of the night.

    Attributes
    ----------
    groups : tuple of GroupResult
    pictures : tuple of Path
    """

    groups: tuple[GroupResult, ...]
    pictures: tuple[Path, ...]

    @property
    def judged(self) -> tuple[GroupResult, ...]:
        """The groups in which a visit is left to be compared with the reference."""
        return tuple(group for group in self.groups if group.check.visits)

    @property
    def before(self) -> float:
        """Spread of the sky between visits as they came, in units of a pixel's noise."""
        return _rms(group.check.before.std_in_noise for group in self.judged)

    @property
    def after(self) -> float:
        """The same with the models added."""
        return _rms(group.check.after.std_in_noise for group in self.judged)

    @property
    def sky_chi2(self) -> float | None:
        """Median of the accepted models: what they leave over pure noise."""
        accepted = (m for group in self.groups for m in group.matched if m.verdict == "accept")
        return _median(_sky_chi2(accepted))

    @property
    def faults(self) -> list[str]:
        """What is not as it should be, each as a sentence."""
        return list(_faults(self))

    @property
    def holds(self) -> bool:
        """Whether the visits were levelled, and the flawed ones found and no others."""
        return not self.faults


def _faults(report: Report) -> Iterator[str]:
    closer = all(g.check.after.std < g.check.before.std for g in report.judged)
    if not (closer and 10 * report.after < report.before):
        yield "the visits were not levelled as they should be"
    low, high = _QUIET_SKY
    if report.sky_chi2 is None or not low < report.sky_chi2 < high:
        yield f"the median sky_chi2 of accepted models is {report.sky_chi2}, not near 1"
    for group in report.groups:
        for model in group.missed:
            flaws = ", ".join(group.flaws[model.visit])
            yield f"{group.entry.key}: visit {model.visit} ({flaws}) was not rejected for that"
    unflawed = [model for group in report.groups for model in group.unflawed]
    wrong = sum(model.verdict == "reject" for model in unflawed)
    if wrong > _FALSE_ALARMS * len(unflawed):
        yield f"{wrong} of {len(unflawed)} warps without a flaw were rejected"


async def report(
    survey: SurveyManifest,
    settings: Settings,
    summaries: Mapping[str, schemas.GroupMatched],
    folder: Path,
) -> Report:
    """Read the models back, compare them with the truth, and draw.

    Parameters
    ----------
    survey : SurveyManifest
    settings : Settings
        Those that the service ran with.
    summaries : mapping of str to GroupMatched
        Newest of each group.
    folder : Path
        Where pictures go; a group without a reference has nothing to draw.
    """
    models = await _models(settings, summaries)
    groups = tuple(
        _result(survey, entry, summaries[entry.key], models[entry.key]) for entry in survey.groups
    )
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    drawn = [one for one in groups if one.summary.reference is not None]
    gathered = {one.entry.key: _gather(survey, one, settings) for one in drawn}
    pictures = [*_coadds(drawn, gathered, folder), *_pages(drawn, gathered, folder)]
    return Report(groups, tuple(pictures))


async def _models(
    settings: Settings, summaries: Mapping[str, schemas.GroupMatched]
) -> dict[str, dict[int, schemas.BackgroundModel]]:
    """Return the models that the newest summaries name, as a coadder must: by their ids."""
    wanted = {member.model_id for one in summaries.values() for member in one.members}
    found: dict[str, dict[int, schemas.BackgroundModel]] = {key: {} for key in summaries}
    log = reader_log(settings)
    await log.start()
    try:
        async for record in log.read([Topics(settings.topic_prefix).models], follow=False):
            _, message = schemas.decode(record.key, record.headers, record.value)
            if isinstance(message, schemas.BackgroundModel) and message.model_id in wanted:
                found[message.group.key][message.visit] = message
    finally:
        await log.close()
    return found


def _result(
    survey: SurveyManifest, entry: GroupEntry, summary: schemas.GroupMatched, models: Models
) -> GroupResult:
    rejected = {visit for visit, one in models.items() if one.model and one.verdict == "reject"}
    images = {
        visit: background(model.model).image()
        for visit, model in models.items()
        if model.model is not None
    }
    truth = {v: one for v, one in group_truth(survey, entry).items() if v not in rejected}
    reference = summary.reference if summary.reference is not None else entry.visits[0]
    flaws = {warp.visit: warp.flaws for warp in survey.warps_of(entry)}
    return GroupResult(entry, summary, models, check_group(truth, images, reference), flaws)


def _gather(survey: SurveyManifest, one: GroupResult, settings: Settings) -> Gathered:
    truth = group_truth(survey, one.entry)
    files = {warp.visit: survey.path(warp) for warp in survey.warps_of(one.entry)}
    limits = decode_limits(settings)
    base = truth[one.check.reference].sky

    def planted(visit: int) -> Image:
        return np.add(truth[visit].sources, base)

    return gather(
        one.models.values(),
        lambda visit: fits.decode(files[visit].read_bytes(), limits),
        settings.match_config(),
        planted,
    )


def _coadds(
    groups: Sequence[GroupResult], gathered: Mapping[str, Gathered], folder: Path
) -> Iterable[Path]:
    """Draw one coadd a band, over all patches."""
    for band in dict.fromkeys(one.entry.band for one in groups):
        held = [gathered[one.entry.key] for one in groups if one.entry.band == band]
        path = folder / f"coadd-{band}.png"
        coadd_before_after(
            path,
            _mosaic(one.before for one in held),
            _mosaic(one.after for one in held),
            title=f"{band}, {len(held)} patches: all visits of the night before, "
            "those that are not rejected after",
            unit="count",
            errors=(
                _mosaic(one.before_error for one in held),
                _mosaic(one.after_error for one in held),
            ),
        )
        yield path


def _mosaic(coadds: Iterable[Coadd]) -> Tile:
    return mosaic([coadd.tile() for coadd in coadds])


def _pages(
    groups: Sequence[GroupResult], gathered: Mapping[str, Gathered], folder: Path
) -> Iterable[Path]:
    """Draw a page for the group whose visits differed most, if any was matched."""
    if not groups:
        return
    one = max(groups, key=lambda group: group.check.before.std)
    path = folder / f"group-{one.entry.patch}-{one.entry.band}.png"
    group_page(
        path,
        gathered[one.entry.key].panels,
        reference=one.check.reference,
        title=one.entry.key,
        unit="count",
    )
    yield path


def _sky_chi2(models: Iterable[schemas.BackgroundModel]) -> Iterator[float]:
    """Yield what was measured of the sky that models leave."""
    for model in models:
        if model.quality is not None and model.quality.sky_chi2 is not None:
            yield model.quality.sky_chi2


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return statistics.median(known) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _rms(values: Iterable[float]) -> float:
    squares = [value * value for value in values]
    return math.sqrt(math.fsum(squares) / len(squares)) if squares else math.nan
