"""`evensky` as a process of its own, and its log as any consumer reads it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import msgpack
import psutil

import schemas
from stream.announce import folders, manifests
from stream.audit import Report, Terms, audit
from stream.commands.announce import Step, announce, describe_all
from stream.configure import load_settings
from stream.describe import Override
from stream.log.seam import Record
from stream.log.topics import Topics
from stream.settings import Settings
from stream.wiring import reader_log

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

T = TypeVar("T")

PATIENCE_S: Final = 150.0
"""For whatever must come at last; machines that run tests are slow now and then."""

MATCHING: Final = ("-c", "bin_size=32")

PROGRAM = Path(sys.executable).with_name("evensky")
_WORKERS = ("--workers", "1", "--worker-memory-bytes", "1GiB")
_LOOK_S = 0.05


def environment() -> dict[str, str]:
    """Return an environment in which no setting of the caller's is left."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVENSKY_")}
    return kept | {"COLUMNS": "80", "PYTHONWARNINGS": "default"}


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
class Place:
    """Where a log is, as options say it, and where its warps are."""

    options: tuple[str, ...]
    service: tuple[str, ...] = ()

    @classmethod
    def file(cls, path: Path) -> Place:
        """Return an embedded log."""
        return cls(("--log", str(path)))

    @property
    def settings(self) -> Settings:
        """The settings of whoever publishes there or reads."""
        names = [word.removeprefix("--").replace("-", "_") for word in self.options[::2]]
        given: Mapping[str, object] = dict(zip(names, self.options[1::2], strict=True))
        return load_settings(given, environment={})

    def announce(self, files: Sequence[Path]) -> None:
        """Announce warps as the exact set, without a process of its own, which takes a second."""
        described, faults = describe_all(files, Override())
        assert not faults
        arrivals = [one.message for one in described]
        steps: list[Step] = [(list(manifests(described)), 0.0), (arrivals, 0.0)]
        asyncio.run(announce(self.settings, folders(described), steps))

    def records(self, topic: str) -> list[Record]:
        """Return what stands in one of our topics, such as ``models``."""
        settings = self.settings
        if not settings.brokers and not settings.log.exists():
            return []

        async def read() -> list[Record]:
            log = reader_log(settings)
            await log.start()
            try:
                name = getattr(Topics(settings.topic_prefix), topic)
                return [record async for record in log.read([name], follow=False)]
            finally:
                await log.close()

        return asyncio.run(read())


@dataclass
class Running:
    """A service in a process."""

    process: subprocess.Popen[bytes]
    log: Path
    workers: set[psutil.Process] = field(default_factory=set)

    def text(self) -> str:
        """Return what it has logged so far."""
        return self.log.read_text(encoding="utf-8")

    def until_it_says(self, words: str) -> None:
        """Wait until something is logged; its death ends the wait."""
        until(lambda: words in self.text() or self.process.poll() is not None)
        assert words in self.text(), self.text()

    def family(self) -> list[psutil.Process]:
        """Return the processes that live by this one."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self) -> None:
        """Kill it as the out-of-memory killer does, and hold that nothing of it lives on."""
        family = self.family() if self.process.poll() is None else []
        self.process.kill()
        self.process.wait(PATIENCE_S)
        _, alive = psutil.wait_procs(family, PATIENCE_S)
        assert not alive, alive

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@contextmanager
def running(place: Place, folder: Path, *more: str) -> Iterator[Running]:
    """Run a service; what is left of it at the end is killed."""
    log = folder / f"service-{time.monotonic_ns()}.txt"
    words = ["run", *place.options, *place.service, "--http", "off", *_WORKERS, *MATCHING, *more]
    with log.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [PROGRAM, *words], stderr=stderr, stdout=stderr, env=environment()
        )
    service = Running(process, log)
    try:
        yield service
        assert "Traceback" not in service.text(), service.text()
    finally:
        service.kill()


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(_LOOK_S)


# -- what was published ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """All that stands in the topics that consumers read."""

    summaries: tuple[schemas.GroupMatched, ...]
    models: tuple[schemas.BackgroundModel, ...]
    bytes_of_models: Mapping[str, bytes]

    def hold_complete(self, groups: Mapping[str, Sequence[int]]) -> None:
        """Hold that each group has exactly revision 1, with exactly its members."""
        found = {one.group.key: one for one in self.summaries}
        assert set(found) == set(groups)
        for key, visits in groups.items():
            summary = found[key]
            assert (summary.revision, summary.status) == (1, "complete"), summary
            assert [member.visit for member in summary.members] == sorted(visits)


def honest(place: Place) -> Report:
    """Hold that nothing is lost or doubled, torn or foreign; the service may run meanwhile."""

    async def run() -> Report:
        log = reader_log(place.settings)
        await log.start()
        try:
            return await audit(log, Terms.of(place.settings))
        finally:
            await log.close()

    report = asyncio.run(run())
    assert report.ok, report.violations
    return report


def published(place: Place) -> Published:
    """Read what a place holds."""
    models = place.records("models")
    return Published(
        tuple(_messages(place.records("groups"), schemas.GroupMatched)),
        tuple(_messages(models, schemas.BackgroundModel)),
        {(one.key or b"").decode(): one.value or b"" for one in models},
    )


def _messages(records: Sequence[Record], kind: type[T]) -> Iterator[T]:
    for record in records:
        message = schemas.decode(record.key, record.headers, record.value)[1]
        assert isinstance(message, kind)
        yield message


def model_files(folder: Path) -> dict[str, bytes]:
    """Return the models that `evensky match -o` wrote, by the key that they have in the log."""
    found = {}
    for path in folder.rglob("*.model.msgpack"):
        value = path.read_bytes()
        body = msgpack.unpackb(value)
        names = ("campaign", "skymap", "tract", "patch", "band", "visit")
        found["/".join(str(body[name]) for name in names)] = value
    return found
