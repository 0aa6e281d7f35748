"""What the night came to: models against planted truth, pictures, and one number."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
        Against planted truth.
    """

    entry: GroupEntry
    summary: schemas.GroupMatched
    models: Models
    check: GroupCheck

    @property
    def row(self) -> ResultRow:
        """The group in the final table."""
        matched = [model for model in self.models.values() if model.status == "matched"]
        accepted = sum(model.verdict == "accept" for model in matched)
        return ResultRow(
            group=self.entry.key,
            trigger=self.summary.trigger,
            reference=self.summary.reference,
            visits=f"{len(self.summary.members)}/{self.summary.expected or len(self.models)}",
            fit_rms=_mean(model.fit_rms for model in matched),
            ratio=_mean(mse_ratio(model) for model in matched),
            error=self.check.rms_in_noise,
            verdict=f"accept {accepted}/{len(matched)}",
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
    def before(self) -> float:
        """Spread of the sky between visits as they came, in units of a pixel's noise."""
        return _rms(group.check.before.std_in_noise for group in self.groups)

    @property
    def after(self) -> float:
        """The same with the models added."""
        return _rms(group.check.after.std_in_noise for group in self.groups)

    @property
    def holds(self) -> bool:
        """Whether the visits were levelled: ten times closer, and nowhere undone."""
        closer = all(g.check.after.std < g.check.before.std for g in self.groups)
        return closer and 10 * self.after < self.before


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
    images = {
        visit: background(model.model).image()
        for visit, model in models.items()
        if model.model is not None
    }
    reference = summary.reference if summary.reference is not None else entry.visits[0]
    check = check_group(group_truth(survey, entry), images, reference)
    return GroupResult(entry, summary, models, check)


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
            title=f"{band}: all visits of the night, {len(held)} patches",
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


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _rms(values: Iterable[float]) -> float:
    squares = [value * value for value in values]
    return math.sqrt(math.fsum(squares) / len(squares)) if squares else math.nan
