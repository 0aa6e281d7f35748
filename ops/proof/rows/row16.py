"""Row 16: the disk is full; files are damaged."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

from ops.proof.fleet import Fleet
from ops.proof.judge import Progress, judge
from ops.proof.load import Load, Said, records, wanted
from ops.proof.place import Place, messages
from ops.proof.processes import ProofError
from ops.proof.row import Context, Figure, Row, RowResult, Terms
from schemas import BackgroundModel

__all__ = ["ROW", "small_disk"]

_DISK_BYTES: Final = 16 * 2**20
_LEFT_BYTES: Final = 256 * 1024
_GROUPS: Final = 40
_MEMBERS: Final = 8
_SPOOL_BYTES: Final = 512 * 1024  # some of the load's warps, decoded
_PAGE: Final = 4096
_PATIENCE_S: Final = 900.0
_CLEAR: Final = (2, 3)


@contextmanager
def small_disk(folder: Path, size: int = _DISK_BYTES) -> Iterator[Path]:
    """Mount a disk of a few MB that lives in memory; only root may.

    Raises
    ------
    ProofError
        We may not.
    """
    folder.mkdir()
    done = subprocess.run(  # noqa: S603 - our own words
        ["/usr/bin/env", "mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ProofError(f"a small disk cannot be mounted, which root may: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["/usr/bin/env", "umount", "-l", str(folder)], check=False)  # noqa: S603 - our own words


def run(terms: Terms, context: Context) -> RowResult:
    """Fill the disks under a service, and damage its files, round after round."""
    violations: list[str] = []
    ends: dict[str, int] = {}
    for number in range(terms.rounds):
        load = Load(context.warps, terms.load(_GROUPS, 4), _MEMBERS, terms.seed, f"round{number}")
        found, harmed = _spool(context, load.plain(), terms.seed + number, number)
        violations += found
        ends["planes damaged"] = ends.get("planes damaged", 0) + harmed
        with small_disk(context.folder / f"disk{number}") as disk:
            # Files land elsewhere: a disk too full for them is waited for, not refused.
            place = replace(
                context.embedded(),
                options=(
                    *("--log", str(disk / "evensky.db"), "--partitions", "2"),
                    *("--local-dir", str(context.folder / f"local{number}")),
                ),
            )
            said = load.plain()
            found, code = _full(context, place, disk, said, f"full{number}")
            violations += found
            ends[f"disk full: exit {code}"] = ends.get(f"disk full: exit {code}", 0) + 1
            found, how = _damaged(context, place, terms.seed + number, f"damaged{number}")
            violations += found
            ends[f"file damaged: {how}"] = ends.get(f"file damaged: {how}", 0) + 1
    figures: dict[str, Figure] = {"rounds": terms.rounds, **ends}
    return RowResult(figures, tuple(violations))


def _full(
    context: Context, place: Place, disk: Path, said: list[Said], name: str
) -> tuple[list[str], int]:
    """Let the disk run full in the middle of the work, make room, and let the work be finished."""
    place.publish(records(said, place.topics, 2))
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        file.write(bytes(shutil.disk_usage(disk).free - _LEFT_BYTES))
    progress = Progress(place, wanted((one.message, one.time_us) for one in said))
    with Fleet(place, context.folder) as fleet:
        running = fleet.start(name)
        code = running.process.wait(_PATIENCE_S)
        violations = _unclear("disk full", code, running.text(), ("full", "space"))
        ballast.unlink()
        fleet.restart(name)
        fleet.until(progress.done, _PATIENCE_S, 0.3)
        fleet.stop(name)
        violations += [*judge(place).violations, *fleet.complaints()]
    return violations, code


def _damaged(context: Context, place: Place, seed: int, name: str) -> tuple[list[str], str]:
    """Overwrite a page of the log's file; the service must refuse it or do no harm."""
    path = place.settings.log
    whole = path.with_name("whole.db")
    shutil.copy(path, whole)
    _overwrite_pages(path, seed)
    with Fleet(place, context.folder) as fleet:
        running = fleet.start(name)
        running.until_it_says_or_ends('"event": "partition restored"', _PATIENCE_S)
        ended = not running.alive
        code = running.process.wait(1) if ended else 0
        violations = _unclear("file damaged", code, running.text(), ("damaged", "malformed", "not"))
    for left in path.parent.glob(f"{path.name}-*"):
        left.unlink()
    whole.replace(path)
    return (violations if ended else []) + list(judge(place).violations), (
        f"refused, exit {code}" if ended else "went on, the page was not its own"
    )


def _spool(context: Context, said: list[Said], seed: int, number: int) -> tuple[list[str], int]:
    """Have a spool whose disk is full all the time, and damage what lies there at each look."""
    above = context.folder / f"spool{number}"
    above.mkdir()
    random, harmed = Random(seed), list[int]()  # noqa: S311 - chance that can be had again
    with small_disk(above / "planes", _SPOOL_BYTES) as disk:
        # Files land beside it, where there is room.
        place = context.embedded("--local-dir", str(above / "local"), "--spool-dir", str(above))
        place = replace(place, options=(*place.options, "--partitions", "2"))
        place.publish(records(said, place.topics, 2))
        progress = Progress(place, wanted((one.message, one.time_us) for one in said))

        def done() -> bool:
            harmed.append(_harm(disk, random))
            return progress.done()

        with Fleet(place, context.folder) as fleet:
            fleet.start(f"spool{number}")
            fleet.until(done, _PATIENCE_S, 0.3)
            fleet.stop(f"spool{number}")
            violations = [*judge(place).violations, *fleet.complaints()]
        failed = [one for one in messages(place.records("models"), BackgroundModel) if _fell(one)]
        violations += [f"spool: visit {one.visit} failed: {one.reason}" for one in failed]
        violations += [f"spool: {path.name} is left" for path in disk.iterdir()]
    return violations, sum(harmed)


def _harm(disk: Path, random: Random) -> int:
    """Put damaged files in the place of planes; who has those mapped has looked at them already."""
    harmed = 0
    for path in disk.glob("of-*/*"):
        with suppress(OSError):  # it left the spool meanwhile, or there is no room for this either
            content = bytearray(path.read_bytes())
            if not content:  # it was only just made
                continue
            path.unlink()
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
            path.write_bytes(content[: random.choice((len(content), len(content) // 2))])
            harmed += 1
    return harmed


def _fell(model: BackgroundModel) -> bool:
    return model.status == "failed"


def _overwrite_pages(path: Path, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - chance that can be had again
    pages = path.stat().st_size // _PAGE
    with path.open("r+b") as file:
        for page in sorted(random.sample(range(pages), max(1, pages // 3))):
            file.seek(page * _PAGE)
            file.write(random.randbytes(_PAGE))


def _unclear(what: str, code: int, text: str, words: tuple[str, ...]) -> list[str]:
    """Tell how an end was not the clear refusal that it must be."""
    last = text.strip().splitlines()[-1] if text.strip() else ""
    found = []
    if code not in _CLEAR:
        found.append(f"{what}: exit code {code}: {text[-800:]}")
    if "Traceback" in text or not any(word in last for word in words):
        found.append(f"{what}: it does not say so: {last[:300]}")
    return found


ROW: Final = Row(
    number=16,
    title="disk full, files damaged",
    hold="a full disk and a damaged log file are refused clearly, and nothing is lost; "
    "those of the spool are not noticed in what is published",
    rounds=5,
    counted="rounds of each",
    run=run,
)
