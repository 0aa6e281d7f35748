"""Settings into objects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ops.store.server import KEYS, Server
from stream import jobs
from stream.configure import load_settings
from stream.faults import StoreTrouble, WarpError, WarpFault
from stream.jobs import Measured
from stream.log.embedded import EmbeddedOwner, EmbeddedPublisher
from stream.log.kafka import KafkaOwner, KafkaPublisher, KafkaReader
from stream.log.seam import LogRefusedError
from stream.machine import Machine
from stream.planes import Errand
from stream.pool import AttemptRecord
from stream.roots import remember
from stream.settings import Settings, SettingsError
from stream.spool import Cause
from stream.suspects import Watch
from stream.telemetry import Telemetry
from stream.wiring import (
    TellingPool,
    assemble_service,
    decode_limits,
    kafka_settings,
    kept_results,
    owner_log,
    publisher_log,
    reader_log,
    slots,
    spool,
    tell_fault,
    tell_trouble,
    watched,
    worker_pool,
)
from tests.schemas import examples
from tests.stream.fetch.fetching import fetched
from tests.stream.night import FAST

BROKERS = "localhost:9092,other:9093"


def _settings(**options: Any) -> Settings:
    return load_settings({"workers": 2} | options, environment={}, machine=Machine(4, 2**34))


def test_the_log_that_is_meant(tmp_path: Path) -> None:
    """Brokers mean Kafka, their absence the embedded log, for each of its three users."""
    file, brokers = _settings(log=tmp_path / "a.db"), _settings(bootstrap_servers=BROKERS)
    assert isinstance(owner_log(file), EmbeddedOwner)
    assert isinstance(publisher_log(file), EmbeddedPublisher)
    assert isinstance(owner_log(brokers), KafkaOwner)
    assert isinstance(publisher_log(brokers), KafkaPublisher)
    assert isinstance(reader_log(brokers), KafkaReader)


def test_a_log_to_read_must_be_there(tmp_path: Path) -> None:
    """Reading makes no log: a name that was mistyped is told."""
    with pytest.raises(LogRefusedError, match="no log"):
        reader_log(_settings(log=tmp_path / "none.db"))
    assert list(tmp_path.iterdir()) == []


async def test_strangers_need_an_allow_list(tmp_path: Path) -> None:
    """On Kafka nothing is read that is not allowed; beside a file its announcers are trusted."""
    with pytest.raises(SettingsError, match="allow"):
        assemble_service(_settings(bootstrap_servers=BROKERS))
    remember(tmp_path / "a.db", [tmp_path / "announced"])
    (tmp_path / "announced").mkdir()
    (tmp_path / "announced" / "warp").write_bytes(b"pixels")
    wanted = str(tmp_path / "announced" / "warp")
    (tmp_path / "allowed").mkdir()
    file = assemble_service(_settings(log=tmp_path / "a.db", allow=(tmp_path / "allowed",)))
    assert await fetched(file.fetcher, wanted) == b"pixels"
    kafka = assemble_service(_settings(bootstrap_servers=BROKERS, allow=(tmp_path / "allowed",)))
    with pytest.raises(WarpError, match="no allowed root"):
        await fetched(kafka.fetcher, wanted)
    await kafka.fetcher.close()
    await file.fetcher.close()


async def test_owners_follow_the_settings(tmp_path: Path) -> None:
    """Policies by campaign and the state's format come to whoever owns a partition."""
    rules = [{"campaign": "dr1", "quorum": 9}]
    given = {"state_format": "1", "max_due_groups": 5, "accept_loss": "3:120, 5:7"}
    settings = _settings(log=tmp_path / "a.db", policies=rules, **given)
    assembly = assemble_service(settings)
    shared = assembly.service._shared  # noqa: SLF001 - what owners get is shown nowhere else
    assert shared.accepted_losses == {3: 120, 5: 7}
    quorums = [shared.policy_for(f"{name}/s/1/2/r").quorum for name in ("dr1", "live")]
    assert (quorums, shared.state_format, shared.max_due_groups) == ([9, 3], 1, 5)
    assert shared.enough_members >= 8 * settings.workers
    await assembly.fetcher.close()


@pytest.mark.parametrize("grace", [1.0, 10.0, 120.0, 3600.0])
def test_kafka_is_given_times_that_fit(grace: float) -> None:
    """A poll may take as long as we wait for brokers, and a session ends before we give up."""
    found = kafka_settings(_settings(bootstrap_servers=BROKERS, broker_grace_s=grace))
    assert found.bootstrap_servers == BROKERS
    assert found.max_poll_interval_ms > grace * 1000
    assert found.session_timeout_ms < grace * 1000
    assert found.rebalance_timeout_ms >= found.session_timeout_ms


def test_bounds_of_a_worker(tmp_path: Path) -> None:
    """A worker decodes no more than the settings say, and each always has a job in reach."""
    settings = _settings(log=tmp_path / "a.db", max_warp_side_px=100)
    limits = decode_limits(settings)
    assert (limits.max_side, limits.max_pixels) == (100, 10_000)
    assert slots(settings) > settings.workers


@pytest.mark.parametrize(
    ("fault", "series"),
    [
        (WarpFault.FORBIDDEN, 'evensky_uri_rejected_total{reason="outside"}'),
        (WarpFault.MISSING, 'evensky_storage_errors_total{kind="missing",op="read"}'),
        (WarpFault.CHECKSUM, 'evensky_storage_errors_total{kind="checksum",op="read"}'),
        (WarpFault.UNREADABLE, 'evensky_storage_errors_total{kind="refused",op="read"}'),
        (WarpFault.INTERNAL, 'evensky_storage_errors_total{kind="other",op="read"}'),
    ],
)
def test_each_fault_has_its_series(fault: WarpFault, series: str) -> None:
    """A fault of the storage is counted once, under its own name."""
    telemetry = Telemetry()
    tell_fault(telemetry, fault)
    assert f"{series} 1.0" in telemetry.exposition().decode()


@pytest.mark.parametrize("trouble", StoreTrouble)
def test_each_trouble_has_its_series(trouble: StoreTrouble) -> None:
    """What a storage does is counted once, under its own name."""
    telemetry = Telemetry()
    tell_trouble(telemetry, trouble)
    series = f'evensky_storage_errors_total{{kind="{trouble.value}",op="read"}}'
    assert f"{series} 1.0" in telemetry.exposition().decode()


async def test_buckets_are_read_too(s3: Server, tmp_path: Path, monkeypatch: Any) -> None:
    """A bucket that the settings allow is read with the environment's keys, and told as S3."""
    s3.put("wired/warp", b"pixels")
    for variable, value in {**KEYS, "AWS_ENDPOINT_URL": s3.address}.items():
        monkeypatch.setenv(variable, value)
    assembly = assemble_service(
        _settings(log=tmp_path / "a.db", allow=("s3://sky/wired", str(tmp_path)))
    )
    assert await fetched(assembly.fetcher, "s3://sky/wired/warp") == b"pixels"
    assert (tmp_path / "a.db.local" / "spool" / "landing").is_dir()
    await assembly.fetcher.close()
    text = assembly.telemetry.exposition().decode()
    assert 'evensky_storage_read_bytes_total{scheme="s3"} 6.0' in text


class _Pool:
    """A pool whose jobs have what was given for an answer."""

    async def run(self, function: Any, /, *_: object) -> Any:
        """Answer."""
        return function()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            jobs.Measured(1, "", 0.0, 0.0, 0.0, (1, 1), (0, 0), {"decode": 0.5, "measure": 0.25}),
            {"decode": 0.5, "measure": 0.25},
        ),
        (jobs.JobFault(1, "missing", "gone"), {}),
        ("something else", {}),
    ],
)
async def test_stages_of_jobs_are_told(answer: Any, told: dict[str, float]) -> None:
    """Each stage that a job went through is observed once, and its answer handed on."""
    telemetry = Telemetry()
    assert await TellingPool(_Pool(), telemetry).run(lambda: answer) == answer
    for stage in ("job", "decode", "scale", "measure", "match"):
        name = "evensky_job_duration_seconds"
        labels = {"stage": stage}
        count = telemetry.registry.get_sample_value(f"{name}_count", labels)
        total = telemetry.registry.get_sample_value(f"{name}_sum", labels)
        assert (count, total) == ((1.0, told[stage]) if stage in told else (0.0, 0.0))


_FILE = jobs.WarpInput(1, "", b"file")
_LAID = jobs.WarpInput(2, "", b"", planes="/spool/2")


@pytest.mark.parametrize(
    ("warps", "attempt", "retries"),
    [
        ((_FILE,), 1, 0),
        ((_FILE,), 2, 1),
        ((_FILE,), 3, 1),
        ((_LAID,), 2, 0),
        ((_LAID, _LAID), 2, 0),
        ((_LAID, _FILE), 2, 1),
        ((_FILE, _FILE), 2, 2),
        ((_FILE, _FILE), 1, 0),
    ],
)
def test_a_warp_decoded_again_for_a_dead_worker_is_counted(
    tmp_path: Path, warps: tuple[jobs.WarpInput, ...], attempt: int, retries: int
) -> None:
    """Each try of a job beyond its first decodes anew what the spool does not have."""
    telemetry = Telemetry()
    pool = worker_pool(_settings(log=tmp_path / "a.db"), telemetry)
    record = AttemptRecord("match", attempt, "ok", 0.0, 0.1, (*warps, "config", "limits"))
    pool._on_attempt(record)  # noqa: SLF001 - no worker needed
    assert decodes(telemetry, "retry") == retries
    assert sum(decodes(telemetry, cause) for cause in Cause) == retries


def decodes(telemetry: Telemetry, cause: str) -> float:
    """Return how many decodes were counted with a cause."""
    found = telemetry.registry.get_sample_value("evensky_decodes_total", {"cause": cause})
    return found or 0.0


async def test_the_service_has_the_spool_of_its_settings(tmp_path: Path) -> None:
    """It lies where they say, its bytes and each decode are counted, and nothing is left."""
    (tmp_path / "warp").write_bytes(b"pixels")
    options = {"spool_dir": tmp_path / "scratch", "allow": (tmp_path,)}
    assembly = assemble_service(_settings(log=tmp_path / "a.db", **options))
    arrival = msgspec.structs.replace(
        examples.arrived(),
        uri=str(tmp_path / "warp"),
        checksum=sha256(b"pixels").hexdigest(),
        size=6,
    )
    planes = assembly.service._shared.workshop._runner._planes  # noqa: SLF001 - shown nowhere else
    looked = list[str]()

    async def do(_job: Any, _arrivals: Any, inputs: Sequence[jobs.WarpInput]) -> Any:
        (one,) = inputs
        path = one.planes
        if path is None:
            assert one.place is not None
            path = one.place.path
            await asyncio.to_thread(Path(path).write_bytes, b"planes")
        looked.append(path)
        return jobs.Measured(1, "", 0.0, 0.0, 0.0, (1, 1), (0, 0), {})

    for _ in range(2):
        await planes.run(Errand.of(do, jobs.measure, [arrival]))
    assert looked[0] == looked[1]
    assert Path(looked[0]).is_relative_to(tmp_path / "scratch" / "planes")
    assert sum(decodes(assembly.telemetry, cause) for cause in Cause) == 1
    assert decodes(assembly.telemetry, "first") == 1
    assert assembly.telemetry.registry.get_sample_value("evensky_spool_bytes") == len(b"planes")
    assert assembly.spool is not None
    await assembly.fetcher.close()
    await assembly.spool.close()
    assert [path for path in (tmp_path / "scratch").rglob("*") if not path.is_dir()] == []


def test_a_spool_of_no_bytes_is_none(tmp_path: Path) -> None:
    """Then each job decodes what it needs."""
    assert spool(_settings(log=tmp_path / "a.db", spool_bytes=0)) is None


def files_named(folder: Path, name: str) -> int:
    """Return how many files of a name there are."""
    return len([*folder.rglob(name)])


async def test_results_are_kept_where_the_settings_say(tmp_path: Path) -> None:
    """On this host, with other copies, both or nowhere; what is near is asked first."""
    log = tmp_path / "a.db"
    shared = {"results_shared": str(tmp_path / "shared")}
    warp, result = examples.arrived(), Measured(1, "ab" * 32, 1.0, 2.0, 3.0, (4, 5), (6, 7))
    kept: dict[str, tuple[list[str], int]] = {}
    for options in ({}, shared, {"results_max_bytes": 0}, {"results_max_bytes": 0, **shared}):
        told: list[str] = []
        results = kept_results(_settings(log=log, **options))
        name = f"{len(kept):064x}"
        await results.keep(name, result)
        await results.close()
        again = kept_results(_settings(log=log, **options), told.append)
        await again.find(name, [warp])
        await again.close()
        kept[name] = (told, files_named(tmp_path, name))
    assert list(kept.values()) == [(["local"], 1), (["local"], 2), ([], 0), (["shared"], 1)]


async def test_a_killed_service_is_found_by_its_next_start(tmp_path: Path) -> None:
    """What is written down is found by those who work for the same, and by nobody else."""
    one = _settings(log=tmp_path / "a.db", local_dir=tmp_path / "local")
    other = _settings(log=tmp_path / "b.db", local_dir=tmp_path / "local")
    async with watched(one, Watch(lambda _: FAST, time.time)):
        (file,) = (tmp_path / "local").iterdir()
        left = file.with_name(f"{file.name}-left")
        left.write_bytes(b"")
    assert not file.exists()
    async with watched(other, Watch(lambda _: FAST, time.time)):
        assert left.exists()
    async with watched(one, Watch(lambda _: FAST, time.time)):
        assert not left.exists()
