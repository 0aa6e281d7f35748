"""An audit's report in words and in JSON."""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from stream.audit import KINDS, Horizon, Law, Report, Terms, Violation
from stream.commands.letter_text import time_of
from stream.commands.output import count_of, printable

__all__ = ["facts", "lines"]

_WIDTH: Final = 80
_CHECKED: Final = ("group", "revision", "member", "model", "metric", "dead letter", "event")


def facts(report: Report, terms: Terms) -> dict[str, object]:
    """Return the report as JSON values."""
    return {
        "ok": report.ok,
        "group": terms.group,
        "since": None if report.since is None else time_of(report.since),
        "horizon": [_horizon(one) for one in report.horizon],
        "checked": dict(report.checked),
        "exempt": dict(report.exempt),
        "total": report.counts.total(),
        "counts": dict(report.counts),
        "violations": [_violation(one) for one in report.violations],
    }


def _horizon(one: Horizon) -> dict[str, object]:
    return {
        "topic": one.topic,
        "partition": one.partition,
        "first": one.first,
        "since": None if one.since is None else time_of(one.since),
    }


def _violation(one: Violation) -> dict[str, object]:
    place = one.place
    kind = KINDS[one.kind]
    return {
        "law": str(one.law),
        "kind": one.kind,
        "group": one.group,
        "revision": one.revision,
        "visit": one.visit,
        "topic": None if place is None else place.topic,
        "partition": None if place is None else place.partition,
        "offset": None if place is None else place.offset,
        "what": one.what,
        "meaning": kind.meaning,
        "advice": kind.advice,
    }


def lines(report: Report, terms: Terms) -> Iterator[str]:
    """Yield the report for people, in 80 columns."""
    yield from _violations(report)
    yield from _reach(report)
    yield from _counts(report, terms)
    yield from _verdict(report)


def _violations(report: Report) -> Iterator[str]:
    """Yield what was found, kind by kind: what it means, where it is, what to do."""
    kinds: dict[str, list[Violation]] = defaultdict(list)
    for one in report.violations:
        kinds[one.kind].append(one)
    for name in sorted(kinds, key=lambda name: (KINDS[name].law, name)):
        kind, found = KINDS[name], kinds[name]
        times = f" ({report.counts[name]} times)" if report.counts[name] > 1 else ""
        yield from _wrapped(f"({kind.law}) {name}: {kind.meaning}{times}", "", "    ")
        for one in found:
            yield from _wrapped(_where(one), "    ", "      ")
            yield from _wrapped(printable(one.what), "      ", "      ")
        yield from _wrapped(f"do: {kind.advice}", "    ", "        ")
        yield ""


def _where(one: Violation) -> str:
    """Say which record, and of which group, revision and visit."""
    said = [] if one.group is None else [printable(one.group)]
    said += [] if one.revision is None else [f"r{one.revision}"]
    said += [] if one.visit is None else [f"visit {one.visit}"]
    said += [] if one.place is None else [f"at {one.place}"]
    return " ".join(said)


def _wrapped(text: str, first: str, later: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _reach(report: Report) -> Iterator[str]:
    if not report.horizon:
        yield "horizon: none, the log is held from its first record"
        return
    told = "nobody knows when" if report.since is None else time_of(report.since)
    yield f"horizon: {told}; what is older was deleted:"
    topics: dict[str, list[Horizon]] = defaultdict(list)
    for one in report.horizon:
        topics[one.topic].append(one)
    for topic, parts in topics.items():
        since = max((one.since for one in parts if one.since is not None), default=None)
        when = "empty" if since is None else f"since {time_of(since)}"
        first = min(one.first for one in parts)
        yield f"  {topic}: {when}, in {count_of(len(parts), 'partition')}, from offset {first}"


def _counts(report: Report, terms: Terms) -> Iterator[str]:
    told = [count_of(report.checked[f"{name}s"], name) for name in _CHECKED]
    about = "" if terms.group is None else f" of {terms.group}"
    yield from _wrapped(f"checked{about}: {', '.join(told)}", "", "  ")
    if report.exempt["groups"]:
        text = (
            f"not checked against the input ({Law.FOREIGN}, {Law.FOLD}): "
            f"{count_of(report.exempt['groups'], 'group')} that began before the horizon"
        )
        yield from _wrapped(text, "", "  ")
    if report.exempt["dead letters"]:
        text = f"{count_of(report.exempt['dead letters'], 'dead letter')} about older records"
        yield from _wrapped(f"not checked ({Law.LETTERS}): {text}", "", "  ")


def _verdict(report: Report) -> Iterator[str]:
    if report.ok:
        yield "nothing is lost, nothing is doubled"
        return
    laws = Counter[Law]()
    for name, count in report.counts.items():
        laws[KINDS[name].law] += count
    total = report.counts.total()
    if total > len(report.violations):
        yield f"told are the first {len(report.violations)}; --limit N tells more"
    yield f"{count_of(total, 'violation')}:"
    for law in sorted(laws):
        yield f"  ({law}) {laws[law]:>7} {law.words}"
