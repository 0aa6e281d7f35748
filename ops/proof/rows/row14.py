"""Row 14: the event loop while the pool is busy."""

from __future__ import annotations

import time
from typing import Final

from ops.proof.fleet import Fleet
from ops.proof.hooks import Hooks
from ops.proof.judge import Progress, judge
from ops.proof.load import Load, records, wanted
from ops.proof.processes import quantile
from ops.proof.row import Context, Figure, Row, RowResult, Terms

__all__ = ["ROW"]

_PARTITIONS: Final = 4
_MEMBERS: Final = 10
_WORKERS: Final = 2
_OPTIONS: Final = ("--session-timeout-s", "2", "--broker-grace-s", "60")
_LIMITS_S: Final = {"ordinary results": 0.05, "100 MB/s": 0.25}
_BALLAST_BYTES: Final = {"ordinary results": 0, "100 MB/s": 20_000_000}
_BYTES_A_S: Final = {"ordinary results": 0, "100 MB/s": 100e6}
_PATIENCE_S: Final = 1800.0


def run(terms: Terms, context: Context) -> RowResult:
    """Keep the pool busy for the stated time with ordinary results, then with large ones."""
    violations: list[str] = []
    figures: dict[str, Figure] = {}
    for name, limit_s in _LIMITS_S.items():
        ballast = round(_BALLAST_BYTES[name] * terms.scale)
        lag, megabytes, rebalances = _busy(terms, context, name, ballast, violations)
        figures[f"{name}: lag p50 s"] = quantile(lag, 0.5)
        figures[f"{name}: lag p99 s"] = p99 = quantile(lag, 0.99)
        figures[f"{name}: MB/s"] = megabytes
        figures[f"{name}: assignments"] = rebalances
        if megabytes * 1e6 < _BYTES_A_S[name] * terms.scale:
            violations.append(f"{name}: results came at {megabytes:.0f} MB/s only")
        if p99 > limit_s:
            violations.append(f"{name}: lag p99 {p99:.3f} s, more than {limit_s:g}")
        if rebalances > 1:
            violations.append(f"{name}: heartbeats were missed, {rebalances} assignments")
    return RowResult(figures, tuple(violations))


def _busy(
    terms: Terms, context: Context, name: str, ballast: int, violations: list[str]
) -> tuple[list[float], float, int]:
    """Return lags, megabytes a second that came from workers, and how often we were assigned."""
    with (
        context.kafka(_PARTITIONS, *_OPTIONS) as place,
        Fleet(place, context.folder, "--workers", str(_WORKERS)) as fleet,
    ):
        hooks = Hooks(timed=True, ballast_bytes=ballast, job_s=0.001)
        running = fleet.start(name.split(maxsplit=1)[0].replace("/", ""), hooks)
        running.until_it_says("took restore", _PATIENCE_S)
        began, wave = time.monotonic(), 0
        before = running.took()
        while time.monotonic() - began < terms.rounds:
            wave += 1
            load = Load(context.warps, 20, _MEMBERS, terms.seed, f"wave{wave}")
            said = load.plain()
            place.publish(records(said, place.topics, _PARTITIONS))
            fleet.until(
                Progress(place, wanted((one.message, one.time_us) for one in said)).done,
                _PATIENCE_S,
                0.5,
            )
        seconds = time.monotonic() - began
        text = running.text()
        lag = running.took()["lag"][len(before.get("lag", [])) :]
        violations += [*judge(place).violations, *fleet.complaints()]
        done = text.count("job done: ")
        return lag, done * ballast / seconds / 1e6, text.count('"kind": "assigned"')


ROW: Final = Row(
    number=14,
    title="lag of the event loop",
    hold="p99 below 250 ms while results of 100 MB/s come from a busy pool, below 50 ms with "
    "ordinary ones; no heartbeat missed",
    rounds=60,
    counted="s of each",
    run=run,
)
