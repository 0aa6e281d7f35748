"""Row 13: an object store that is slow, stalls, fails, and refuses keys that were good."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Final

import msgspec
import psutil

import schemas
from ops.proof.fleet import Fleet
from ops.proof.judge import Progress, judge, published
from ops.proof.load import Load, Said, records, wanted
from ops.proof.place import Place
from ops.proof.row import Context, Figure, Row, RowResult, Terms
from ops.store.proxy import Asked, Proxy, Trouble, proxied
from ops.store.server import BUCKET, found_at, running
from stream.crosschecks import PARENT_BYTES

__all__ = ["ROW"]

Troubles = Callable[[Asked], Trouble | None]

_PARTITIONS: Final = 2
_MEMBERS: Final = 5
_GROUPS: Final = 40
_STALL_S: Final = 20.0
_HOLE_S: Final = 30.0
_HOLE_AT: Final = 1000
_FOLDER: Final = "proof"
_LOOK_S: Final = 0.5
_PATIENCE_S: Final = 1800.0
_MB: Final = 1e6


def run(terms: Terms, context: Context) -> RowResult:
    """Make each trouble for the stated time; groups on a disk go on, those in the bucket wait."""
    allowed = ("--allow", f"s3://{BUCKET}/{_FOLDER}")
    stall = ("--storage-stall-s", f"{_STALL_S * terms.scale:g}")
    with _store(context) as proxy, context.kafka(_PARTITIONS, *allowed, *stall) as place:
        said: list[Said] = []
        memory: list[float] = []
        made: dict[str, int] = {}
        with Fleet(place, context.folder) as fleet:
            fleet.start_all("one")
            for number, (name, troubles) in enumerate(_all_troubles(terms).items()):
                load = Load(context.warps, terms.load(_GROUPS), _MEMBERS, terms.seed, name)
                load.first = 2 * number * load.groups
                proxy.troubles = troubles
                said += _trouble(terms, place, fleet, load, memory)
                made[name] = proxy.made.total()
                proxy.made.clear()
                proxy.troubles = lambda _: None
                fleet.until(_published(place, said), _PATIENCE_S, _LOOK_S)
                context.say(f"{name}: {made[name]} answers")
            text = fleet["one"].text()
            violations = [*judge(place).violations, *fleet.complaints(), *_failed(place)]
            violations += [f"{name}: no trouble was made" for name in made if not made[name]]
            if fleet.copies["one"].starts > 1:
                violations.append("the service ended by itself")
    figures: dict[str, Figure] = {
        **{f"{name}: answers": count for name, count in made.items()},
        "groups": len(wanted((one.message, one.time_us) for one in said)),
        "times that the bucket went away": text.count('"event": "storage is away"'),
        "times that it came back": text.count('"event": "storage is back"'),
        "assignments": text.count('"kind": "assigned"'),
        "most memory of the service, MB": max(memory),
    }
    return RowResult(figures, (*violations, *_judged(figures)))


def _judged(figures: Mapping[str, Figure]) -> Iterator[str]:
    if figures["assignments"] != 1:
        yield f"there were {figures['assignments']} assignments: heartbeats were missed"
    if not figures["times that the bucket went away"]:
        yield "the bucket never counted as away"
    if figures["times that the bucket went away"] != figures["times that it came back"]:
        yield "the bucket did not come back as often as it went"
    memory = figures["most memory of the service, MB"]
    if not isinstance(memory, float) or memory * _MB > PARENT_BYTES:
        yield f"the service had {memory} MB, more than {PARENT_BYTES / _MB:.0f}"


def _all_troubles(terms: Terms) -> dict[str, Troubles]:
    """Return what is done to requests, by what it is."""
    random = Random(terms.seed)  # noqa: S311 - chance that can be had again
    slow = Trouble(bytes_per_s=1.0)
    stalls = Trouble(stall_after=_HOLE_AT, stall_s=_HOLE_S * terms.scale)
    fails, expired = Trouble(503, "SlowDown"), Trouble(403, "ExpiredToken")
    return {
        "slow": lambda _: slow,
        "stalls": lambda _: stalls,
        "fails": lambda _: fails if random.random() < 0.5 else None,  # noqa: PLR2004 - every other
        "expired": lambda _: expired,
    }


def _trouble(
    terms: Terms, place: Place, fleet: Fleet, load: Load, memory: list[float]
) -> list[Said]:
    """Let a load in the bucket and one on a disk come in; the latter is published meanwhile."""
    end = time.monotonic() + terms.rounds
    far = [_in_bucket(one) for one in load.plain()]
    near = Load(load.warps, load.groups, _MEMBERS, terms.seed, f"{load.campaign}-disk")
    near.first = load.first + load.groups
    beside = near.plain()
    place.publish(records([*far, *beside], place.topics, _PARTITIONS))
    fleet.until(_published(place, beside), _PATIENCE_S, _LOOK_S)
    while True:
        memory.append(psutil.Process(fleet["one"].process.pid).memory_info().rss / _MB)
        if time.monotonic() > end:
            return [*far, *beside]
        fleet.tend_for(_LOOK_S)


def _published(place: Place, said: Sequence[Said]) -> Callable[[], bool]:
    return Progress(place, wanted((one.message, one.time_us) for one in said)).done


def _in_bucket(said: Said) -> Said:
    """Return an arrival of the same file from the bucket; any other event as it is."""
    message = said.message
    if not isinstance(message, schemas.WarpArrived):
        return said
    uri = f"s3://{BUCKET}/{_FOLDER}/{message.uri.rsplit('/', 1)[1]}"
    return Said(msgspec.structs.replace(message, uri=uri), said.time_us, said.id)


def _failed(place: Place) -> Sequence[str]:
    failed = [
        f"{one.group.key} revision {one.revision}: visit {member.visit} {member.reason}"
        for one in published(place).summaries
        for member in one.members
        if member.status == "failed"
    ]
    return [f"members failed: {failed[:5]}"] if failed else []


@contextmanager
def _store(context: Context) -> Iterator[Proxy]:
    """Give a proxy before a bucket with all warps, which the service finds in its environment."""
    with running() as server, proxied(server.port) as proxy:
        for warp in context.warps:
            server.put(f"{_FOLDER}/{warp.path.name}", warp.path.read_bytes())
        with found_at(proxy.address):
            yield proxy


ROW: Final = Row(
    number=13,
    title="slow store",
    hold="a bucket gives 1 B/s, stalls for 30 s, fails every other time, refuses expired keys: "
    "membership is kept, no member fails, memory is bounded, no rebalance; groups elsewhere go "
    "on, and in the end every group is published",
    rounds=120,
    counted="s of each trouble",
    run=run,
)
