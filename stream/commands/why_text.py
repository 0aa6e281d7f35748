"""What a group waits for, in words for whoever is on shift, and in JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import schemas
from core import groups
from core.groups import Phase, Seal, Trigger
from stream.commands.letter_text import time_of
from stream.commands.output import count_of, printable
from stream.letters import Found
from stream.why import Situation

__all__ = ["facts", "lines"]

_WIDTH: Final = 80
_LABEL: Final = 12
_FEW: Final = 6
_LONG_MS: Final = 600_000
"""So long work on a due revision should not take without somebody looking."""

_TIED: Final = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, so that no line ends there."""

_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))


# -- numbers into words ----------------------------------------------------------------------------


def _moment(milliseconds: int) -> str:
    """Return a time to the second."""
    return f"{time_of(milliseconds)[:19].replace('T', _TIED)}Z"


def _span(milliseconds: int) -> str:
    """Return ``2 h 5 min``: two units at most."""
    left, told = abs(milliseconds), list[str]()
    for name, size in _UNITS:
        if left >= size and len(told) < 2:  # noqa: PLR2004 - two units say enough
            told.append(f"{left // size}{_TIED}{name}")
        elif told:
            break
        left %= size
    return _TIED.join(told) or f"0{_TIED}s"


def _when(milliseconds: int, now: int) -> str:
    """Return a time and how far off it is."""
    span = _span(milliseconds - now)
    off = f"in{_TIED}{span}" if milliseconds > now else f"{span}{_TIED}ago"
    return f"{_moment(milliseconds)} ({off})"


def _some(visits: Sequence[int]) -> str:
    """Name the first visits and count the rest."""
    named = ", ".join(map(str, visits[:_FEW]))
    more = len(visits) - _FEW
    return f"{named} and {more} more" if more > 0 else named


def _visits(visits: Sequence[int]) -> str:
    return f"{'visit' if len(visits) == 1 else 'visits'} {_some(visits)}"


# -- the page --------------------------------------------------------------------------------------


def lines(situation: Situation, now: int) -> Iterator[str]:
    """Yield what is to be said, in 80 columns.

    Parameters
    ----------
    situation : Situation
    now : int
        Wall time, ms since 1970.
    """
    yield from textwrap.wrap(
        f"{printable(situation.key)}: {_state(situation)}", _WIDTH, break_on_hyphens=False
    )
    told: list[tuple[str, Iterable[str]]] = [
        ("members", _members(situation)),
        ("missing", _missing(situation)),
        ("waits for", _rules(situation, now)),
        ("due", _due(situation, now)),
        ("changed", _changed(situation)),
        ("reference", _reference(situation)),
        ("published", _published(situation, now)),
        ("failed", _failed(situation)),
        ("rejected", _rejected(situation)),
        ("suspected", _suspected(situation)),
        ("sealed", _sealed(situation, now)),
        ("letters", _letters(situation)),
        ("service", _service(situation, now)),
        ("to do", _advice(situation, now)),
    ]
    for label, texts in told:
        for number, text in enumerate(texts):
            yield from _labelled(label if number == 0 else "", text)


def _labelled(label: str, text: str) -> list[str]:
    wrapped = textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {label:<{_LABEL}}",
        subsequent_indent=" " * (_LABEL + 2),
        break_on_hyphens=False,
    )
    return [printable(line.replace(_TIED, " ")) for line in wrapped]


def _state(situation: Situation) -> str:
    header = situation.group.header
    sealed = "" if header.seal is Seal.LIVE else f", {header.seal}"
    return f"{_phase(header, situation)}{sealed}"


def _phase(header: groups.Header, situation: Situation) -> str:
    if header.phase is Phase.DUE:
        line = header.frozen - header.published
        behind = f", {line - 1} behind it" if line > 1 else ""
        return f"revision {header.published + 1} is due, not yet published{behind}"
    if header.phase is Phase.OPEN:
        if header.opened_at is None:
            return "open, and waits for nothing: it has no members"
        return "open, waits to be complete" + (" again" if header.frozen else "")
    changing = situation.next_rule is not None
    rest = f"changes wait for revision {header.frozen + 1}" if changing else "at rest"
    return f"revision {header.published} is published, {rest}"


def _members(situation: Situation) -> Iterator[str]:
    header, expected = situation.group.header, situation.group.expected
    if header.seal is Seal.FORGOTTEN:
        yield "forgotten, so long after the seal; what was published stays"
        return
    heard = f"{count_of(header.heard, 'visit')} heard of, {header.present} present"
    if expected is not None:
        heard += f"; the manifest names {len(expected.visits)}, {header.accounted} of them heard of"
    elif header.count is not None:
        heard += f"; {header.count} are expected"
    yield heard


def _missing(situation: Situation) -> Iterator[str]:
    if situation.missing:
        yield _visits(situation.missing)


def _rules(situation: Situation, now: int) -> Iterator[str]:
    """Say which rule will freeze the next revision, and why the others do not."""
    if situation.group.header.seal is not Seal.LIVE:
        return
    first = situation.next_rule
    if first is not None:
        yield f"{first[0]}, {_when(first[1], now)}; {_what_then(situation, first[1], now)}"
    for trigger, due in situation.rules.items():
        if first is None or trigger is not first[0]:
            yield from _other_rule(situation, trigger, due, now)


def _what_then(situation: Situation, due: int, now: int) -> str:
    if due <= now:
        return "overdue, the service has not come to it"
    if situation.group.header.opened_at is not None:
        return "it is then complete as it is"
    return "each further change puts it off"


def _other_rule(situation: Situation, trigger: Trigger, due: int | None, now: int) -> Iterator[str]:
    header, expected = situation.group.header, situation.group.expected
    if due is not None:
        yield f"{trigger}, {_when(due, now)}"
    elif trigger is Trigger.MANIFEST and expected is not None:
        awaited = len(expected.visits) - header.accounted
        yield f"manifest: {count_of(awaited, 'visit')} more must arrive or be withdrawn"
    elif trigger is Trigger.COUNT and expected is None and header.count is not None:
        yield f"count: {count_of(header.count - header.heard, 'visit')} more"
    elif trigger is Trigger.QUIET:
        yield f"quiet: {_no_quiet(situation)}"


def _no_quiet(situation: Situation) -> str:
    header, policy = situation.group.header, situation.policy
    if policy.quiet_ms is None:
        return "off by quiet_s"
    if situation.group.expected is not None or header.count is not None:
        return "off, since it is known what is expected"
    return f"needs {policy.quorum} members (quorum), {header.present} are present"


def _due(situation: Situation, now: int) -> Iterator[str]:
    for revision, frozen in sorted(situation.group.frozen.items()):
        held = count_of(len(frozen.members), "member")
        yield f"r{revision} by {frozen.trigger}: {held}, frozen {_when(frozen.at, now)}"


def _changed(situation: Situation) -> Iterator[str]:
    if situation.group.header.frozen == 0:
        return
    changes, since = situation.changes, f"since r{situation.group.header.frozen} was frozen"
    for word, visits in (
        ("arrived", changes.arrived),
        ("replaced", changes.replaced),
        ("withdrawn, or no more in the manifest", changes.gone),
    ):
        if visits:
            yield f"{_visits(visits)} {word} {since}"


def _reference(situation: Situation) -> Iterator[str]:
    newest, expected = situation.newest, situation.group.expected
    named = None if expected is None else expected.reference
    if newest is None or newest.reference is None:
        if named is not None:
            yield f"visit {named} by the manifest, if it can be read"
        return
    if newest.reference == named:
        yield f"visit {named}: the manifest names it"
    else:
        yield f"visit {newest.reference}: {_why_this(newest, newest.reference, situation)}"


def _why_this(newest: schemas.GroupMatched, reference: int, situation: Situation) -> str:
    costs = {one.visit: one.cost for one in newest.members if one.cost is not None}
    ours = costs.pop(reference, None)
    if ours is None or not costs:
        return "it is the only one that can be"
    best = min(costs, key=lambda visit: (costs[visit], visit))
    if (ours, reference) <= (costs[best], best):
        return f"its cost {ours:.3g} is the least of {len(costs) + 1}"
    margin = situation.policy.reference_margin
    return (
        f"kept from the revision before; visit {best} is better ({costs[best]:.3g} against "
        f"{ours:.3g}), but by no more than reference_margin ({margin:g})"
    )


def _published(situation: Situation, now: int) -> Iterator[str]:
    summaries = situation.summaries[-_FEW:]
    if not summaries:
        some = count_of(situation.group.header.published, "revision")
        yield f"{some}, whose summaries are gone" if situation.group.header.published else "nothing"
    for one in summaries:
        counts = [
            f"{count} {name}"
            for name in ("matched", "no_overlap", "failed", "withdrawn")
            if (count := sum(member.status == name for member in one.members))
        ]
        told = f": {', '.join(counts)}" if counts else ""
        when = _when(round(one.published_at * 1000), now)
        yield f"r{one.revision} {one.kind} by {one.trigger}, {one.status}{told}; {when}"


def _failed(situation: Situation) -> Iterator[str]:
    if situation.newest is not None:
        yield from _because(m for m in situation.newest.members if m.status == "failed")


def _rejected(situation: Situation) -> Iterator[str]:
    if situation.newest is not None:
        members = situation.newest.members
        yield from _because(m for m in members if (m.status, m.verdict) == ("matched", "reject"))


def _because(members: Iterable[schemas.MemberSummary]) -> Iterator[str]:
    known = list(members)
    for one in known[:_FEW]:
        yield f"visit {one.visit}: {one.reason or 'no reason is given'}"
    if len(known) > _FEW:
        yield f"and {len(known) - _FEW} more"


def _suspected(situation: Situation) -> Iterator[str]:
    most = situation.policy.max_attempts
    for visit, one in list(situation.suspects.items())[:_FEW]:
        if one.deaths >= most:
            told = f"given up after {count_of(one.deaths, 'death')} alone"
        else:
            told = f"runs alone now; {one.deaths} of {most} deaths alone"
        yield f"visit {visit}: its job {one.job[:12]} killed its process; {told}"


def _sealed(situation: Situation, now: int) -> Iterator[str]:
    header, end = situation.group.header, _seal_end(situation)
    if header.sealed_at is None:
        return
    can = "can be reopened until" if now < end else "could be reopened until"
    yield f"since {_when(header.sealed_at, now)}; {can} {_moment(end)}"


def _seal_end(situation: Situation) -> int:
    """Tell until when a sealed group can be reopened, ms."""
    return (situation.group.header.sealed_at or 0) + situation.policy.seal_retention_ms


def _letters(situation: Situation) -> Iterator[str]:
    for one in situation.letters[-_FEW:]:
        yield f"{one.place} {one.letter.reason}: {one.letter.message}"
    if situation.letters_total > _FEW:
        yield f"these are the newest of {situation.letters_total}"


def _service(situation: Situation, now: int) -> Iterator[str]:
    unread = "" if situation.unread is None else _unread(situation)
    yield (
        f"has read partition {situation.partition} up to {_when(situation.clock, now)}{unread}"
        if situation.clock
        else f"has read nothing of partition {situation.partition}{unread}"
    )


def _unread(situation: Situation) -> str:
    if not situation.lag:
        return "; nothing waits in the input"
    ours = f", {situation.unread} of this group" if situation.unread else ", none of this group"
    return f"; {count_of(situation.lag, 'record')} wait in the input{ours}"


# -- what can be done ------------------------------------------------------------------------------


def _advice(situation: Situation, now: int) -> Iterator[str]:
    yield from _of_service(situation, now)
    yield from _of_waiting(situation)
    yield from _of_members(situation)
    header = situation.group.header
    if header.seal is Seal.SEALED and now < _seal_end(situation):
        yield f"to let it take events again: `evensky reopen {situation.key}`"
    if situation.letters_total:
        place = situation.letters[-1].place
        yield f"`evensky dead-letters show {place}` says all of the newest dead letter"


def _of_service(situation: Situation, now: int) -> Iterator[str]:
    first = situation.next_rule
    late = first is not None and first[1] + 60_000 < now
    if late or situation.lag:
        yield "look whether `evensky run` is up: it has something to read or to complete here"
    waiting = [one.at for one in situation.group.frozen.values()]
    if waiting and now - min(waiting) > _LONG_MS:
        yield (
            "look at the service's log for this group, and at /readyz and "
            "/groups?state=due: work on it takes long, stands, or waits for a storage"
        )


def _of_waiting(situation: Situation) -> Iterator[str]:
    header, newest = situation.group.header, situation.newest
    if header.seal is not Seal.LIVE:
        return
    if header.opened_at is None:
        if newest is not None and newest.status == "incomplete":
            least = situation.policy.min_members
            yield f"fewer than {least} members (min_members): announce more, which opens it again"
        return
    if situation.missing:
        yield (
            "announce what is missing (`evensky announce`), withdraw what never comes "
            "(warp.withdrawn.v1), or close the group as it is (group.closed.v1)"
        )
    elif header.present:
        yield "to complete it as it is at once, close it (group.closed.v1)"


def _of_members(situation: Situation) -> Iterator[str]:
    if any(_failed(situation)) or situation.suspects:
        yield (
            "a failed warp is tried again with the next revision; mend its file and announce it "
            "with a higher version, or withdraw it"
        )


# -- JSON ------------------------------------------------------------------------------------------


def facts(situation: Situation, now: int) -> dict[str, object]:
    """Return everything as JSON values; times are RFC 3339.

    Parameters
    ----------
    situation : Situation
    now : int
        Wall time, ms since 1970.
    """
    header, changes, first = situation.group.header, situation.changes, situation.next_rule
    return {
        "group": situation.key,
        "partition": situation.partition,
        "state": str(header.phase),
        "seal": str(header.seal),
        "summary": _state(situation),
        "members": {
            "heard": header.heard,
            "accounted": header.accounted,
            "present": header.present,
            "expected": _expected(situation),
            "missing": list(situation.missing),
        },
        "waits_for": None if first is None else {"trigger": first[0], "due": time_of(first[1])},
        "rules": {str(rule): _time(due) for rule, due in situation.rules.items()},
        "due": [_frozen(one) for _, one in sorted(situation.group.frozen.items())],
        "changed": {"arrived": changes.arrived, "replaced": changes.replaced, "gone": changes.gone},
        "reference": header.reference,
        "reference_why": next(_reference(situation), None),
        "revisions": [_revision(one) for one in situation.summaries],
        "suspects": {str(visit): one.deaths for visit, one in situation.suspects.items()},
        "dead_letters": [_letter(one) for one in situation.letters],
        "dead_letters_total": situation.letters_total,
        "stream_time": _time(situation.clock or None),
        "unread": situation.unread,
        "lag": situation.lag,
        "advice": list(_advice(situation, now)),
    }


def _expected(situation: Situation) -> int | None:
    expected = situation.group.expected
    return situation.group.header.count if expected is None else len(expected.visits)


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else time_of(milliseconds)


def _frozen(one: groups.Frozen) -> dict[str, object]:
    return {
        "revision": one.revision,
        "kind": str(one.kind),
        "trigger": str(one.trigger),
        "members": len(one.members),
        "since": time_of(one.at),
    }


def _revision(one: schemas.GroupMatched) -> dict[str, object]:
    bad = [m for m in one.members if m.status == "failed" or m.verdict == "reject"]
    return {
        "revision": one.revision,
        "kind": one.kind,
        "trigger": one.trigger,
        "status": one.status,
        "reference": one.reference,
        "published_at": time_of(round(one.published_at * 1000)),
        "members": len(one.members),
        "not_usable": {str(m.visit): m.reason for m in bad},
    }


def _letter(one: Found) -> dict[str, object]:
    said = one.letter
    return {"position": str(one.place), "reason": said.reason, "message": said.message}
