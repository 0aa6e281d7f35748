"""What the service tells Prometheus: one registry, handed in, and a hook for each thing told.

Names and labels are a promise to dashboards and alert rules. Counters and histograms are moved by
the hooks as things happen; gauges are set all at once from a `Snapshot`, taken when somebody asks.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase

from core import NUMERICS_VERSION, Verdict, groups
from schemas import DeadReason
from stream.labels import Bands, Labels
from stream.references import ReferenceCause
from stream.spool import Cause

__all__ = ["PartitionView", "Snapshot", "Telemetry"]

# From the first second a series exists with value 0: an alert on an increase cannot see the first
# event of a series that was not there before it.
_OUTCOMES = Labels(
    "accepted",
    "duplicate",
    "superseded",
    "replaced",
    "withdrawn",
    "manifest",
    "closed",
    "sealed",
    "reopened",
    "suspected",
    "tick",
    "dead",
)
_ATTEMPTS = Labels("ok", "error", "timeout", "killed", "cancelled")
_SOURCES = Labels("local", "shared", "memory")
_AHEAD = Labels("used", "discarded")
_STAGES = Labels("job", "decode", "lay", "map", "scale", "measure", "match")
_TRANSACTIONS = Labels("ingest", "results", "publish")
_ENDS = Labels("committed", "aborted", "unknown")
_REBALANCES = Labels("assigned", "revoked", "lost")
_LATE = Labels("update", "replaced", "withdrawn", "dead")
_SCHEMES = Labels("file", "s3")
_OPERATIONS = Labels("read", "stat", "list")
_STORAGE = Labels(
    "missing", "refused", "timeout", "truncated", "checksum", "failed", "full", "away"
)
_AWAY = Labels("file", "s3", "landing")
_URIS = Labels("scheme", "outside", "malformed", "too_large")
_PAUSES = Labels("restoring", "backlog", "draining")
_TOPICS = Labels("warps")
_REASONS = Labels(*DeadReason)
_TRIGGERS = Labels(*groups.Trigger)
_KINDS = Labels(*groups.Kind)
_VERDICTS = Labels(*Verdict)
_CAUSES = Labels(*ReferenceCause)
_DECODES = Labels(*Cause)

_WAIT = (5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400)
_JOB = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200)
_TRANSACTION = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_RESTORE = (0.1, 0.3, 1, 3, 10, 30, 100, 300)
_READ = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_SIZE = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
_RATIO = (0.1, 0.5, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.2, 1.5, 2, 5, 10)
_CHI2 = (0.1, 0.2, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100)


@dataclass(frozen=True, slots=True)
class PartitionView:
    """What the gauges show of one owned partition.

    Attributes
    ----------
    lag_records : int
        Records that can be read and have not been: last stable offset minus position.
    stream_time_s : float
        The partition's clock, seconds since 1970.
    """

    lag_records: int
    stream_time_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The service at one moment, for the gauges.

    Attributes
    ----------
    groups_open, groups_due : int
        Groups that gather members; groups that are complete and not yet published.
    groups_sealed : int
        Groups whose history has ended and of which nothing is due.
    members_open : int
        Warps in open groups.
    oldest_open_s, oldest_due_s : float
        Age of the oldest of each, seconds; 0 when there is none.
    ahead_groups, ahead_jobs : int
        Groups that are worked on before they are due, and jobs asked for them.
    jobs_running, workers_available : int
    backlog_core_s : float
        Core-seconds of due work not done yet.
    partitions : mapping of int to PartitionView
        The owned ones.
    paused : mapping of str to int
        Paused partitions by reason.
    last_poll_s : float
        When the log was last polled, seconds since 1970; 0 before the first time.
    ready : bool
    """

    groups_open: int = 0
    groups_due: int = 0
    groups_sealed: int = 0
    members_open: int = 0
    oldest_open_s: float = 0.0
    oldest_due_s: float = 0.0
    ahead_groups: int = 0
    ahead_jobs: int = 0
    jobs_running: int = 0
    workers_available: int = 0
    backlog_core_s: float = 0.0
    partitions: Mapping[int, PartitionView] = field(default_factory=dict)
    paused: Mapping[str, int] = field(default_factory=dict)
    last_poll_s: float = 0.0
    ready: bool = False


class Telemetry:
    """Every metric of the service.

    Parameters
    ----------
    registry : CollectorRegistry, optional
        Where the metrics are registered; one registry holds one `Telemetry`.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        # Else each series is doubled by one that holds its birthday.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library forgot its return type
        self._bands = Bands()
        self._judged_bands: set[str] = set()
        self._partitions: frozenset[int] = frozenset()
        self._make_flow()
        self._make_compute()
        self._make_log()
        self._make_gauges()
        self._start_at_zero()

    # -- hooks: events and groups ------------------------------------------------------------------

    def consumed(self, topic: str, records: int = 1) -> None:
        """Count records read from a topic; `topic` is its name without the prefix."""
        self._consumed.labels(_TOPICS(topic)).inc(records)

    def event(self, outcome: str, count: int = 1) -> None:
        """Count what became of events."""
        self._events.labels(_OUTCOMES(outcome)).inc(count)

    def dead(self, reason: str, count: int = 1) -> None:
        """Count records sent to the dead letters."""
        self._dead.labels(_REASONS(reason)).inc(count)

    def late(self, action: str, count: int = 1) -> None:
        """Count events for groups that were published already, by what they led to."""
        self._late.labels(_LATE(action)).inc(count)

    def completed(self, band: str, trigger: str, members: int) -> None:
        """Tell that a group's members were frozen."""
        self._completed.labels(self._band(band), _TRIGGERS(trigger)).inc()
        self._members.observe(members)

    def published(
        self, band: str, kind: str, *, models: int, waited_s: float, since_first_s: float
    ) -> None:
        """Tell that a revision is out.

        Parameters
        ----------
        band, kind : str
        models : int
            Models in this revision.
        waited_s, since_first_s : float
            Seconds from completion, and from the first arrival, to the commit.
        """
        label = self._band(band)
        self._models.labels(label, _KINDS(kind)).inc(models)
        self._complete_to_publish.labels(label).observe(waited_s)
        self._first_to_publish.observe(since_first_s)

    def matched(self, band: str, *, ratio: float | None, sky_chi2: float | None) -> None:
        """Tell the quality of one model.

        Parameters
        ----------
        band : str
        ratio : float or None
            Mean square of what the match leaves over the variance expected of it.
        sky_chi2 : float or None
            Structure left in the sky over its noise.
        """
        for histogram, value in ((self._ratio, ratio), (self._sky_chi2, sky_chi2)):
            if value is not None:
                histogram.labels(self._band(band)).observe(value)

    def judged(self, band: str, verdict: str, models: int = 1) -> None:
        """Count the verdict on published models of matches."""
        self._verdicts.labels(self._band(band), _VERDICTS(verdict)).inc(models)

    def reference_changed(self, cause: str) -> None:
        """Count a revision whose reference is another than in the one before, by why."""
        self._references.labels(_CAUSES(cause)).inc()

    # -- hooks: jobs and pixels --------------------------------------------------------------------

    def attempt(self, outcome: str, seconds: float) -> None:
        """Tell that a job's attempt ended, how, and how long it took."""
        self._attempts.labels(_ATTEMPTS(outcome)).inc()
        self.staged("job", seconds)

    def staged(self, stage: str, seconds: float) -> None:
        """Tell what a job spent in one of its stages; the stage ``job`` is the whole of it."""
        self._job_seconds.labels(_STAGES(stage)).observe(seconds)

    def reused(self, source: str) -> None:
        """Count a result that was found instead of computed, by where it was kept."""
        self._reused.labels(_SOURCES(source)).inc()

    def decoded(self, cause: str) -> None:
        """Count a warp that was decoded, by why it had to be."""
        self._decodes.labels(_DECODES(cause)).inc()

    def watch_spool(self, size: Callable[[], int]) -> None:
        """Ask for the bytes of the spool whenever somebody looks."""
        self._spool_bytes.set_function(size)

    def ahead(self, outcome: str, matches: int) -> None:
        """Tell that matches made ahead were used, or were of no use in the end."""
        self._ahead.labels(_AHEAD(outcome)).inc(matches)

    def storage_read(self, scheme: str, size: int, seconds: float) -> None:
        """Tell that a warp's bytes were read."""
        self._read_bytes.labels(_SCHEMES(scheme)).inc(size)
        self._read_seconds.labels(_SCHEMES(scheme)).observe(seconds)

    def storage_error(self, operation: str, kind: str) -> None:
        """Count a failure of the storage."""
        self._storage_errors.labels(_OPERATIONS(operation), _STORAGE(kind)).inc()

    def storage_away(self, scheme: str, change: int) -> None:
        """Tell that a storage went away (1), or is back (-1)."""
        self._storage_away.labels(_AWAY(scheme)).inc(change)

    def uri_rejected(self, reason: str) -> None:
        """Count a URI that we do not follow."""
        self._uris.labels(_URIS(reason)).inc()

    # -- hooks: the log ----------------------------------------------------------------------------

    def transaction(self, kind: str, outcome: str, seconds: float) -> None:
        """Tell that a transaction ended; only committed ones have a duration worth showing."""
        self._transactions.labels(_TRANSACTIONS(kind), _ENDS(outcome)).inc()
        if outcome == "committed":
            self._transaction_seconds.labels(_TRANSACTIONS(kind)).observe(seconds)

    def fenced(self) -> None:
        """Count a producer that a later owner shut out."""
        self._fenced.inc()

    def rebalanced(self, kind: str, partitions: int = 1) -> None:
        """Count partitions that came or went."""
        self._rebalances.labels(_REBALANCES(kind)).inc(partitions)

    def restored(self, records: int, seconds: float) -> None:
        """Tell that a partition's state was read back."""
        self._restored.inc(records)
        self._restore_seconds.observe(seconds)

    def loop_lagged(self, seconds: float) -> None:
        """Tell by how much the event loop was late for an appointment with itself."""
        self._loop_lag.observe(seconds)

    # -- what is asked for -------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        """Set every gauge; partitions that are no longer ours lose their series."""
        self._groups_open.set(snapshot.groups_open)
        self._groups_due.set(snapshot.groups_due)
        self._groups_sealed.set(snapshot.groups_sealed)
        self._members_open.set(snapshot.members_open)
        self._oldest_open.set(snapshot.oldest_open_s)
        self._oldest_due.set(snapshot.oldest_due_s)
        self._ahead_groups.set(snapshot.ahead_groups)
        self._ahead_jobs.set(snapshot.ahead_jobs)
        self._jobs_running.set(snapshot.jobs_running)
        self._workers.set(snapshot.workers_available)
        self._backlog.set(snapshot.backlog_core_s)
        self._last_poll.set(snapshot.last_poll_s)
        self._ready.set(snapshot.ready)
        for reason in _PAUSES.all:
            self._paused.labels(reason).set(snapshot.paused.get(reason, 0))
        self._show_partitions(snapshot.partitions)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _show_partitions(self, partitions: Mapping[int, PartitionView]) -> None:
        self._assigned.set(len(partitions))
        for gone in self._partitions - partitions.keys():
            self._lag.remove(str(gone))
            self._stream_time.remove(str(gone))
        for partition, view in partitions.items():
            self._lag.labels(str(partition)).set(view.lag_records)
            self._stream_time.labels(str(partition)).set(view.stream_time_s)
        self._partitions = frozenset(partitions)

    # -- the metrics themselves --------------------------------------------------------------------

    def _band(self, band: str) -> str:
        """Return the band's label; its verdicts are at 0 from the first time that it turns up."""
        label = self._bands(band)
        if label not in self._judged_bands:
            self._judged_bands.add(label)
            for verdict in _VERDICTS.all:
                self._verdicts.labels(label, verdict)
        return label

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"evensky_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"evensky_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Iterable[float], *labels: str) -> Histogram:
        return Histogram(
            f"evensky_{name}", text, labels, registry=self.registry, buckets=tuple(buckets)
        )

    def _make_flow(self) -> None:
        self._consumed = self._counter("events_consumed", "Records read.", "topic")
        self._events = self._counter("events", "Events by what became of them.", "outcome")
        self._dead = self._counter("dead_letters", "Records that could not be used.", "reason")
        self._late = self._counter("late_events", "Events for published groups.", "action")
        self._completed = self._counter(
            "groups_completed", "Groups whose members were frozen.", "band", "trigger"
        )
        self._models = self._counter("models_published", "Models published.", "band", "kind")
        self._members = self._histogram(
            "group_size_members", "Members of a group when it was complete.", _SIZE
        )
        self._complete_to_publish = self._histogram(
            "group_complete_to_publish_seconds", "From completion to commit.", _WAIT, "band"
        )
        self._first_to_publish = self._histogram(
            "group_first_arrival_to_publish_seconds", "From first arrival to commit.", _WAIT
        )
        self._ratio = self._histogram(
            "match_mse_to_variance_ratio", "Mean square over variance.", _RATIO, "band"
        )
        self._sky_chi2 = self._histogram(
            "match_sky_chi2", "Structure left in the sky over its noise.", _CHI2, "band"
        )
        self._verdicts = self._counter(
            "verdicts", "Matched models by their verdict.", "band", "verdict"
        )

        self._references = self._counter(
            "reference_changes", "Revisions with another reference, by why.", "cause"
        )

    def _make_compute(self) -> None:
        self._attempts = self._counter("job_attempts", "Attempts of jobs by their end.", "outcome")
        self._reused = self._counter(
            "job_results_reused", "Results that were found instead of computed.", "source"
        )
        self._ahead = self._counter(
            "ahead_matches", "Matches made before they were due, by their use.", "outcome"
        )
        self._job_seconds = self._histogram(
            "job_duration_seconds", "Duration of a job's attempt and its stages.", _JOB, "stage"
        )
        self._decodes = self._counter("decodes", "Warps decoded, by why.", "cause")
        self._spool_bytes = self._gauge("spool_bytes", "Decoded warps kept for the workers.")
        self._read_bytes = self._counter("storage_read_bytes", "Bytes of warps read.", "scheme")
        self._read_seconds = self._histogram(
            "storage_read_duration_seconds", "Duration of reading a warp.", _READ, "scheme"
        )
        self._storage_errors = self._counter(
            "storage_errors", "Failures of the storage.", "op", "kind"
        )
        self._storage_away = self._gauge("storage_away", "Storages that are away.", "scheme")
        self._uris = self._counter("uri_rejected", "URIs that are not followed.", "reason")

    def _make_log(self) -> None:
        self._transactions = self._counter(
            "transactions", "Transactions by their end.", "kind", "outcome"
        )
        self._transaction_seconds = self._histogram(
            "transaction_duration_seconds", "Duration of a commit.", _TRANSACTION, "kind"
        )
        self._fenced = self._counter("producer_fenced", "Producers shut out by a later owner.")
        self._rebalances = self._counter("rebalances", "Partitions that came or went.", "kind")
        self._restored = self._counter("state_restored_records", "Changelog records read back.")
        self._restore_seconds = self._histogram(
            "state_restore_duration_seconds", "Duration of reading a partition back.", _RESTORE
        )
        self._loop_lag = self._histogram(
            "event_loop_lag_seconds", "Lateness of the event loop.", _TRANSACTION
        )

    def _make_gauges(self) -> None:
        self._groups_open = self._gauge("groups_open", "Groups that gather members.")
        self._groups_due = self._gauge("groups_due", "Complete groups not yet published.")
        self._groups_sealed = self._gauge("groups_sealed", "Groups whose history has ended.")
        self._members_open = self._gauge("group_members_open", "Warps in open groups.")
        self._oldest_open = self._gauge("oldest_open_group_age_seconds", "Oldest open group.")
        self._oldest_due = self._gauge("oldest_due_group_age_seconds", "Oldest due group.")
        self._ahead_groups = self._gauge("ahead_groups", "Groups worked on before they are due.")
        self._ahead_jobs = self._gauge("ahead_jobs", "Jobs asked for before they are due.")
        self._jobs_running = self._gauge("jobs_running", "Jobs in the workers.")
        self._workers = self._gauge("workers_available", "Workers alive.")
        self._backlog = self._gauge("work_backlog_core_seconds", "Due work not done.")
        self._assigned = self._gauge("assigned_partitions", "Partitions owned.")
        self._paused = self._gauge("paused_partitions", "Partitions paused.", "reason")
        self._lag = self._gauge("consumer_lag_records", "Records not read yet.", "partition")
        self._stream_time = self._gauge("stream_time_seconds", "Partition clock.", "partition")
        self._last_poll = self._gauge("last_poll_timestamp_seconds", "Last poll of the log.")
        self._ready = self._gauge("ready", "Whether the service is ready.")
        build = self._gauge("build_info", "What runs.", "version", "python", "numerics")
        build.labels(version("evensky"), platform.python_version(), NUMERICS_VERSION).set(1)

    def _start_at_zero(self) -> None:
        single: tuple[tuple[MetricWrapperBase, Labels], ...] = (
            (self._consumed, _TOPICS),
            (self._events, _OUTCOMES),
            (self._dead, _REASONS),
            (self._late, _LATE),
            (self._references, _CAUSES),
            (self._attempts, _ATTEMPTS),
            (self._job_seconds, _STAGES),
            (self._reused, _SOURCES),
            (self._decodes, _DECODES),
            (self._ahead, _AHEAD),
            (self._read_bytes, _SCHEMES),
            (self._read_seconds, _SCHEMES),
            (self._storage_away, _AWAY),
            (self._uris, _URIS),
            (self._transaction_seconds, _TRANSACTIONS),
            (self._rebalances, _REBALANCES),
            (self._paused, _PAUSES),
        )
        for metric, labels in single:
            for value in labels.all:
                metric.labels(value)
        for kind in _TRANSACTIONS.all:
            for end in _ENDS.all:
                self._transactions.labels(kind, end)
        for operation in _OPERATIONS.all:
            for fault in _STORAGE.all:
                self._storage_errors.labels(operation, fault)
