"""Each hook moves its own series by what it was told, and nothing else at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import Verdict, groups
from schemas import DeadReason
from stream.references import ReferenceCause
from stream.spool import Cause
from stream.telemetry import PartitionView, Snapshot, Telemetry

Series = tuple[str, frozenset[tuple[str, str]]]
Hook = Callable[[Telemetry], None]


def samples(telemetry: Telemetry) -> dict[Series, float]:
    """Return every sample but the buckets of histograms, whose sum and count say enough here."""
    return {
        (sample.name.removeprefix("evensky_"), frozenset(sample.labels.items())): sample.value
        for family in telemetry.registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


def moved(telemetry: Telemetry, hook: Hook) -> dict[Series, float]:
    """Return by how much each series moved; one that was not there counts from zero."""
    before = samples(telemetry)
    hook(telemetry)
    after = samples(telemetry)
    apart = {series: value - before.get(series, 0.0) for series, value in after.items()}
    return {series: by for series, by in apart.items() if by}


def of(name: str, **labels: str) -> Series:
    """Return the name of one series."""
    return name, frozenset(labels.items())


def timed(name: str, seconds: float, **labels: str) -> dict[Series, float]:
    """Return how a histogram moves by one observation."""
    return {of(f"{name}_sum", **labels): seconds, of(f"{name}_count", **labels): 1.0}


HOOKS: Mapping[str, tuple[Hook, dict[Series, float]]] = {
    "consumed": (
        lambda t: t.consumed("warps", 5),
        {of("events_consumed_total", topic="warps"): 5},
    ),
    "consumed once": (
        lambda t: t.consumed("warps"),
        {of("events_consumed_total", topic="warps"): 1},
    ),
    "event": (
        lambda t: t.event("replaced", 2),
        {of("events_total", outcome="replaced"): 2},
    ),
    "dead": (
        lambda t: t.dead("misrouted", 3),
        {of("dead_letters_total", reason="misrouted"): 3},
    ),
    "late": (
        lambda t: t.late("withdrawn"),
        {of("late_events_total", action="withdrawn"): 1},
    ),
    "reference_changed": (
        lambda t: t.reference_changed("withdrawn"),
        {of("reference_changes_total", cause="withdrawn"): 1},
    ),
    "completed": (
        lambda t: t.completed("r", "quiet", members=9),
        {
            of("groups_completed_total", band="r", trigger="quiet"): 1,
            **timed("group_size_members", 9),
        },
    ),
    "published": (
        lambda t: t.published("i", "update", models=8, waited_s=3.0, since_first_s=40.0),
        {
            of("models_published_total", band="i", kind="update"): 8,
            **timed("group_complete_to_publish_seconds", 3, band="i"),
            **timed("group_first_arrival_to_publish_seconds", 40),
        },
    ),
    "matched": (
        lambda t: t.matched("z", ratio=1.25, sky_chi2=2.5),
        {
            **timed("match_mse_to_variance_ratio", 1.25, band="z"),
            **timed("match_sky_chi2", 2.5, band="z"),
        },
    ),
    "matched without quality": (
        lambda t: t.matched("z", ratio=1.25, sky_chi2=None),
        timed("match_mse_to_variance_ratio", 1.25, band="z"),
    ),
    "matched without a ratio": (
        lambda t: t.matched("z", ratio=None, sky_chi2=0.75),
        timed("match_sky_chi2", 0.75, band="z"),
    ),
    "judged": (
        lambda t: t.judged("z", "reject", 3),
        {of("verdicts_total", band="z", verdict="reject"): 3},
    ),
    "attempt": (
        lambda t: t.attempt("timeout", 0.5),
        {
            of("job_attempts_total", outcome="timeout"): 1,
            **timed("job_duration_seconds", 0.5, stage="job"),
        },
    ),
    "reused": (
        lambda t: t.reused("shared"),
        {of("job_results_reused_total", source="shared"): 1},
    ),
    "ahead": (
        lambda t: t.ahead("discarded", 3),
        {of("ahead_matches_total", outcome="discarded"): 3},
    ),
    "staged": (
        lambda t: t.staged("decode", 0.25),
        timed("job_duration_seconds", 0.25, stage="decode"),
    ),
    "storage_read": (
        lambda t: t.storage_read("s3", 1000, 0.25),
        {
            of("storage_read_bytes_total", scheme="s3"): 1000,
            **timed("storage_read_duration_seconds", 0.25, scheme="s3"),
        },
    ),
    "storage_error": (
        lambda t: t.storage_error("stat", "refused"),
        {of("storage_errors_total", op="stat", kind="refused"): 1},
    ),
    "decoded": (lambda t: t.decoded("evicted"), {of("decodes_total", cause="evicted"): 1}),
    "storage_away": (lambda t: t.storage_away("s3", 2), {of("storage_away", scheme="s3"): 2}),
    "uri_rejected": (
        lambda t: t.uri_rejected("outside"),
        {of("uri_rejected_total", reason="outside"): 1},
    ),
    "transaction": (
        lambda t: t.transaction("results", "committed", 0.03125),
        {
            of("transactions_total", kind="results", outcome="committed"): 1,
            **timed("transaction_duration_seconds", 0.03125, kind="results"),
        },
    ),
    "aborted": (
        lambda t: t.transaction("results", "aborted", 7.0),
        {of("transactions_total", kind="results", outcome="aborted"): 1},
    ),
    "fenced": (lambda t: t.fenced(), {of("producer_fenced_total"): 1}),
    "rebalanced": (
        lambda t: t.rebalanced("lost", 4),
        {of("rebalances_total", kind="lost"): 4},
    ),
    "restored": (
        lambda t: t.restored(100, 0.5),
        {of("state_restored_records_total"): 100, **timed("state_restore_duration_seconds", 0.5)},
    ),
    "loop_lagged": (lambda t: t.loop_lagged(0.125), timed("event_loop_lag_seconds", 0.125)),
}


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_moves_its_own_series_alone(name: str) -> None:
    """What a hook was told stands in its series, twice told is twice, and no other series moves."""
    hook, expected = HOOKS[name]
    telemetry = Telemetry()
    assert moved(telemetry, hook) == expected
    assert moved(telemetry, hook) == expected


def test_every_hook_is_held_to_that() -> None:
    """The table above leaves out no hook."""
    public = {name for name, value in vars(Telemetry).items() if callable(value)}
    hooks = {name for name in public if not name.startswith("_")} - {"show", "exposition"}
    hooks -= {"watch_spool"}  # it is asked, not told
    assert hooks <= {name.split()[0] for name in HOOKS} | {"aborted"}


def test_the_spool_is_asked_whenever_somebody_looks() -> None:
    """Its gauge is what it has then."""
    telemetry, sizes = Telemetry(), iter((7, 9))
    telemetry.watch_spool(lambda: next(sizes))
    for size in (7, 9):
        assert samples(telemetry)[of("spool_bytes")] == size


LABELS: Mapping[str, tuple[Callable[[Telemetry, str], None], str, tuple[str, ...]]] = {
    "consumed": (lambda t, v: t.consumed(v), "topic", ("warps",)),
    "event": (
        lambda t, v: t.event(v),
        "outcome",
        ("accepted", "duplicate", "superseded", "replaced", "withdrawn", "manifest", "closed",
         "sealed", "reopened", "suspected", "tick", "dead"),
    ),
    "dead": (lambda t, v: t.dead(v), "reason", tuple(DeadReason)),
    "late": (lambda t, v: t.late(v), "action", ("update", "replaced", "withdrawn", "dead")),
    "cause": (lambda t, v: t.reference_changed(v), "cause", tuple(ReferenceCause)),
    "trigger": (lambda t, v: t.completed("r", v, 1), "trigger", tuple(groups.Trigger)),
    "kind": (
        lambda t, v: t.published("r", v, models=1, waited_s=1, since_first_s=1),
        "kind",
        tuple(groups.Kind),
    ),
    "verdict": (lambda t, v: t.judged("r", v), "verdict", tuple(Verdict)),
    "attempt": (
        lambda t, v: t.attempt(v, 1),
        "outcome",
        ("ok", "error", "timeout", "killed", "cancelled"),
    ),
    "reused": (lambda t, v: t.reused(v), "source", ("local", "shared")),
    "stage": (
        lambda t, v: t.staged(v, 1),
        "stage",
        ("job", "decode", "lay", "map", "scale", "measure", "match"),
    ),
    "scheme": (lambda t, v: t.storage_read(v, 1, 1), "scheme", ("file", "s3")),
    "decoded": (lambda t, v: t.decoded(v), "cause", tuple(Cause)),
    "away": (lambda t, v: t.storage_away(v, 1), "scheme", ("file", "s3", "landing")),
    "op": (lambda t, v: t.storage_error(v, "missing"), "op", ("read", "stat", "list")),
    "fault": (
        lambda t, v: t.storage_error("read", v),
        "kind",
        ("missing", "refused", "timeout", "truncated", "checksum", "failed", "full", "away"),
    ),
    "uri": (
        lambda t, v: t.uri_rejected(v),
        "reason",
        ("scheme", "outside", "malformed", "too_large"),
    ),
    "transaction": (
        lambda t, v: t.transaction(v, "committed", 1),
        "kind",
        ("ingest", "results", "publish"),
    ),
    "end": (
        lambda t, v: t.transaction("ingest", v, 1),
        "outcome",
        ("committed", "aborted", "unknown"),
    ),
    "rebalance": (lambda t, v: t.rebalanced(v), "kind", ("assigned", "revoked", "lost")),
}  # fmt: skip


def _told(hook: Callable[[Telemetry, str], None], value: str) -> Hook:
    return lambda telemetry: hook(telemetry, value)


@pytest.mark.parametrize("name", LABELS)
def test_each_value_has_a_series_of_its_own_and_strangers_share_one(name: str) -> None:
    """A label of the set is itself, whatever is not in it is `other`."""
    hook, label, values = LABELS[name]
    for told in (*values, "a stranger's", f"{values[0]}X"):
        expected = told if told in values else "other"
        found = moved(Telemetry(), _told(hook, told))
        assert {dict(labels)[label] for _, labels in found if label in dict(labels)} == {expected}


def test_series_exist_from_the_start_for_every_known_label() -> None:
    """No counter of a closed set is born by its first event: an alert could not see that."""
    born = samples(Telemetry())
    for name, (hook, label, values) in LABELS.items():
        if name in ("trigger", "kind", "verdict"):
            continue  # these have a band too, and nobody knows the bands beforehand
        for value in values:
            telemetry = Telemetry()
            for series in moved(telemetry, _told(hook, value)):
                assert series in born, (name, label, value)


# -- gauges ----------------------------------------------------------------------------------------

GAUGES = {
    "groups_open": "groups_open",
    "groups_due": "groups_due",
    "groups_sealed": "groups_sealed",
    "members_open": "group_members_open",
    "oldest_open_s": "oldest_open_group_age_seconds",
    "oldest_due_s": "oldest_due_group_age_seconds",
    "ahead_groups": "ahead_groups",
    "ahead_jobs": "ahead_jobs",
    "jobs_running": "jobs_running",
    "workers_available": "workers_available",
    "backlog_core_s": "work_backlog_core_seconds",
    "last_poll_s": "last_poll_timestamp_seconds",
    "ready": "ready",
}


@pytest.mark.parametrize("name", GAUGES)
def test_a_field_of_the_snapshot_sets_its_own_gauge(name: str) -> None:
    """Each number of a snapshot shows in one gauge, and goes when the next snapshot lacks it."""
    telemetry = Telemetry()
    telemetry.show(Snapshot())
    value = True if name == "ready" else 7
    shown = moved(telemetry, lambda t: t.show(Snapshot(**{name: value})))  # type: ignore[arg-type]  # by name
    assert shown == {of(GAUGES[name]): float(value)}
    assert moved(telemetry, lambda t: t.show(Snapshot())) == {of(GAUGES[name]): -float(value)}


def test_every_field_of_a_snapshot_is_shown() -> None:
    """No number is taken and then forgotten."""
    assert {field.name for field in fields(Snapshot)} == {*GAUGES, "partitions", "paused"}


@pytest.mark.parametrize("reason", ["restoring", "backlog", "draining"])
def test_pauses_are_told_apart(reason: str) -> None:
    """A paused partition is counted under its reason and no other."""
    telemetry = Telemetry()
    shown = moved(telemetry, lambda t: t.show(Snapshot(paused={reason: 2})))
    assert shown == {of("paused_partitions", reason=reason): 2}


VIEWS = st.dictionaries(
    st.integers(0, 5),
    st.builds(PartitionView, st.integers(0, 99), st.floats(0.0, 2e9)),
)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(VIEWS, max_size=5))
def test_partitions_shown_are_those_owned_now(history: list[dict[int, PartitionView]]) -> None:
    """Whatever came and went, the series are those of the last snapshot, with its values."""
    telemetry = Telemetry()
    for views in history:
        telemetry.show(Snapshot(partitions=views))
    last = history[-1] if history else {}
    found = samples(telemetry)
    lags = {s: v for s, v in found.items() if s[0] == "consumer_lag_records"}
    times = {s: v for s, v in found.items() if s[0] == "stream_time_seconds"}
    assert lags == {
        of("consumer_lag_records", partition=str(p)): v.lag_records for p, v in last.items()
    }
    assert times == {
        of("stream_time_seconds", partition=str(p)): v.stream_time_s for p, v in last.items()
    }
    assert found[of("assigned_partitions")] == len(last)


def test_what_runs_is_told() -> None:
    """The build is a series of value 1 whose labels are the versions that run."""
    (series,) = [s for s in samples(Telemetry()) if s[0] == "build_info"]
    labels = dict(series[1])
    assert set(labels) == {"version", "python", "numerics"}
    assert all(part.isdecimal() for part in labels["python"].split("."))


def test_buckets_rise_and_reach_what_is_usual() -> None:
    """Bounds of a histogram rise strictly, and span from quick to slow by a factor of a hundred."""
    for family in Telemetry().registry.collect():
        if family.type != "histogram":
            continue
        telemetry = Telemetry()
        for hook, _ in HOOKS.values():
            hook(telemetry)
        name = family.name
        bounds: dict[frozenset[tuple[str, str]], list[float]] = {}
        for found in telemetry.registry.collect():
            for sample in found.samples:
                if sample.name == f"{name}_bucket":
                    rest = frozenset((k, v) for k, v in sample.labels.items() if k != "le")
                    bounds.setdefault(rest, []).append(float(sample.labels["le"]))
        assert bounds, name
        for edges in bounds.values():
            assert edges == sorted(set(edges)), name
            assert edges[-2] >= 100 * edges[0], name
