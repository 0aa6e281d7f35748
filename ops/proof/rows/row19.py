"""Row 19: asked to stop while a long job runs."""

from __future__ import annotations

from typing import Final

from ops.proof.fleet import Fleet
from ops.proof.hooks import Hooks
from ops.proof.judge import Progress, judge
from ops.proof.load import Load, records, wanted
from ops.proof.row import Context, Row, RowResult, Terms

__all__ = ["ROW"]

_PARTITIONS: Final = 2
_MEMBERS: Final = 2
_MARGIN_S: Final = 10.0
_PATIENCE_S: Final = 900.0


def run(terms: Terms, context: Context) -> RowResult:
    """Stop a service in a job twice: with time to finish it, and without."""
    violations: list[str] = []
    figures: dict[str, float] = {}
    for name, grace_s in (("long", 4.0 * terms.rounds), ("short", 1.0)):
        with context.kafka(_PARTITIONS, "--grace-s", str(grace_s)) as place:
            load = Load(context.warps, 1, _MEMBERS, terms.seed)
            said = load.plain()
            progress = Progress(place, wanted((one.message, one.time_us) for one in said))
            place.publish(records(said, place.topics, _PARTITIONS))
            with Fleet(place, context.folder) as fleet:
                running = fleet.start(name, Hooks(job_s=terms.rounds))
                running.until_it_says('"event": "group frozen"', _PATIENCE_S)
                code, seconds = fleet.stop(name)
                figures[f"{name} grace: exit after s"] = seconds
                published = progress.done()
                violations += _broken(name, code, seconds, grace_s, published=published)
                if not published:
                    fleet.start_all("next")
                fleet.until(progress.done, _PATIENCE_S, 0.2)
                violations += [*judge(place).violations, *fleet.complaints()]
    return RowResult(figures, tuple(violations))


def _broken(name: str, code: int, seconds: float, grace_s: float, *, published: bool) -> list[str]:
    found = []
    if code != 0:
        found.append(f"{name} grace: exit code {code}")
    if seconds > grace_s + _MARGIN_S:
        found.append(f"{name} grace: it took {seconds:.1f} s of {grace_s:g} s")
    if published != (name == "long"):
        found.append(f"{name} grace: published is {published} at its end")
    return found


ROW: Final = Row(
    number=19,
    title="SIGTERM during a long job",
    hold="exit 0 within the grace time; the job published, or still due and done by the next",
    rounds=60,
    counted="s a job",
    run=run,
)
