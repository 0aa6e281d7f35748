"""`evensky` as a process of its own, and its log as any consumer reads it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgpack

import schemas
from ops.proof import judge, place
from ops.proof.place import messages
from ops.proof.processes import PATIENCE_S, Running, environment, launch, until
from stream.announce import folders, manifests
from stream.audit import Report
from stream.commands.announce import Step, announce, describe_all
from stream.describe import Override

__all__ = [
    "MATCHING",
    "PATIENCE_S",
    "PROGRAM",
    "Place",
    "Published",
    "Running",
    "environment",
    "evensky",
    "honest",
    "model_files",
    "published",
    "running",
    "until",
]

MATCHING: Final = ("-c", "bin_size=32")

PROGRAM = Path(sys.executable).with_name("evensky")
_WORKERS = ("--workers", "1", "--worker-memory-bytes", "1GiB")


def evensky(
    *words: object,
    code: int = 0,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """Run a command to its end, hold it to an exit code, and return what it wrote."""
    done = subprocess.run(  # noqa: S603 - our own program
        [PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        cwd=cwd,
        env={**environment(), **(variables or {})},
    )
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout, done.stderr


@dataclass(frozen=True)
class Place(place.Place):
    """Where a log is, and where its warps are."""

    def announce(self, files: Sequence[Path], held: Collection[Path] = ()) -> None:
        """Announce warps as the exact set, without a process of its own, which takes a second.

        Those that are held back belong to the set, and have not arrived.
        """
        described, faults = describe_all(files, Override())
        assert not faults
        arrivals = [one.message for one in described if one.path not in held]
        steps: list[Step] = [(list(manifests(described)), 0.0), (arrivals, 0.0)]
        asyncio.run(announce(self.settings, folders(described), steps))


@contextmanager
def running(
    place: Place, folder: Path, *more: str, program: Sequence[str | Path] = (PROGRAM,)
) -> Iterator[Running]:
    """Run a service; what is left of it at the end is killed."""
    log = folder / f"service-{time.monotonic_ns()}.txt"
    words = ["run", *place.options, *place.service, "--http", "off", *_WORKERS, *MATCHING, *more]
    service = launch([*program, *words], log)
    try:
        yield service
        assert "Traceback" not in service.text(), service.text()
    finally:
        service.kill()


# -- what was published ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Published(judge.Published):
    """All that stands in the topics that consumers read."""

    def hold_complete(self, groups: Mapping[str, Sequence[int]]) -> None:
        """Hold that each group has exactly revision 1, with exactly its members."""
        assert set(self.newest) == set(groups)
        for key, visits in groups.items():
            summary = self.newest[key]
            assert (summary.revision, summary.status) == (1, "complete"), summary
            assert [member.visit for member in summary.members] == sorted(visits)


def honest(place: Place) -> Report:
    """Hold that nothing is lost or doubled, torn or foreign; the service may run meanwhile."""
    report = judge.audit(place)
    assert report.ok, report.violations
    return report


def published(place: Place) -> Published:
    """Read what a place holds of summaries and models."""
    models = place.records("models")
    return Published(
        tuple(messages(place.records("groups"), schemas.GroupMatched)),
        tuple(messages(models, schemas.BackgroundModel)),
        {(one.key or b"").decode(): one.value or b"" for one in models},
    )


def model_files(folder: Path) -> dict[str, bytes]:
    """Return the models that `evensky match -o` wrote, by the key that they have in the log."""
    found = {}
    for path in folder.rglob("*.model.msgpack"):
        value = path.read_bytes()
        body = msgpack.unpackb(value)
        names = ("campaign", "skymap", "tract", "patch", "band", "visit")
        found["/".join(str(body[name]) for name in names)] = value
    return found
