"""Settings into objects: the one place that knows which log, store and pool the settings mean."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final, TypeVar

import core
from stream import jobs
from stream.assemble import Assembler
from stream.decodelimits import DecodeLimits
from stream.faults import StoreTrouble, WarpFault
from stream.fetch import Fetcher, FetchLimits, Hooks
from stream.footing import accepted_losses
from stream.foresight import AheadLimits, Foresight
from stream.log.embedded import EmbeddedOwner, EmbeddedPublisher, EmbeddedReader
from stream.log.kafka import KafkaOwner, KafkaPublisher, KafkaReader
from stream.log.kafka_settings import KafkaSettings
from stream.log.seam import LogRefusedError, OwnerLog, PublisherLog, ReaderLog
from stream.log.topics import Topics
from stream.owner import Shared
from stream.pool import AttemptRecord, WorkerPool
from stream.pulse import Pulse
from stream.results import (
    LocalKeeper,
    MemoryKeeper,
    Results,
    SharedKeeper,
    Shelf,
    shared_place,
)
from stream.roots import recall
from stream.runner import Pool, Runner, Store
from stream.service import Limits, Service
from stream.settings import Problem, Settings, SettingsError
from stream.spool import Cause, PlaneFiles, Spool
from stream.spool.place import laid_bytes
from stream.suspects import Watch, watching
from stream.telemetry import Telemetry
from stream.transport import security
from stream.workshop import Workshop

__all__ = [
    "Assembly",
    "TellingPool",
    "ahead_limits",
    "assemble_service",
    "assembler",
    "decode_limits",
    "fetch_limits",
    "job_runner",
    "kafka_settings",
    "kept_results",
    "landing_folder",
    "our_topics",
    "owner_log",
    "publisher_log",
    "reader_log",
    "slots",
    "spool",
    "tell_fault",
    "tell_trouble",
    "watched",
    "worker_pool",
]

T = TypeVar("T")

_STORAGE_FAULTS: Final = {
    WarpFault.MISSING: "missing",
    WarpFault.UNREADABLE: "refused",
    WarpFault.TOO_LARGE: "refused",
    WarpFault.CHECKSUM: "checksum",
}

_ENOUGH_MEMBERS: Final = 128
_MEMBERS_A_WORKER: Final = 8
"""With so many members at work in a partition a worker has its next job, whatever else waits."""

_POLL_PATIENCE_MS = 60_000
_BESIDE_THE_MODEL = 65_536
_MEMORY_BYTES: Final = 16 * 2**20
"""For what lost partitions left running, a job for each slot at most: some tens of models of the
usual size, where a worker alone has hundreds of MB."""


def ahead_limits(settings: Settings) -> AheadLimits:
    """Return how much is computed before it is due."""
    at_once = settings.ahead_groups if settings.ahead == "on" else 0
    return AheadLimits(at_once, settings.ahead_jobs, settings.ahead_max_bytes)


def kafka_settings(settings: Settings) -> KafkaSettings:
    """Return how to speak to Kafka; `settings.bootstrap_servers` must be given."""
    session_ms = round(settings.session_timeout_s * 1000)
    grace_ms = round(settings.broker_grace_s * 1000)
    return KafkaSettings(
        bootstrap_servers=",".join(settings.brokers),
        app=settings.app,
        group_instance_id=settings.instance,
        session_timeout_ms=session_ms,
        rebalance_timeout_ms=max(session_ms, min(60_000, grace_ms // 2)),
        max_poll_interval_ms=max(300_000, grace_ms + _POLL_PATIENCE_MS),
        broker_grace_s=settings.broker_grace_s,
        security=security(settings),
    )


def our_topics(settings: Settings) -> Topics:
    """Return the topics' names and what the settings ask of them."""
    return Topics(settings.topic_prefix, settings.max_message_bytes)


def owner_log(settings: Settings) -> OwnerLog:
    """Return the log that the service works on."""
    topics = our_topics(settings)
    if settings.brokers:
        return KafkaOwner(kafka_settings(settings), topics)
    return EmbeddedOwner(settings.log, topics, settings.partitions)


def publisher_log(settings: Settings) -> PublisherLog:
    """Return the log to publish events into."""
    topics = our_topics(settings)
    if settings.brokers:
        return KafkaPublisher(kafka_settings(settings), topics)
    return EmbeddedPublisher(settings.log, topics, settings.partitions)


def reader_log(settings: Settings) -> ReaderLog:
    """Return the log to read what was published."""
    if settings.brokers:
        return KafkaReader(kafka_settings(settings), our_topics(settings))
    if not settings.log.exists():
        raise LogRefusedError(f"there is no log {settings.log}; `evensky run` makes it")
    return EmbeddedReader(settings.log)


def decode_limits(settings: Settings) -> DecodeLimits:
    """Return what a file may ask of a worker."""
    side = settings.max_warp_side_px
    return DecodeLimits(
        max_bytes=2 * settings.max_warp_bytes,
        max_side=side,
        max_pixels=side * side,
    )


def worker_pool(settings: Settings, telemetry: Telemetry | None = None) -> WorkerPool:
    """Return the processes that decode and match."""

    def tell(record: AttemptRecord) -> None:
        if telemetry is not None:
            known = record.outcome in ("ok", "timeout", "killed", "cancelled")
            telemetry.attempt(record.outcome if known else "error", record.seconds)
            for _ in range(_decodes(record) if record.attempt > 1 else 0):
                telemetry.decoded(Cause.RETRY)

    return WorkerPool(
        settings.workers,
        settings.job_timeout_s,
        settings.worker_memory_bytes,
        settings.max_attempts,
        tell,
    )


def _decodes(record: AttemptRecord) -> int:
    """Return how many warps an attempt decodes: those whose planes are not in the spool."""
    warps = [one for one in record.arguments if isinstance(one, jobs.WarpInput)]
    return sum(one.planes is None for one in warps)


class TellingPool:
    """A pool that tells the operators what the stages of each job took.

    Parameters
    ----------
    pool : Pool
    telemetry : Telemetry
    """

    def __init__(self, pool: Pool, telemetry: Telemetry) -> None:
        self._pool = pool
        self._telemetry = telemetry

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        """Run a job in a worker, as `WorkerPool.run` does."""
        result = await self._pool.run(function, *args)
        if isinstance(result, jobs.Measured | jobs.Matched):
            for stage, seconds in result.timings.items():
                self._telemetry.staged(stage, seconds)
        return result


def assembler(settings: Settings) -> Assembler:
    """Return what makes the messages."""
    profile = core.VerdictProfile(settings.verdict_profile)
    limits = settings.verdict_limits()
    return Assembler(settings.match_config(), profile, version("evensky"), limits)


def slots(settings: Settings) -> int:
    """Return how many jobs are fetched or running at once: enough to keep each worker fed."""
    return 2 * settings.workers + 2


def job_runner(settings: Settings, store: Store, pool: Pool) -> Runner:
    """Return what does the jobs, without kept results and without a spool."""
    limits = decode_limits(settings)
    return Runner(store, pool, settings.match_config(), limits, slots(settings))


@dataclass(frozen=True, slots=True)
class Assembly:
    """The service and what must be started and closed with it."""

    service: Service
    log: OwnerLog
    pool: WorkerPool
    fetcher: Fetcher
    telemetry: Telemetry
    pulse: Pulse
    results: Results
    watch: Watch
    spool: Spool | None


def assemble_service(settings: Settings, clock: Callable[[], float] = time.time) -> Assembly:
    """Put the service together; nothing is started.

    Parameters
    ----------
    settings : Settings
    clock : callable
        Wall time, seconds since 1970.
    """
    telemetry = Telemetry()
    pulse = Pulse(telemetry.loop_lagged)
    pool = worker_pool(settings, telemetry)
    fetcher = _fetcher(settings, telemetry)
    log = owner_log(settings)
    policy_for = settings.policy_for()
    results = kept_results(settings, telemetry.reused)
    watch = Watch(policy_for, clock)
    telling = TellingPool(pool, telemetry)
    runner = job_runner(settings, fetcher, telling).equip(results, watch)
    runner.store_of = fetcher.store_of
    kept = spool(settings)
    if kept is not None:
        runner.spool(kept, telemetry.decoded)
        telemetry.watch_spool(lambda: kept.bytes)
    shared = Shared(
        log=log,
        topics=our_topics(settings),
        workshop=Workshop(runner),
        assembler=assembler(settings),
        telemetry=telemetry,
        policy_for=policy_for,
        clock=clock,
        source=f"evensky/{settings.app}",
        ingest_max_records=settings.ingest_max_records,
        max_due_groups=settings.max_due_groups,
        enough_members=max(_ENOUGH_MEMBERS, _MEMBERS_A_WORKER * settings.workers),
        state_format=settings.state_format,
        accepted_losses=accepted_losses(settings.accept_loss),
        foresight=Foresight(ahead_limits(settings), telemetry.ahead),
    )
    limits = Limits(
        poll_wait_s=settings.ingest_max_ms / 1000,
        due_revisions=4 * settings.max_due_groups,
        grace_s=settings.grace_s,
    )
    service = Service(shared, pool, pulse, limits)
    watch.know(service)
    return Assembly(service, log, pool, fetcher, telemetry, pulse, results, watch, kept)


def kept_results(settings: Settings, on_reused: Callable[[str], None] = lambda _: None) -> Results:
    """Return where finished results are kept: on this host and with other copies, or in memory.

    In memory are few, for the partitions that are lost and come back.
    """
    shelves = []
    if settings.results_max_bytes and settings.local_folder is not None:
        folder = settings.local_folder / "results"
        shelves.append(Shelf("local", LocalKeeper(folder, settings.results_max_bytes)))
    if settings.results_shared is not None:
        most = settings.max_message_bytes + _BESIDE_THE_MODEL
        keeper = SharedKeeper(shared_place(settings.results_shared), most)
        shelves.append(Shelf("shared", keeper))
    if not shelves:
        shelves.append(Shelf("memory", MemoryKeeper(_MEMORY_BYTES)))
    return Results(shelves, on_reused)


def watched(settings: Settings, watch: Watch) -> AbstractAsyncContextManager[None]:
    """Return the time in which jobs that kill are looked for."""
    publisher = partial(publisher_log, settings)
    folder = settings.local_folder
    return watching(watch, folder, _service_name(settings), publisher, our_topics(settings))


def _service_name(settings: Settings) -> str:
    """Name what copies of one service have in common, for the names of files."""
    where = settings.bootstrap_servers or str(settings.log.resolve())
    what = f"{where}\n{settings.app}\n{settings.topic_prefix}"
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def fetch_limits(settings: Settings) -> FetchLimits:
    """Return what fetching may use."""
    return FetchLimits(
        max_bytes=settings.max_warp_bytes,
        in_flight_bytes=settings.fetch_in_flight_bytes,
        missing_grace_s=settings.missing_grace_s,
        failing_grace_s=settings.failing_grace_s,
        stall_s=settings.storage_stall_s,
    )


def _fetcher(settings: Settings, telemetry: Telemetry) -> Fetcher:
    if settings.brokers and not settings.allow:
        sentence = "strangers write into Kafka, so no warp may be read that is not allowed"
        remedy = "name the folders or buckets that warps lie in"
        raise SettingsError((Problem(("allow",), sentence, remedy),))
    return Fetcher(
        settings.roots,
        landing_folder(settings),
        fetch_limits(settings),
        Hooks(
            on_read=telemetry.storage_read,
            on_fault=partial(tell_fault, telemetry),
            on_trouble=partial(tell_trouble, telemetry),
            on_away=telemetry.storage_away,
        ),
        recall=tuple if settings.brokers else partial(recall, settings.log),
    )


def landing_folder(settings: Settings) -> Path:
    """Return where fetched files lie for the time of their jobs."""
    return settings.spool_folder / "landing"


def spool(settings: Settings) -> Spool | None:
    """Return where decoded planes are kept, or None if they are not to be."""
    if not settings.spool_bytes:
        return None
    side = settings.max_warp_side_px
    files = PlaneFiles(settings.spool_folder / "planes")
    return Spool(files, settings.spool_bytes, laid_bytes((side, side)))


def tell_fault(telemetry: Telemetry, fault: WarpFault) -> None:
    """Count a file that was refused, or that the storage did not give."""
    if fault is WarpFault.FORBIDDEN:
        telemetry.uri_rejected("outside")
    else:
        telemetry.storage_error("read", _STORAGE_FAULTS.get(fault, "other"))


def tell_trouble(telemetry: Telemetry, trouble: StoreTrouble) -> None:
    """Count what a storage did instead of giving a file."""
    telemetry.storage_error("read", trouble.value)
