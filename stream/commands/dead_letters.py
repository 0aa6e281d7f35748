"""`evensky dead-letters`: what could not be used, why, and sending it again."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from stream.commands.help import SectionedCommand
from stream.commands.letter_options import choice_from, choice_options, place_of, places_of
from stream.commands.letter_text import facts, page, row
from stream.commands.options import LOG_SETTINGS, as_json, settings_from, settings_options
from stream.commands.output import busy, count_of, printable, table_console
from stream.letters import Choice, Found, Place, Unreadable, read_letters
from stream.log.seam import Outgoing
from stream.log.topics import Topics
from stream.logs import configure_logs
from stream.replay import Fate, Judge, Refusal, Renewing, Replayer, Report
from stream.settings import Settings
from stream.standing import Standings
from stream.wiring import publisher_log, reader_log

__all__ = ["command", "list_", "replay", "show"]

_TOLD: Final = 20
_COLUMNS: Final = ("position", "written_at", "reason")
_FURTHER: Final = ("record", "key")
_NARROW: Final = 120  # columns of a terminal, below which there is no room for `_FURTHER`


@click.group("dead-letters")
def command() -> None:
    """Look at what could not be used, and send it again where that does good."""


# -- list ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Newest:
    """The newest of the letters that are chosen, and counts of all of them."""

    most: int
    counts: Counter[str] = field(default_factory=Counter)
    replayable: int = 0
    kept: list[tuple[tuple[int, int, int], dict[str, object]]] = field(default_factory=list)

    def take(self, found: Found, fate: Fate) -> None:
        self.counts[found.letter.reason] += 1
        self.replayable += not isinstance(fate, Refusal)
        age = (found.written, found.place.partition, found.place.offset)
        push = heapq.heappush if len(self.kept) < self.most else heapq.heappushpop
        push(self.kept, (age, row(found, fate)))

    @property
    def rows(self) -> list[dict[str, object]]:
        return [row for _, row in sorted(self.kept, key=lambda one: one[0])]


@command.command("list", cls=SectionedCommand)
@settings_options(LOG_SETTINGS)
@choice_options
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    metavar="N",
    help="Print the newest N; all are counted.",
)
@as_json
def list_(*, limit: int, json_: bool, **values: Any) -> int:
    """List dead letters, and count them by reason."""
    settings = _settings(values)
    newest = _Newest(limit)
    unreadable = asyncio.run(_list(settings, choice_from(values), newest))
    if json_:
        _print_json(
            {
                "letters": newest.rows,
                "total": newest.counts.total(),
                "replayable": newest.replayable,
                "counts": dict(sorted(newest.counts.items())),
            }
        )
    else:
        _print_table(newest)
    return 1 if unreadable else 0


async def _list(settings: Settings, choice: Choice, newest: _Newest) -> int:
    unreadable = 0
    async with _letters(settings) as (judge, letters):
        async for one in letters:
            if isinstance(one, Unreadable):
                unreadable += 1
                _tell_unreadable(one)
            elif choice.takes(one):
                newest.take(one, await judge(one.letter))
    return unreadable


def _print_table(newest: _Newest) -> None:
    console = table_console()
    if newest.kept:
        columns = _COLUMNS if console.width < _NARROW else (*_COLUMNS, *_FURTHER)
        console.print(_table(newest.rows, columns))
    total = newest.counts.total()
    if total > len(newest.kept):
        click.echo(f"these are the newest {len(newest.kept)}; --limit N shows more")
    told = ", ".join(f"{count} {reason}" for reason, count in newest.counts.most_common())
    click.echo(f"{count_of(total, 'dead letter')}{': ' if told else ''}{told}")
    if newest.replayable:
        click.echo(f"{newest.replayable} can be replayed: `evensky dead-letters replay --all`")


def _table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in columns:
        table.add_column(name.removesuffix("_at"), no_wrap=name in _COLUMNS, overflow="fold")
    table.add_column("replay", no_wrap=True)
    table.add_column("why", min_width=20, overflow="fold")
    for one in rows:
        replay = "yes" if one["replayable"] else "no"
        cells = [*(str(one[name]) for name in columns), replay, str(one["message"])]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


# -- show ------------------------------------------------------------------------------------------


@command.command("show", cls=SectionedCommand)
@click.argument("position", callback=place_of)
@settings_options(LOG_SETTINGS)
@as_json
def show(*, position: Place, json_: bool, **values: Any) -> int:
    """Show everything of one dead letter.

    POSITION is PARTITION:OFFSET of the dead letter, as `list` prints it, or
    TOPIC:PARTITION:OFFSET of the record that it is about.
    """
    settings = _settings(values)
    judged = asyncio.run(_find(settings, position))
    if judged is None:
        click.echo(f"evensky: there is no dead letter at {position}", err=True)
        return 1
    found, fate = judged
    if json_:
        _print_json(facts(found, fate))
    else:
        for line in page(found, fate):
            click.echo(line)
    return 0


async def _find(settings: Settings, place: Place) -> tuple[Found, Fate] | None:
    async with _letters(settings) as (judge, letters):
        async for one in letters:
            if isinstance(one, Found) and one.stands_at(place):
                return one, await judge(one.letter)
            if isinstance(one, Unreadable) and one.place == place:
                _tell_unreadable(one)
        return None


# -- replay ----------------------------------------------------------------------------------------


@command.command("replay", cls=SectionedCommand)
@click.argument("positions", callback=places_of, nargs=-1, metavar="[POSITION...]")
@settings_options(LOG_SETTINGS)
@click.option("--all", "all_", is_flag=True, help="Every letter, or every one that is chosen.")
@choice_options
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@as_json
def replay(
    *, positions: frozenset[Place], all_: bool, dry_run: bool, json_: bool, **values: Any
) -> int:
    """Put the records of dead letters back on the input, as they were.

    POSITION is as for `show`. Nothing is asked. A record goes to the partition that its key belongs
    to; one that would only come back is refused, and it is said what to do instead. Replaying twice
    does no harm: it is the same event.
    """
    if bool(positions) == bool(all_ or values["reasons"]):
        raise click.UsageError("say which: positions, or --reason REASON, or --all")
    settings, places = _settings(values), set(positions)
    unreadable, report = asyncio.run(
        _replay(settings, choice_from(values, positions), places, dry_run=dry_run)
    )
    missing = sorted(map(str, places))
    tell = _replay_json if json_ else _replay_text
    tell(report, missing, dry_run=dry_run)
    return 1 if report.refused or missing or unreadable else 0


async def _replay(
    settings: Settings, choice: Choice, missing: set[Place], *, dry_run: bool
) -> tuple[int, Report]:
    """Replay what is chosen, and take what is met out of `missing`."""
    unreadable = 0
    async with _letters(settings) as (judge, letters), _publish(settings, dry_run) as publish:
        replayer = Replayer(publish, judge)
        async for one in letters:
            if isinstance(one, Unreadable):
                unreadable += 1
                _tell_unreadable(one)
            elif choice.takes(one):
                missing -= {place for place in missing if one.stands_at(place)}
                await replayer.take(one)
        await replayer.flush()
    return unreadable, replayer.report


def _replay_json(report: Report, missing: Sequence[str], *, dry_run: bool) -> None:
    _print_json(
        {
            "dry_run": dry_run,
            "replayed": report.replayed.total(),
            "replayed_by_reason": dict(sorted(report.replayed.items())),
            "refused": report.refused.total(),
            "refused_by_reason": dict(sorted(report.refused.items())),
            "refusals": [
                {"position": str(place), "reason": reason, "why": no.why, "advice": no.advice}
                for place, reason, no in report.refusals
            ],
            "missing": missing,
        }
    )


def _replay_text(report: Report, missing: Sequence[str], *, dry_run: bool) -> None:
    for place, reason, refusal in report.refusals[:_TOLD]:
        click.echo(f"{place} refused, {reason}: {printable(str(refusal))}")
    untold = report.refused.total() - min(len(report.refusals), _TOLD)
    if untold:
        click.echo(f"and {untold} more refused; --json names up to 1000")
    for one in missing:
        click.echo(f"evensky: there is no dead letter at {one}", err=True)
    done = "would be replayed" if dry_run else "replayed"
    click.echo(
        f"{count_of(report.replayed.total(), 'record')} {done}{_by_reason(report.replayed)}, "
        f"{report.refused.total()} refused{_by_reason(report.refused)}"
    )


def _by_reason(counts: Counter[str]) -> str:
    told = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    return f" ({told})" if told else ""


# -- what the three share --------------------------------------------------------------------------


def _settings(values: Mapping[str, Any]) -> Settings:
    settings = settings_from(values)
    configure_logs(settings.log_format, "warning")
    return settings


@asynccontextmanager
async def _letters(
    settings: Settings,
) -> AsyncGenerator[tuple[Judge, AsyncGenerator[Found | Unreadable, None]]]:
    """Open the log that the settings mean, and yield who judges the letters in it, and them."""
    log, topics = reader_log(settings), Topics(settings.topic_prefix)
    try:
        await log.start()
        judge = Judge(topics.warps, log.partitions, Standings(log, topics.state).of)
        with busy("reading dead letters"):
            async with aclosing(read_letters(log, topics.dead_letters)) as letters:
                yield judge, letters
    finally:
        await log.close()


@asynccontextmanager
async def _publish(
    settings: Settings, dry_run: bool
) -> AsyncGenerator[Callable[[Sequence[Outgoing]], Any]]:
    if dry_run:
        yield _keep_still
        return
    async with Renewing(lambda: publisher_log(settings)) as log:
        yield log.publish


async def _keep_still(_: Sequence[Outgoing]) -> None:
    """Publish nothing."""


def _tell_unreadable(one: Unreadable) -> None:
    click.echo(f"evensky: dead letter {one.place} cannot be read: {printable(one.why)}", err=True)


def _print_json(value: object) -> None:
    # In ASCII, where even a letter's own text cannot steer a terminal.
    click.echo(json.dumps(msgspec.to_builtins(value)))
