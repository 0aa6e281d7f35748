"""`evensky match`: warps matched in batch."""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

import schemas
from core import MatchConfig
from stream import fits
from stream.batch import BatchGroup, match_group, value_of
from stream.commands.announce import describe_all, refuse_doubles, tell_faults
from stream.commands.help import SectionedCommand
from stream.commands.identity import identity_options, override_from
from stream.commands.options import VERDICT_SETTINGS, as_json, settings_from, settings_options
from stream.commands.output import (
    busy,
    count_of,
    make_folder,
    printable,
    table_console,
)
from stream.crosschecks import memory_left
from stream.describe import Described, Undescribed
from stream.fetch import Fetcher
from stream.gather import gather, mse_ratio
from stream.logs import configure_logs
from stream.machine import Machine
from stream.page import group_page
from stream.patient import GaveUpError, PatientStore
from stream.pictures import coadd_before_after
from stream.revision import Revision
from stream.settings import Settings
from stream.wiring import (
    assembler,
    decode_limits,
    fetch_limits,
    job_runner,
    landing_folder,
    spool,
    worker_pool,
)
from stream.workshop import Workshop

__all__ = ["command"]

_SETTINGS = (
    "workers",
    "worker_memory_bytes",
    "job_timeout_s",
    "max_warp_bytes",
    "max_warp_side_px",
    "max_message_bytes",
    *VERDICT_SETTINGS,
)

_OVER_A_LIMIT: Final = re.compile(r"(.+) is (\S+), (over|under) (\S+)")
_IN_A_COLUMN: Final = {
    "sky_chi2": "sky_chi2",
    "worst_block": "worst_block",
    "fit_rms": "fit_rms",
    "matched_mse / diff_im_var": "mse/var",
}
"""Figures whose values have a column of their own, and its name."""
_BRIEF: Final = {"extrapolated_fraction": "extrapolated"}
"""Figures of a long name that are also a flag."""
_NARROW: Final = 110
"""Columns below which a table's heading takes two lines, so that a visit of 13 digits fits 80."""


@dataclass(frozen=True, slots=True)
class _Matched:
    """One group, before and after."""

    batch: BatchGroup
    revision: Revision

    @property
    def failed(self) -> bool:
        return any(member.status == "failed" for member in self.revision.summary.members)


@click.command("match", cls=SectionedCommand)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILES..."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write models and pictures to DIR/<band>/.",
)
@click.option(
    "--reference",
    type=click.IntRange(0),
    metavar="VISIT",
    help="The visit to match to; otherwise it is chosen.",
)
@settings_options(_SETTINGS, match=True)
@identity_options
@as_json
def command(
    *,
    files: tuple[Path, ...],
    output: Path | None,
    reference: int | None,
    json_: bool,
    **values: Any,
) -> int:
    """Match warps in batch: one group a band and patch, the same mathematics as the service.

    Identity comes from the headers (SKYMAP, TRACT, PATCH, BAND or FILTER, VISIT) unless options
    say otherwise. Flux scales in the headers are taken as applied already.
    """
    files, values["match_values"] = _told_apart(files, values["match_values"])
    settings = settings_from(values, jobs=True)
    configure_logs(settings.log_format, "warning")
    described, faults = describe_all(files, override_from(values, files))
    batches, unreadable = _set_apart(refuse_doubles(described), settings)
    faults = [*faults, *unreadable]
    _require_reference(batches, reference)
    if output is not None:
        make_folder(output)  # before the work, which may be long
    with busy(f"matching {count_of(len(described), 'warp')}"):
        matched = asyncio.run(_match(settings, batches, reference)) if batches else []
    if output is not None:
        for one in matched:
            _write(one, output / _folder(one, matched), settings)
    _report(matched, faults, reference, json_=json_)
    return 1 if faults or any(one.failed for one in matched) else 0


def _told_apart(
    files: tuple[Path, ...], pairs: tuple[tuple[str, str], ...]
) -> tuple[tuple[Path, ...], tuple[tuple[str, str], ...]]:
    """Take ``-c a=1 b=2`` as it is meant: settings in a row behind a single ``-c``."""
    known = {setting.name for setting in fields(MatchConfig)}
    found: list[tuple[str, str]] = []
    kept: list[Path] = []
    for file in files:
        name, equals, value = str(file).partition("=")
        if pairs and equals and name in known and not file.exists():
            found.append((name, value))
        else:
            kept.append(file)
    if not kept:
        raise click.UsageError("these are settings alone; which files are to be matched?")
    return tuple(kept), (*pairs, *found)


def _set_apart(
    batches: Sequence[BatchGroup], settings: Settings
) -> tuple[list[BatchGroup], list[Undescribed]]:
    """Look at the pixels of warps that are alone in their group, which no match would read."""
    readable: list[BatchGroup] = []
    faults: list[Undescribed] = []
    for batch in batches:
        found = [_fault(one, settings) for one in batch.files.values() if len(batch.files) == 1]
        faults += [fault for fault in found if fault is not None]
        if not any(found):
            readable.append(batch)
    return readable, faults


def _fault(one: Described, settings: Settings) -> Undescribed | None:
    try:
        fits.decode(one.path.read_bytes(), decode_limits(settings))
    except fits.WarpError as error:
        return Undescribed(one.path, error.reason, error.message)
    return None


def _require_reference(batches: Sequence[BatchGroup], reference: int | None) -> None:
    if reference is not None and batches and not any(reference in batch.files for batch in batches):
        raise click.UsageError(f"--reference {reference} is not a visit of any of these files")


async def _match(
    settings: Settings, batches: Sequence[BatchGroup], reference: int | None
) -> list[_Matched]:
    pool = worker_pool(settings)
    roots = {one.path.resolve().parent for batch in batches for one in batch.files.values()}
    scratch = tempfile.TemporaryDirectory(prefix="evensky-match-", dir=settings.spool_dir)
    settings = _spooled(settings, Path(scratch.name), Machine.here())
    store = Fetcher(roots, landing_folder(settings), fetch_limits(settings))
    patient = PatientStore(store, settings.missing_grace_s + settings.storage_stall_s)
    runner, kept = job_runner(settings, patient, pool), spool(settings)
    if kept is not None:
        runner.spool(kept)
    workshop, messages = Workshop(runner), assembler(settings)
    try:
        await pool.start()
        revisions = await asyncio.gather(
            *(match_group(batch, reference, workshop, messages, time.time()) for batch in batches)
        )
    except GaveUpError as error:
        raise click.ClickException(f"{error}; is there room, for files and for planes?") from error
    finally:
        await pool.close(0)
        await store.close()
        scratch.cleanup()
    return [_Matched(b, revision) for b, revision in zip(batches, revisions, strict=True)]


def _spooled(settings: Settings, scratch: Path, machine: Machine) -> Settings:
    """Return settings with the spool in a folder: where that is memory, in what is left of it."""
    most: int = settings.spool_bytes
    if machine.disk_of(scratch).in_memory:
        most = max(0, min(most, memory_left(settings, machine)))
    return settings.model_copy(update={"spool_dir": scratch, "spool_bytes": most})


def _folder(one: _Matched, matched: Sequence[_Matched]) -> Path:
    """Return the group's folder: its band, below its patch where there are several."""
    group = one.batch.group
    alike = [other for other in matched if other.batch.group.band == group.band]
    patch = f"{group.campaign}-{group.skymap}-{group.tract}-{group.patch}"
    return Path(group.band) if len(alike) == 1 else Path(patch, group.band)


def _write(one: _Matched, folder: Path, settings: Settings) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for model in one.revision.models:
        (folder / f"{model.visit}.model.msgpack").write_bytes(value_of(model))
    _draw(one, folder, settings)


def _draw(one: _Matched, folder: Path, settings: Settings) -> None:
    reference, models = one.revision.summary.reference, one.revision.models
    if reference is None or not any(model.status == "matched" for model in models):
        return
    limits = decode_limits(settings)

    def read(visit: int) -> Any:
        return fits.decode(one.batch.files[visit].path.read_bytes(), limits)

    gathered = gather(models, read, settings.match_config())
    title, unit = one.batch.group.key, models[0].unit or "counts"
    before, after = gathered.before, gathered.after
    count = count_of(before.warps, "warp")
    words = f"{title}: {count} before, the {after.warps} that are not rejected after"
    coadd_before_after(folder / "coadd.png", before.tile(), after.tile(), title=words, unit=unit)
    group_page(folder / "group.png", gathered.panels, reference=reference, title=title, unit=unit)


# -- what is told ----------------------------------------------------------------------------------


def _report(
    matched: Sequence[_Matched], faults: Sequence[Undescribed], asked: int | None, *, json_: bool
) -> None:
    tell_faults(faults)
    for one in matched:
        _warn(one.revision.summary, asked)
    if json_:
        body = {"groups": [_group_json(one) for one in matched]}
        click.echo(msgspec.json.encode(body).decode())
        return
    console = table_console()
    for one in matched:
        console.print(_table(one, narrow=console.width < _NARROW))
        _remark(one.revision.summary)


def _remark(summary: schemas.GroupMatched) -> None:
    """Say what the table has no room for."""
    if summary.status == "incomplete":
        click.echo(f"evensky: {summary.group.key}: one warp alone has nothing to match", err=True)
    for member in summary.members:
        if member.reason and member.status != "matched":
            reason = printable(member.reason)
            click.echo(f"evensky: visit {member.visit}: {member.status}: {reason}", err=True)


def _warn(summary: schemas.GroupMatched, asked: int | None) -> None:
    warnings = [printable(warning) for warning in summary.warnings]
    if asked is not None and summary.reference not in {asked, None}:
        found = f"visit {asked} could not be the reference"
        warnings.append(f"--reference: {found}, {summary.reference} was chosen")
    for warning in warnings:
        click.echo(f"evensky: {summary.group.key}: warning: {warning}", err=True)


def _group_json(one: _Matched) -> dict[str, Any]:
    group, summary = one.batch.group, one.revision.summary
    models = {model.visit: model for model in one.revision.models}
    return {
        "campaign": group.campaign,
        "skymap": group.skymap,
        "tract": group.tract,
        "patch": group.patch,
        "band": group.band,
        "reference": summary.reference,
        "members": [_member_json(member, models, summary) for member in summary.members],
        "warnings": list(summary.warnings),
    }


def _member_json(
    member: schemas.MemberSummary,
    models: dict[int, schemas.BackgroundModel],
    summary: schemas.GroupMatched,
) -> dict[str, Any]:
    model = models.get(member.visit)
    return {
        "visit": member.visit,
        "status": member.status,
        "is_reference": member.visit == summary.reference,
        "fit_rms": None if model is None else model.fit_rms,
        "matched_mse": None if model is None else model.matched_mse,
        "diff_im_var": None if model is None else model.diff_im_var,
        "cost": member.cost,
        "verdict": member.verdict,
        "reason": member.reason,
        "verdict_reasons": [] if model is None else list(model.verdict_reasons),
        "flags": [] if model is None else list(model.flags),
        "quality": None
        if model is None or model.quality is None
        else msgspec.structs.asdict(model.quality),
    }


def _table(one: _Matched, *, narrow: bool) -> Table:
    """Draw one group: a row for each visit, the reference first."""
    summary = one.revision.summary
    models = {model.visit: model for model in one.revision.models}
    unit = next((model.unit for model in models.values() if model.unit), "counts")
    chosen = "no reference" if summary.reference is None else f"reference {summary.reference}"
    table = Table(
        title=f"{summary.group.key}: {chosen}, {summary.status}; {unit}",
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 0 if narrow else 1, 0, 0),
    )
    for name in ("visit", "cost", "fit_rms", "mse/var", "sky_chi2", "worst_block"):
        heading = name.replace("_", "_\n") if narrow else name
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("why", min_width=12, overflow="fold")
    for member in sorted(summary.members, key=lambda m: (m.visit != summary.reference, m.visit)):
        model = models.get(member.visit)
        why = () if model is None else _remarks(model)
        cells = *_cells(member, model), (",\n" if narrow else ", ").join(why)
        table.add_row(*map(Text, cells))
    return table


def _cells(member: schemas.MemberSummary, model: schemas.BackgroundModel | None) -> tuple[str, ...]:
    quality = schemas.Quality() if model is None or model.quality is None else model.quality
    return (
        str(member.visit),
        _number(member.cost),
        _number(None if model is None else model.fit_rms),
        _number(None if model is None else mse_ratio(model)),
        _number(quality.sky_chi2),
        _number(quality.worst_block),
        member.verdict if member.status == "matched" else member.status,
    )


def _remarks(model: schemas.BackgroundModel) -> list[str]:
    """Name each reason and flag once, in as few words as a column of a table has room for."""
    if model.reason:
        return [printable(model.reason).partition(":")[0]]
    reasons = [_brief(reason) for reason in model.verdict_reasons]
    named = {reason.partition(" ")[0] for reason in reasons}
    return reasons + [flag for flag in model.flags if flag not in named]


def _brief(reason: str) -> str:
    """Return ``sky_chi2 > 2`` for a sentence of a verdict; what is no such sentence stays."""
    found = _OVER_A_LIMIT.match(reason)
    if found is None:
        return reason.partition(":")[0]
    name, value, over, limit = found.groups()
    shown = _IN_A_COLUMN.get(name, f"{_BRIEF.get(name, name)} {value}")
    return f"{shown} {'>' if over == 'over' else '<'} {limit}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
