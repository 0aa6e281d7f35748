"""Row 11: poison of every kind, and healthy groups between it."""

from __future__ import annotations

import gzip
import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import psutil

import core
from ops.proof.fleet import Fleet
from ops.proof.hooks import Hooks
from ops.proof.judge import Progress, Published, judge, published
from ops.proof.load import Load, Said, Wanted, make_warps, records, wanted
from ops.proof.place import Place
from ops.proof.row import Context, Figure, Row, RowResult, Terms
from stream import fits
from stream.log.seam import Outgoing
from tests.schemas.hostile import HOSTILE

__all__ = ["ROW"]

_PARTITIONS: Final = 2
_MEMBERS: Final = 3
_ILL: Final = 2
"""Visit of each poisoned group that is ill; its neighbours are not."""
_DELAY_S: Final = 5.0
_PARENT_MB: Final = 512
_BROKER_BYTES: Final = 200_000
_PATIENCE_S: Final = 1800.0
_OPTIONS: Final = ("--missing-grace-s", "1", "--job-timeout-s", "2", "--workers", "2")
_HARMS: Final = {10_001: "memory", 10_002: "segfault", 10_003: "loop"}


@dataclass(frozen=True)
class _Poisons:
    """Groups of which one visit cannot be used, by what ails it, and the visits' numbers."""

    said: list[Said]
    groups: Mapping[str, tuple[str, int]]


def run(terms: Terms, context: Context) -> RowResult:
    """Say everything bad and something good beside it, again and again.

    A job that loops holds its worker until its deadline, as often as it is tried: that is what
    deadlines are for. So there are two workers and one such job at a time, and the next round waits
    for the end of this one; with as many of them as workers everybody would wait.
    """
    violations: list[str] = []
    with context.kafka(_PARTITIONS, *_OPTIONS) as place, Fleet(place, context.folder) as fleet:
        hooks = Hooks(harms=_HARMS)  # type: ignore[arg-type]  # literal strings
        running = fleet.start("one", hooks, *_OPTIONS)
        running.until_it_says('"event": "started"', _PATIENCE_S)
        letters: Counter[str] = Counter()
        ill: dict[str, tuple[str, int]] = {}
        due: Wanted = {}
        most = 0.0
        for number in range(terms.rounds):
            poisons = _poisons(context, number)
            hostile = _hostile(place)
            letters.update(reason for _, reason in hostile)
            healthy = Load(context.warps, 10, _MEMBERS, terms.seed, f"healthy{number}")
            good = healthy.plain()
            place.publish([one for one, _ in hostile])
            place.publish(records([*poisons.said, *good], place.topics, _PARTITIONS))
            ill |= poisons.groups
            due |= wanted((one.message, one.time_us) for one in (*poisons.said, *good))
            most = max(most, _memory_mb(fleet, 1.0))
            fleet.until(Progress(place, due).done, _PATIENCE_S, 0.5)
        most = max(most, _memory_mb(fleet, 0.0))
        found = published(place)
        violations += [*judge(place).violations, *fleet.complaints()]
        starts = fleet.copies["one"].starts
    violations += [*_letters(found, letters), *_ill(found, ill)]
    delay = max(_delays(found), default=0.0)
    if starts > 1:
        violations.append(f"the service ended {starts - 1} times")
    if delay > _DELAY_S:
        violations.append(f"a healthy group waited for {delay:.1f} s")
    if most > _PARENT_MB:
        violations.append(f"the service had {most:.0f} MB, more than {_PARENT_MB}")
    figures: dict[str, Figure] = {
        "kinds of messages": len(_hostile(place)),
        "kinds of warps": len(ill) // terms.rounds,
        "dead letters": len(found.letters),
        "failed warps": len(ill),
        "longest wait of a healthy group s": delay,
        "most memory of the service MB": most,
    }
    return RowResult(figures, tuple(violations))


def _hostile(place: Place) -> list[tuple[Outgoing, str]]:
    """Return hostile records that the broker takes, each with the reason of its letter."""
    return [
        (Outgoing(place.topics.warps, 0, one.key, one.value, one.headers), str(one.reason))
        for one in HOSTILE.values()
        if (one.key is not None or one.value is not None) and _size(one) < _BROKER_BYTES
    ]


def _size(one: Any) -> int:
    headers = sum(len(name) + len(value) for name, value in one.headers)
    return len(one.key or b"") + len(one.value or b"") + headers


# -- warps that cannot be used ---------------------------------------------------------------------


def _poisons(context: Context, number: int) -> _Poisons:
    folder = context.warps[0].path.parent
    ills = [*_ill_files(folder), *_ill_places(context)]
    load = Load(context.warps, len(ills) + len(_HARMS), _MEMBERS, number, f"poison{number}")
    said: list[Said] = []
    groups: dict[str, tuple[str, int]] = {}
    for at, (name, changes) in enumerate(ills):
        said += [load.manifest(at), *(load.arrival(at, visit) for visit in (1, 3))]
        said.append(_changed(load, load.arrival(at, _ILL), changes))
        groups[load.group(at).key] = (name, _ILL)
    for at, (visit, harm) in enumerate(_HARMS.items(), len(ills)):
        said += [load.manifest(at, (1, 3, visit)), *(load.arrival(at, v) for v in (1, 3, visit))]
        groups[load.group(at).key] = (harm, visit)
    return _Poisons(said, groups)


def _changed(load: Load, said: Said, changes: Mapping[str, Any]) -> Said:
    message: Any = said.message
    return load.say(msgspec.structs.replace(message, **changes))


def _ill_files(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield files with true checksums that cannot be used."""
    for name, data in _contents(folder):
        path = folder / f"ill-{name.replace(' ', '-')}.fits"
        path.write_bytes(data)
        checksum = hashlib.sha256(data).hexdigest()
        yield name, {"uri": path.as_uri(), "checksum": checksum, "size": len(data)}


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    whole = (folder / "warp-0.fits").read_bytes()
    yield "truncated", whole[: len(whole) // 2]
    yield "no FITS", b"SIMPLE? no."
    yield "empty", b""
    yield "smaller shape", make_warps(folder / "small", 1, 24)[0].path.read_bytes()
    yield "larger shape", make_warps(folder / "large", 1, 48)[0].path.read_bytes()
    yield "all NaN", _all_nan()
    yield "gzip bomb", gzip.compress(bytes(64 * 2**20))
    yield (
        "NAXIS bomb",
        whole.replace(b"NAXIS1  =                   32", b"NAXIS1  =            999999999"),
    )
    yield "20000 HDUs", whole[:2880] + _hdu() * 20_000
    yield "gzip cut off", gzip.compress(whole)[:-200]


def _all_nan() -> bytes:
    plane = np.full((32, 32), np.nan, np.float32)
    mask = np.zeros((32, 32), np.int32)
    return fits.encode(
        core.MaskedImage(plane, mask, plane, {"NO_DATA": 8}, (100, 200)), {"VISIT": 1}
    )


def _hdu() -> bytes:
    numbers = {"BITPIX": 8, "NAXIS": 0, "PCOUNT": 0, "GCOUNT": 1}
    cards = ["XTENSION= 'IMAGE   '", *(f"{name:8}= {n:20}" for name, n in numbers.items()), "END"]
    return "".join(card.ljust(80) for card in cards).encode().ljust(2880)


def _ill_places(context: Context) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield URIs that are followed nowhere."""
    inside = context.warps[0].path
    link = inside.with_name("link.fits")
    link.unlink(missing_ok=True)
    link.symlink_to("/etc/hostname")
    uris = {
        "missing file": f"{inside.parent.as_uri()}/nothing.fits",
        "outside": "file:///etc/passwd",
        "up and out": f"{inside.parent.as_uri()}/../../../etc/passwd",
        "a link out": link.as_uri(),
        "http": "http://127.0.0.1:9/warp.fits",
        "another host": "file://elsewhere/warp.fits",
        "an extended name": f"{inside.as_uri()}[1]",
        "a folder": inside.parent.as_uri(),
        "no scheme": str(inside),
        "percent encoded out": f"{inside.parent.as_uri()}/%2e%2e/%2e%2e/etc/passwd",
        "a device": "file:///dev/zero",
        "credentials": "s3://key:secret@bucket/warp.fits",
        "a zero byte": f"{inside.as_uri()}%00.txt",
    }
    for name, uri in uris.items():
        yield name, {"uri": uri}
    yield "a wrong checksum", {"checksum": "0" * 64}


# -- what came of it -------------------------------------------------------------------------------


def _letters(found: Published, due: Counter[str]) -> Iterator[str]:
    """Tell of letters with another reason, or too few or many."""
    reasons = Counter(str(one.reason) for one in found.letters)
    due = due + Counter()
    spare = reasons - due
    if due - reasons or sum(spare.values()) > 0:
        yield f"dead letters by reason: {dict(reasons)}, due {dict(due)}"


def _ill(found: Published, ill: Mapping[str, tuple[str, int]]) -> Iterator[str]:
    """Tell of poisoned groups in which not exactly the ill one failed."""
    for key, (name, visit) in ill.items():
        summary = found.newest.get(key)
        members = () if summary is None else summary.members
        failed = {
            one.visit: one.reason for one in members if one.status in {"failed", "no_overlap"}
        }
        if set(failed) != {visit} or not failed[visit]:
            yield f"{name}: failed are {failed}, not {visit}"


def _delays(found: Published) -> Sequence[float]:
    """Return how long healthy groups waited after they were complete, seconds."""
    return [
        one.complete_to_publish_s or 0.0
        for one in found.metrics
        if one.visit is None and one.campaign.startswith("healthy")
    ]


def _memory_mb(fleet: Fleet, seconds: float) -> float:
    """Keep the fleet up for a while; return the most memory that the service had, MB."""
    end, most = time.monotonic() + seconds, 0.0
    while True:
        if fleet["one"].alive:
            most = max(most, psutil.Process(fleet["one"].process.pid).memory_info().rss / 1e6)
        if time.monotonic() >= end:
            return most
        fleet.tend_for(0.2)


ROW: Final = Row(
    number=11,
    title="poison",
    hold="each bad message has one dead letter with its reason, each bad warp fails alone; while "
    "a worker is free of endless jobs healthy groups wait less than 5 s; the service's memory "
    "stays below its limit",
    rounds=10,
    counted="times all of it",
    run=run,
)
