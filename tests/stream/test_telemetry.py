"""Telemetry: names and labels that dashboards rely on, and series that exist from the start."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from core import Verdict, groups
from schemas import DeadReason
from stream.telemetry import PartitionView, Snapshot, Telemetry
from tests.programs import require_program

NAMES = {
    "ahead_groups",
    "ahead_jobs",
    "ahead_matches_total",
    "assigned_partitions",
    "build_info",
    "consumer_lag_records",
    "dead_letters_total",
    "event_loop_lag_seconds",
    "events_consumed_total",
    "events_total",
    "group_complete_to_publish_seconds",
    "group_first_arrival_to_publish_seconds",
    "group_members_open",
    "group_size_members",
    "groups_completed_total",
    "groups_due",
    "groups_open",
    "groups_sealed",
    "job_attempts_total",
    "job_results_reused_total",
    "job_duration_seconds",
    "jobs_running",
    "last_poll_timestamp_seconds",
    "late_events_total",
    "match_mse_to_variance_ratio",
    "match_sky_chi2",
    "models_published_total",
    "oldest_due_group_age_seconds",
    "oldest_open_group_age_seconds",
    "paused_partitions",
    "producer_fenced_total",
    "ready",
    "rebalances_total",
    "reference_changes_total",
    "state_restore_duration_seconds",
    "state_restored_records_total",
    "storage_away",
    "decodes_total",
    "spool_bytes",
    "storage_errors_total",
    "storage_read_bytes_total",
    "storage_read_duration_seconds",
    "stream_time_seconds",
    "transaction_duration_seconds",
    "transactions_total",
    "uri_rejected_total",
    "verdicts_total",
    "work_backlog_core_seconds",
    "workers_available",
}

Value = Callable[..., float | None]


@pytest.fixture
def telemetry() -> Telemetry:
    """Return telemetry with a registry of its own."""
    return Telemetry(CollectorRegistry())


@pytest.fixture
def value(telemetry: Telemetry) -> Value:
    """Return what reads one sample; None when the series does not exist."""

    def read(name: str, **labels: str) -> float | None:
        return telemetry.registry.get_sample_value(f"evensky_{name}", labels)

    return read


def busy(telemetry: Telemetry) -> None:
    """Move every metric once."""
    telemetry.consumed("warps", 5)
    telemetry.event("accepted", 4)
    telemetry.dead("bad_message")
    telemetry.late("update")
    telemetry.completed("r", "count", members=9)
    telemetry.published("r", "initial", models=8, waited_s=3.0, since_first_s=40.0)
    telemetry.matched("r", ratio=1.01, sky_chi2=1.1)
    telemetry.judged("r", "reject")
    telemetry.reference_changed("cost")
    telemetry.attempt("ok", 0.4)
    telemetry.staged("match", 0.2)
    telemetry.storage_read("file", 1000, 0.1)
    telemetry.storage_error("read", "missing")
    telemetry.storage_away("s3", 1)
    telemetry.decoded("first")
    telemetry.watch_spool(lambda: 1)
    telemetry.uri_rejected("outside")
    telemetry.transaction("publish", "committed", 0.03)
    telemetry.fenced()
    telemetry.rebalanced("assigned", 8)
    telemetry.restored(100, 0.5)
    telemetry.loop_lagged(0.001)
    telemetry.show(Snapshot(groups_due=2, partitions={0: PartitionView(3, 1.7e9)}, ready=True))


def test_names(telemetry: Telemetry) -> None:
    """Every name that was promised is there, and no other."""
    busy(telemetry)
    families = {line.split()[2] for line in text(telemetry).splitlines() if "# TYPE" in line}
    assert families == {f"evensky_{name}" for name in NAMES}


def text(telemetry: Telemetry) -> str:
    """Return the exposition as text."""
    return telemetry.exposition().decode()


@pytest.mark.promtool
def test_promtool_approves(telemetry: Telemetry) -> None:
    """Prometheus' own checker finds nothing to mend."""
    promtool = require_program("promtool", "apt-get install prometheus")
    busy(telemetry)
    done = subprocess.run(  # noqa: S603 - found on the path
        [promtool, "check", "metrics"],
        input=telemetry.exposition(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_zero_from_the_start(value: Value) -> None:
    """Counters with known labels exist before anything has happened."""
    for reason in DeadReason:
        assert value("dead_letters_total", reason=reason) == 0
    for kind in ("ingest", "results", "publish"):
        assert value("transactions_total", kind=kind, outcome="unknown") == 0
    assert value("job_attempts_total", outcome="killed") == 0
    assert value("storage_errors_total", op="read", kind="timeout") == 0


def test_hooks_move_what_they_name(telemetry: Telemetry, value: Value) -> None:
    """Each hook moves its own metric by what it was told."""
    busy(telemetry)
    assert value("events_consumed_total", topic="warps") == 5
    assert value("events_total", outcome="accepted") == 4
    assert value("groups_completed_total", band="r", trigger="count") == 1
    assert value("group_size_members_sum") == 9
    assert value("models_published_total", band="r", kind="initial") == 8
    assert value("group_complete_to_publish_seconds_sum", band="r") == 3
    assert value("group_first_arrival_to_publish_seconds_sum") == 40
    assert value("job_duration_seconds_count", stage="match") == 1
    assert value("storage_read_bytes_total", scheme="file") == 1000
    assert value("rebalances_total", kind="assigned") == 8
    assert value("state_restored_records_total") == 100
    assert value("groups_due") == 2
    assert value("ready") == 1


def test_only_commits_have_a_duration(telemetry: Telemetry, value: Value) -> None:
    """A transaction that timed out says nothing about how long commits take."""
    telemetry.transaction("ingest", "unknown", 60.0)
    assert value("transactions_total", kind="ingest", outcome="unknown") == 1
    assert value("transaction_duration_seconds_count", kind="ingest") == 0


@pytest.mark.parametrize("trigger", list(groups.Trigger))
def test_every_trigger_has_its_name(telemetry: Telemetry, value: Value, trigger: str) -> None:
    """A trigger of the state machine is counted under its own name."""
    telemetry.completed("g", trigger, members=2)
    assert value("groups_completed_total", band="g", trigger=trigger) == 1


@pytest.mark.parametrize("kind", list(groups.Kind))
def test_every_kind_has_its_name(telemetry: Telemetry, value: Value, kind: str) -> None:
    """A kind of revision is counted under its own name."""
    telemetry.published("g", kind, models=1, waited_s=0, since_first_s=0)
    assert value("models_published_total", band="g", kind=kind) == 1


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_its_name(telemetry: Telemetry, value: Value, verdict: str) -> None:
    """A verdict is counted under its own name."""
    telemetry.judged("g", verdict)
    assert value("verdicts_total", band="g", verdict=verdict) == 1


def test_a_band_begins_without_verdicts(telemetry: Telemetry, value: Value) -> None:
    """An increase sees the first rejection of a band: its series stand at 0 from the start."""
    assert value("verdicts_total", band="g", verdict="reject") is None
    telemetry.completed("g", "count", members=2)
    assert [value("verdicts_total", band="g", verdict=one) for one in Verdict] == [0, 0, 0]


def test_foreign_values_are_other(telemetry: Telemetry, value: Value) -> None:
    """A label from outside its set makes no new series."""
    before = len(text(telemetry).splitlines())
    telemetry.event("'; drop table")
    telemetry.uri_rejected("https://example.org/")
    assert value("events_total", outcome="other") == 1
    assert len(text(telemetry).splitlines()) == before


def test_bands_are_bounded(telemetry: Telemetry) -> None:
    """Whoever publishes a thousand bands does not make a thousand series."""
    for number in range(1000):
        telemetry.matched(f"b{number}", ratio=1.0, sky_chi2=1.0)
    assert text(telemetry).count("evensky_match_mse_to_variance_ratio_count") < 20


def test_partitions_come_and_go(telemetry: Telemetry, value: Value) -> None:
    """A partition that went to another copy leaves no stale lag behind."""
    telemetry.show(Snapshot(partitions={0: PartitionView(1, 5.0), 1: PartitionView(2, 6.0)}))
    assert value("assigned_partitions") == 2
    telemetry.show(Snapshot(partitions={1: PartitionView(0, 7.0)}))
    assert value("consumer_lag_records", partition="0") is None
    assert value("stream_time_seconds", partition="1") == 7


def test_pauses_end(telemetry: Telemetry, value: Value) -> None:
    """A reason for a pause that is over goes back to zero."""
    telemetry.show(Snapshot(paused={"backlog": 3}))
    telemetry.show(Snapshot())
    assert value("paused_partitions", reason="backlog") == 0


def test_one_registry_one_telemetry(telemetry: Telemetry) -> None:
    """Two services in one process need two registries, and get them by default."""
    with pytest.raises(ValueError, match="Duplicated"):
        Telemetry(telemetry.registry)
    assert Telemetry().registry is not Telemetry().registry
