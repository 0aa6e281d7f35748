"""The command line of the bench."""

from __future__ import annotations

import argparse
import contextlib
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from ops.bench.cores import scaling
from ops.bench.decode import decodes
from ops.bench.flow import flow
from ops.bench.memory import peaks
from ops.bench.page import put
from ops.bench.pipeline.alternative import scripts
from ops.bench.pipeline.decoded import decodes as decoded
from ops.bench.pipeline.night import Night, long_night
from ops.bench.pipeline.peak import peaks as service_peaks
from ops.bench.pipeline.pieces import pieces
from ops.bench.pipeline.price import overhead, price
from ops.bench.pipeline.scaled import cores
from ops.bench.pipeline.wait import wait
from ops.bench.places import Place
from ops.bench.report import Section, as_json, as_markdown, as_text
from ops.bench.speed import by_share, by_size, pipeline
from ops.bench.start import starts
from ops.bench.state import growth, restores
from ops.broker.broker import running
from stream.logs import configure_logs
from stream.machine import Machine

S = TypeVar("S", bound="_Sizes | _Pixels | Night")

_SIZES = (1000, 2000, 4200, 8000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and print each table as soon as it is there.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command's words; those of this process if not given.
    """
    asked = _parser().parse_args(arguments)
    if asked.what != "core":
        configure_logs("console", "error")
    with contextlib.ExitStack() as until_the_end:
        _print(asked, _sections(asked, until_the_end))


def _print(asked: argparse.Namespace, sections: Iterator[tuple[str, Section]]) -> None:
    if asked.json:
        _say(as_json(section for _, section in sections))
        return
    machine = f"{_processor()}, {Machine.here().cores} cores, Python {platform.python_version()}"
    _say(f"{machine}\n")
    for name, section in sections:
        _say(as_text(section))
        if asked.page is not None:
            put(
                asked.page,
                name,
                f"{as_markdown(section)}\n{machine}, {datetime.now(UTC).date()}.\n",
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    mathematics = _command(commands, "core", "the mathematics", list(_core(0, 0)))
    mathematics.add_argument("--side", type=int, default=4200, help="pixels (default: %(default)s)")
    mathematics.add_argument(
        "--runs", type=int, default=9, help="of each row (default: %(default)s)"
    )
    pixels = list(_pipeline(_Pixels()))
    _add_sizes(_command(commands, "pipeline", "the way of a warp's pixels", pixels), _Pixels())
    _add_sizes(_command(commands, "night", "a night of distinct warps", ["night"]), _NIGHT)
    stream = _command(commands, "stream", "the service on its logs", list(_stream([], _Sizes())))
    _add_sizes(stream, _Sizes())
    stream.add_argument("--no-broker", action="store_true", help="the embedded log alone")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    parts: list[str],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text)
    command.add_argument("--page", type=Path, help="put the tables on this page of the guide")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument(
        "--only", nargs="+", choices=parts, help="the tables wanted (default: all)"
    )
    return command


def _add_sizes(command: argparse.ArgumentParser, sizes: _Sizes | _Pixels | Night) -> None:
    for name, default in asdict(sizes).items():
        option = f"--{name.replace('_', '-')}"
        command.add_argument(option, type=int, default=default, help="default: %(default)s")


def _chosen(kind: type[S], asked: argparse.Namespace) -> S:
    """Return the sizes that the options name."""
    return kind(**{one.name: getattr(asked, one.name) for one in fields(kind)})


def _core(side: int, runs: int) -> dict[str, Callable[[], Section]]:
    few = max(1, runs // 2)
    sizes = tuple(size * side // 4200 for size in _SIZES)
    return {
        "start": starts,
        "speed": partial(pipeline, side, runs),
        "cores": partial(scaling, side, few),
        "memory": partial(peaks, side),
        "sizes": partial(by_size, sizes, few),
        "shares": partial(by_share, side, few),
    }


@dataclass(frozen=True, slots=True)
class _Pixels:
    """How much of everything is measured of the pipeline."""

    side: int = 4200
    runs: int = 9
    warps: int = 8
    rounds: int = 3
    most: int = 1000
    shuffles: int = 20
    small_side: int = 1000


_NIGHT = Night(side=4200, groups=5, warps=100, room=60)


def _pipeline(sizes: _Pixels) -> dict[str, Callable[[], Section]]:
    side, many = sizes.side, sizes.most
    few = max(1, sizes.runs // 2)
    return {
        "decode": partial(decodes, side, few),
        "price": partial(price, side, sizes.warps, sizes.rounds),
        "wait": partial(wait, (max(5, many // 100), max(6, many // 10), many), sizes.shuffles),
        "memory": partial(service_peaks, sizes.small_side, (max(3, many // 100), many)),
        "decodes": partial(decoded, sizes.small_side, max(10, many // 20)),
        "cores": partial(cores, side, 2 * sizes.warps, sizes.rounds),
        "overhead": partial(overhead, side, sizes.warps, sizes.rounds),
        "pieces": partial(pieces, side, few),
        "alternative": partial(scripts, side, few),
    }


@dataclass(frozen=True, slots=True)
class _Sizes:
    """How much of everything the service is given."""

    events: int = 50_000
    rounds: int = 3
    members: int = 500_000
    group_members: int = 1000
    open_groups: int = 1_000_000


def _stream(places: list[Place], sizes: _Sizes) -> dict[str, Callable[[], Section]]:
    return {
        "flow": partial(flow, places, sizes.events, sizes.rounds),
        "state": partial(restores, places, sizes.members),
        "growth": partial(growth, sizes.group_members, sizes.open_groups, sizes.rounds),
    }


def _sections(
    asked: argparse.Namespace, until_the_end: contextlib.ExitStack
) -> Iterator[tuple[str, Section]]:
    if asked.what == "core":
        parts = _core(asked.side, asked.runs)
    elif asked.what == "pipeline":
        parts = _pipeline(_chosen(_Pixels, asked))
    elif asked.what == "night":
        parts = {"night": partial(long_night, _chosen(Night, asked))}
    else:
        sizes = _chosen(_Sizes, asked)
        parts = _stream(list(_places(asked, until_the_end)), sizes)
    for name, measure in parts.items():
        if asked.only is None or name in asked.only:
            yield name, measure()


def _places(asked: argparse.Namespace, until_the_end: contextlib.ExitStack) -> Iterator[Place]:
    """Yield a file, and a broker that shares this machine's cores with us."""
    folder = Path(until_the_end.enter_context(TemporaryDirectory()))
    yield Place("embedded", folder)
    if not asked.no_broker and asked.only != ["growth"]:
        cluster = until_the_end.enter_context(running())
        yield Place("Kafka", folder, cluster.bootstrap)


def _processor() -> str:
    """Name the processor, so that a table that is passed on says where it was made."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
