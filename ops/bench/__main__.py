"""The command line of the bench."""

from __future__ import annotations

import argparse
import contextlib
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.bench.cores import scaling
from ops.bench.decode import decodes
from ops.bench.flow import flow
from ops.bench.memory import peaks
from ops.bench.places import Place
from ops.bench.report import Section, as_json, as_text
from ops.bench.speed import by_share, by_size, pipeline
from ops.bench.start import starts
from ops.bench.state import growth, restores
from ops.broker.broker import running
from stream.logs import configure_logs

_SIZES = (1000, 2000, 4200, 8000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and print each table as soon as it is there.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command's words; those of this process if not given.
    """
    asked = _parser().parse_args(arguments)
    if asked.what == "stream":
        configure_logs("console", "error")
    with contextlib.ExitStack() as until_the_end:
        _print(asked, _sections(asked, until_the_end))


def _print(asked: argparse.Namespace, sections: Iterator[Section]) -> None:
    if asked.json:
        _say(as_json(sections))
        return
    _say(f"{_processor()}, Python {platform.python_version()}\n")
    for section in sections:
        _say(as_text(section))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    for command in (
        _command(commands, "core", "the mathematics", list(_core(0, 0))),
        _command(commands, "pipeline", "the way of a warp's pixels", list(_pipeline(0, 0))),
    ):
        command.add_argument("--side", type=int, default=4200, help="pixels (default: %(default)s)")
        command.add_argument(
            "--runs", type=int, default=9, help="of each row (default: %(default)s)"
        )
    stream = _command(commands, "stream", "the service on its logs", list(_stream([], _Sizes())))
    for name, default in asdict(_Sizes()).items():
        option = f"--{name.replace('_', '-')}"
        stream.add_argument(option, type=int, default=default, help="default: %(default)s")
    stream.add_argument("--no-broker", action="store_true", help="the embedded log alone")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    parts: list[str],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument(
        "--only", nargs="+", choices=parts, help="the tables wanted (default: all)"
    )
    return command


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


def _pipeline(side: int, runs: int) -> dict[str, Callable[[], Section]]:
    return {"decode": partial(decodes, side, max(1, runs // 2))}


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


def _sections(asked: argparse.Namespace, until_the_end: contextlib.ExitStack) -> Iterator[Section]:
    if asked.what == "core":
        parts = _core(asked.side, asked.runs)
    elif asked.what == "pipeline":
        parts = _pipeline(asked.side, asked.runs)
    else:
        sizes = _Sizes(**{name: getattr(asked, name) for name in asdict(_Sizes())})
        parts = _stream(list(_places(asked, until_the_end)), sizes)
    for name, measure in parts.items():
        if asked.only is None or name in asked.only:
            yield measure()


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
