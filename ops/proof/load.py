"""What upstream says, drawn from a seed: many groups over few, tiny, real warps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import msgspec
import numpy as np

import core
import schemas
from stream import fits
from stream.log.seam import Outgoing
from stream.log.topics import Topics

__all__ = ["Load", "Said", "Wanted", "Warp", "make_warps", "records", "wanted"]

_SIDE = 32
_START_US = 1_767_225_600_000_000  # 2026-01-01, when the first event was made
_STEP_US = 1000
_GROUPS_MOST = 1 << 24
_PLANES = {"BAD": 0, "SAT": 1, "CR": 3, "DETECTED": 5, "DETECTED_NEGATIVE": 6, "NO_DATA": 8}

Wanted = dict[str, dict[int, str]]
"""Group key to visit to input digest: what the newest revision must hold in the end."""


@dataclass(frozen=True)
class Warp:
    """A warp's file and what is true of it."""

    path: Path
    checksum: str
    size: int


def make_warps(folder: Path, count: int = 6, side: int = _SIDE, seed: int = 1) -> list[Warp]:
    """Write a few warps of one patch: noise on a tilted sky, different in each.

    Parameters
    ----------
    folder : Path
    count : int
    side : int
        Pixels.
    seed : int
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    return [_write_warp(folder / f"warp-{n}.fits", side, random, n) for n in range(count)]


def _write_warp(path: Path, side: int, random: np.random.Generator, number: int) -> Warp:
    y, x = np.mgrid[:side, :side]
    sky = 100.0 + 3.0 * number + (number - 2) * x / side + y / side
    image = random.normal(sky, 2.0).astype(np.float32)
    mask = np.zeros((side, side), np.int32)
    mask[4:7, 4:7] = 1 << _PLANES["DETECTED"]
    variance = np.full((side, side), 4.0, np.float32)
    exposure = core.MaskedImage(image, mask, variance, _PLANES, (100, 200))
    data = fits.encode(exposure, {"VISIT": number, "BUNIT": "nJy"})
    path.write_bytes(data)
    return Warp(path, hashlib.sha256(data).hexdigest(), len(data))


@dataclass(frozen=True)
class Said:
    """An event and when it was made, microseconds since 1970."""

    message: schemas.Message
    time_us: int
    id: str


@dataclass
class Load:
    """The events of a survey of equal groups; all that is drawn is drawn from the seed.

    Parameters
    ----------
    warps : sequence of Warp
        Files that all visits share.
    groups, members : int
    seed : int
    campaign : str
        Loads of one log need names of their own.
    first : int
        Number of the first group, for the scales: what another load has computed is known.
    """

    warps: Sequence[Warp]
    groups: int
    members: int
    seed: int = 1
    campaign: str = "proof"
    first: int = 0
    _random: Random = field(init=False)
    _count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._random = Random(f"{self.campaign} {self.seed}")  # noqa: S311 - chance that can be had again

    # -- single events -----------------------------------------------------------------------------

    def say(self, message: schemas.Message) -> Said:
        """Give a message its id and its time, later than all before."""
        self._count += 1
        time = _START_US + self._count * _STEP_US
        return Said(message, time, f"{self.campaign}-{self.seed}-{self._count}")

    def group(self, number: int) -> schemas.GroupId:
        """Return the identity of a group."""
        return schemas.GroupId(self.campaign, "proof", 1, number, "r")

    def manifest(self, number: int, visits: Iterable[int] | None = None, version: int = 0) -> Said:
        """Name the exact set of a group, all its visits if none are given."""
        chosen = range(1, self.members + 1) if visits is None else visits
        fields = self.group(number).fields
        visits = tuple(sorted(chosen))
        return self.say(schemas.GroupManifest(**fields, visits=visits, version=version))

    def arrival(
        self, number: int, visit: int, version: int = 0, expected: int | None = None
    ) -> Said:
        """Announce a visit; each has a scale of its own, and so a digest of its own."""
        warp = self.warps[(visit + version) % len(self.warps)]
        return self.say(
            schemas.WarpArrived(
                **self.group(number).fields,
                visit=visit,
                version=version,
                uri=warp.path.resolve().as_uri(),
                checksum=warp.checksum,
                size=warp.size,
                scale=1.0 + visit / 1024 + version / 64 + (self.first + number) / _GROUPS_MOST,
                unit="nJy",
                expected=expected,
            )
        )

    def withdrawal(self, number: int, visit: int, version: int = 0) -> Said:
        """Take a visit back."""
        fields = self.group(number).fields
        message = schemas.WarpWithdrawn(**fields, visit=visit, version=version, reason="clouds")
        return self.say(message)

    def closing(self, number: int) -> Said:
        """Close a group."""
        return self.say(schemas.GroupClosed(**self.group(number).fields))

    # -- whole loads -------------------------------------------------------------------------------

    def plain(self) -> list[Said]:
        """Return each group's exact set, then its visits; the groups one after the other."""
        return [one for number in range(self.groups) for one in self._plain(number)]

    def _plain(self, number: int) -> Iterator[Said]:
        yield self.manifest(number)
        visits = list(range(1, self.members + 1))
        self._random.shuffle(visits)
        yield from (self.arrival(number, visit) for visit in visits)

    def troubled(self) -> list[Said]:
        """Return a plain load, and behind each group some of what upstream does later.

        In a third of the groups a visit is replaced, in a third one is withdrawn, in a third one
        more comes with a wider set; and of every tenth event a copy follows at once.
        """
        said = []
        for number in range(self.groups):
            said += [*self._plain(number), *self._later(number)]
        return [again for one in said for again in self._doubled(one)]

    def mixed(self) -> list[Said]:
        """Return groups that are complete by each of the rules, and some late changes."""
        return [one for number in range(self.groups) for one in self._mixed(number)]

    def _mixed(self, number: int) -> list[Said]:
        visits = range(1, self.members + 1)
        match number % 5:
            case 0:  # manifest
                said = [self.manifest(number), *(self.arrival(number, v) for v in visits)]
            case 1:  # closed
                said = [*(self.arrival(number, v) for v in visits), self.closing(number)]
            case 2:  # count
                said = [self.arrival(number, v, expected=self.members) for v in visits]
            case 3:  # deadline: one more is expected than comes
                said = [self.manifest(number, range(1, self.members + 2))]
                said += [self.arrival(number, v) for v in visits]
            case _:  # quiet
                said = [self.arrival(number, v) for v in visits]
        if self._random.random() < 0.5:  # noqa: PLR2004 - every other
            said.append(self.arrival(number, 1, version=1))
        return said

    def _later(self, number: int) -> Iterator[Said]:
        visit = self._random.randint(1, self.members)
        match self._random.randrange(3):
            case 0:
                yield self.arrival(number, visit, version=1)
            case 1:
                yield self.withdrawal(number, visit)
            case _:
                yield self.manifest(number, range(1, self.members + 2), version=1)
                yield self.arrival(number, self.members + 1)

    def _doubled(self, said: Said) -> list[Said]:
        return [said] * (2 if self._random.random() < 0.1 else 1)  # noqa: PLR2004 - every tenth

    def shuffled(self, said: Sequence[Said], most: int = 5) -> list[Said]:
        """Return every event 1 to `most` times, in any order."""
        copies = [one for one in said for _ in range(self._random.randint(1, most))]
        self._random.shuffle(copies)
        return copies


def records(said: Iterable[Said], topics: Topics, partitions: int) -> list[Outgoing]:
    """Return events as records of the input, each on the partition of its key."""
    return [_record(one, topics, partitions) for one in said]


def _record(said: Said, topics: Topics, partitions: int) -> Outgoing:
    time = schemas.time_text(said.time_us)
    encoded = schemas.encode(said.message, id=said.id, source="proof/upstream", time=time)
    partition = schemas.partition_of(encoded.key, partitions)
    return Outgoing(topics.warps, partition, encoded.key, encoded.value, encoded.headers)


def wanted(said: Iterable[tuple[schemas.Message, int]]) -> Wanted:
    """Tell by a plain look at events and their times what each group must hold at the end.

    A visit's last word by (version, time, withdrawal last, digest) stands; a group with a set
    holds what is of its set.
    """
    best: dict[tuple[str, int], tuple[int, int, bool, str]] = {}
    sets: dict[str, tuple[int, tuple[int, ...]]] = {}
    for message, time in said:
        match message:
            case schemas.WarpArrived() | schemas.WarpWithdrawn():
                place = (message.group.key, message.visit)
                rank = _rank(message, time)
                best[place] = max(rank, best.get(place, rank))
            case schemas.GroupManifest():
                one = (message.version, message.visits)
                sets[message.group.key] = max(one, sets.get(message.group.key, one))
            case _:
                pass
    found: Wanted = {}
    for (key, visit), (_, _, withdrawn, digest) in best.items():
        members = found.setdefault(key, {})
        if not withdrawn and (key not in sets or visit in sets[key][1]):
            members[visit] = digest
    return found


def _rank(
    message: schemas.WarpArrived | schemas.WarpWithdrawn, time: int
) -> tuple[int, int, bool, str]:
    if isinstance(message, schemas.WarpWithdrawn):
        return message.version, time, True, ""
    facts = msgspec.structs.asdict(message)
    named = (facts[name] for name in ("checksum", "scale", "unit", "sky"))
    return message.version, time, False, schemas.input_digest(*named)
