"""What must hold after each step: RELIABILITY (a) to (g), as far as they exist without bytes."""

from __future__ import annotations

from collections.abc import Iterable

from core.groups import (
    Arrived,
    Expected,
    Failed,
    Frozen,
    FrozenMember,
    Group,
    Header,
    Kind,
    ManifestSet,
    Measurement,
    Member,
    Partition,
    Policy,
)
from core.groups.changed import replace
from ops.proof.simulation_log import Log
from ops.proof.simulation_matching import Output, measure, model_of
from ops.proof.simulation_oracle import Oracle, PlainGroup

__all__ = ["Judge", "ViolationError"]


class ViolationError(AssertionError):
    """Something that must hold does not; the text says what, and of whom."""


def _hold(claim: bool, what: str, *whom: object) -> None:
    if not claim:
        raise ViolationError(f"{what}: {', '.join(map(str, whom))}")


class Judge:
    """Follows the log, and compares with it what owners hold and write.

    Parameters
    ----------
    log : Log
    policy : Policy
    """

    def __init__(self, log: Log, policy: Policy) -> None:
        self._log = log
        self._policy = policy
        self._oracles = [Oracle(policy) for _ in log.shelves]
        self._judged = [0] * len(log.shelves)
        self._published: dict[str, Output] = {}
        self._models: dict[tuple[str, int], str] = {}

    def follow(self, partition: int, place: int) -> None:
        """Read the log to where a committed transaction has come, and judge its dead letters."""
        oracle, shelf = self._oracles[partition], self._log.shelves[partition]
        _hold(place >= oracle.place, "the position went back", partition, oracle.place, place)
        while oracle.place < place:
            record = shelf.input[oracle.place]
            oracle.read(record.stamp, record.key, record.event, poison=record.poison)
        letters = shelf.letters
        _hold(len(letters) == len(oracle.dead), "(g) dead letters", partition, letters, oracle.dead)
        _hold(set(letters) == oracle.dead, "(g) dead letters", partition, letters, oracle.dead)

    # -- what is published -------------------------------------------------------------------------

    def outputs(self, partition: int) -> None:
        """Judge what was published since the last time."""
        shelf = self._log.shelves[partition]
        for output in shelf.outputs[self._judged[partition] :]:
            self._output(self._oracles[partition].groups[output.group], output)
        self._judged[partition] = len(shelf.outputs)

    def _output(self, plain: PlainGroup, output: Output) -> None:
        key, frozen = output.group, output.frozen
        before = self._published.get(key)
        last = 0 if before is None else before.frozen.revision
        _hold(frozen.revision == last + 1, "(b) once and without a gap", key, last, frozen.revision)
        _hold(frozen.revision <= len(plain.revisions), "(d) a revision without a log", key, frozen)
        known = plain.revisions[frozen.revision - 1]
        _hold(known.members == _standing(frozen), "(a) members as frozen", key, frozen, known)
        _hold(set(known.members.values()) <= plain.digests, "(d) without a record", key, frozen)
        _boxes(output)
        self._reference(output, before)
        self._keep(output)
        self._published[key] = output

    def _reference(self, output: Output, before: Output | None) -> None:
        """Hold the reference to the name, the pin and the costs."""
        frozen, chosen = output.frozen, output.reference
        if frozen.incomplete or frozen.kind is Kind.RETRACTION:
            return
        held = _standing(frozen)
        failed = {v for v, one in output.entries.items() if one.status.startswith("failed")}
        _hold(chosen is not None or failed == set(held), "no reference", output)
        if frozen.reference is not None and frozen.reference not in failed:
            _hold(chosen == frozen.reference, "a named reference was passed over", output)
            return
        kept = None if before is None else before.reference
        same = before is not None and kept is not None and held.get(kept) == _digest(before, kept)
        margin = self._policy.reference_margin
        if kept is None or not same or kept in failed or margin == 0:
            best = min(_costs(output), default=None)
            _hold(best is None or chosen == best[1], "not the reference of least cost", output)
            return
        better = [cost for cost, visit in _costs(output) if cost < output.costs[kept] - margin]
        _hold((chosen != kept) == bool(better), "the pin", output, kept)

    def _keep(self, output: Output) -> None:
        """Put the models where a reader finds them: each named one must be there, and recompute."""
        held = _standing(output.frozen)
        against = None if output.reference is None else held[output.reference]
        for visit in output.sent:
            self._models[output.group, visit] = output.entries[visit].model_id
        for visit, entry in output.entries.items():
            at_hand = self._models.get((output.group, visit))
            _hold(at_hand == entry.model_id, "(a) a model is not at hand", output.group, visit)
            gone = visit not in held
            again = model_of(None if gone else against, held.get(visit, str(visit)), entry.status)
            _hold(again == entry, "(c) a model does not recompute", output.group, visit, entry)
        if not output.frozen.incomplete:
            named = set(held) | set(output.frozen.withdrawn)
            _hold(set(output.entries) == named, "(a) the summary's members", output)

    # -- what is held ------------------------------------------------------------------------------

    def state(self, partition: int, state: Partition, keys: Iterable[str] | None = None) -> None:
        """Hold an owner's state, at the committed position, to the log: some groups, or all."""
        oracle = self._oracles[partition]
        _hold(state.clock == oracle.clock, "(f) the clock", partition, state.clock, oracle.clock)
        if keys is None:
            spoken = {key for key, one in oracle.groups.items() if _was_heard(one)}
            _hold(spoken == set(state.groups), "(f) groups", spoken, set(state.groups))
        for key in state.groups if keys is None else keys:
            if key in state.groups:
                self._group(key, state.groups[key], oracle.groups[key], oracle.clock)

    def _group(self, key: str, group: Group, plain: PlainGroup, clock: int) -> None:
        header = group.header
        told = self._published.get(key)
        published = 0 if told is None else told.frozen.revision
        _hold(header.published == published, "the published revision", key, header, published)
        reference = None if told is None else told.reference
        _hold(header.reference == reference, "the published reference", key, header, reference)
        self._line(key, group, plain)
        expected = _header(plain, header)
        _hold(header == expected, "(f) the header", key, header, expected)
        if header.forgotten:
            self._forgotten(key, group, plain, clock)
        else:
            self._members(key, group, plain)

    def _line(self, key: str, group: Group, plain: PlainGroup) -> None:
        """Hold what is frozen and not published to what the log says was frozen."""
        header = group.header
        line = set(range(header.published + 1, len(plain.revisions) + 1))
        _hold(set(group.frozen) == line, "(f) the line of frozen revisions", key, header, line)
        for revision, frozen in group.frozen.items():
            wanted = _frozen(plain, revision, frozen, self._policy)
            _hold(frozen == wanted, "(f) a frozen revision", key, frozen, wanted)

    def _members(self, key: str, group: Group, plain: PlainGroup) -> None:
        newest = plain.revisions[-1].members if plain.revisions else {}
        _hold(group.members.keys() == plain.best.keys(), "(f) members", key, set(group.members))
        for visit, member in group.members.items():
            wanted = _member(plain, visit, member, newest.get(visit))
            _hold(member == wanted, "(f) a member", key, member, wanted)
            told = None if member.sent is None else member.sent.model_id
            _hold(told == self._models.get((key, visit)), "what was sent", key, member)
        sets = _expected(plain.manifest)
        _hold(group.expected == sets, "(f) the expected set", key, group.expected, sets)

    def _forgotten(self, key: str, group: Group, plain: PlainGroup, clock: int) -> None:
        over = plain.sealed_at is not None
        over = over and clock >= (plain.sealed_at or 0) + self._policy.seal_retention_ms
        _hold(over, "forgotten too early", key, group.header, clock)
        _hold(not group.frozen, "forgotten while a revision is due", key, group)
        _hold((group.members, group.expected) == ({}, None), "not forgotten", key, group)

    def end(self, partition: int, state: Partition) -> None:
        """Hold the end: all is read, published, settled, and forgotten where its time is over."""
        for key, group in state.groups.items():
            plain = self._oracles[partition].groups[key]
            _hold(not group.frozen, "(a) still due", key, group)
            _hold(plain.opened is None or not plain.best, "still open", key, group.header)
            members = plain.revisions[-1].members if plain.revisions else {}
            _hold(members == plain.view()[0], "(a) not in the newest revision", key, group)
            forgets = plain.sealed_at is not None
            _hold(group.header.forgotten == forgets, "to be forgotten", key, group.header)
        _hold(not state.timers(), "a timer is left", state.timers())


def _was_heard(plain: PlainGroup) -> bool:
    return bool(plain.best or plain.manifest or plain.seal) or plain.closing is not None


def _standing(frozen: Frozen) -> dict[int, str]:
    return {member.visit: member.digest for member in frozen.members}


def _digest(output: Output, visit: int) -> str | None:
    return _standing(output.frozen).get(visit)


def _costs(output: Output) -> list[tuple[float, int]]:
    return [(cost, visit) for visit, cost in output.costs.items() if cost == cost]  # noqa: PLR0124 - NaN is no cost


def _boxes(output: Output) -> None:
    """Hold that who lies elsewhere than most is refused, and of those who lie there nobody."""
    found: dict[object, set[int]] = {}
    refused = {v for v, one in output.entries.items() if one.status == "failed, elsewhere"}
    for visit, digest in _standing(output.frozen).items():
        one = measure(digest)
        entry = output.entries.get(visit)
        if isinstance(one, Measurement) and entry is not None and "given up" not in entry.status:
            found.setdefault(one.box, set()).add(visit)
    most = max(map(len, found.values()), default=0)
    lawful = [
        set().union(*(v for v in found.values() if v is not one))
        for one in found.values()
        if len(one) == most
    ]
    _hold(refused in (lawful or [set()]), "another box", output, found)


def _expected(manifest: ManifestSet | None) -> Expected | None:
    if manifest is None:
        return None
    visits = tuple(sorted(set(manifest.visits)))
    at, version = manifest.at, manifest.version
    return Expected(version, visits, manifest.reference, manifest.deadline_ms, at)


def _header(plain: PlainGroup, header: Header) -> Header:
    """Return the header that the log makes, with what only publishing and forgetting make."""
    held, _ = plain.view()
    newest = plain.revisions[-1] if plain.revisions else None
    expected = set() if plain.manifest is None else set(plain.manifest.visits)
    members = {} if newest is None else newest.members
    return replace(
        header,
        opened_at=plain.opened,
        last_arrival=plain.arrival,
        first_change=None if plain.changes is None else plain.changes[0],
        last_change=None if plain.changes is None else plain.changes[1],
        heard=len(plain.best),
        accounted=len(expected & set(plain.best)),
        present=len(held),
        changed=sum(held.get(visit) != members.get(visit) for visit in plain.best),
        count=plain.count,
        closed=plain.closing,
        frozen=len(plain.revisions),
        size=len(members),
        named=None if newest is None else newest.named,
        sealing=None if plain.seal is None else plain.seal[0],
        reopened=plain.seal is not None and plain.seal[1],
        sealed_at=plain.sealed_at,
        settled_at=plain.settled_at,
    )


def _frozen(plain: PlainGroup, revision: int, frozen: Frozen, policy: Policy) -> Frozen:
    """Return the revision as the log makes it; completeness is judged by the missing alone."""
    known = plain.revisions[revision - 1]
    before = plain.revisions[revision - 2].members if revision > 1 else {}
    kind = Kind.INITIAL if revision == 1 else Kind.UPDATE if known.members else Kind.RETRACTION
    _hold(not known.missing or frozen.completeness < 1, "completeness", frozen)
    return replace(
        frozen,
        revision=revision,
        kind=kind,
        trigger=known.trigger,
        members=tuple(
            FrozenMember(visit, digest, digest.encode())
            for visit, digest in sorted(known.members.items())
        ),
        withdrawn=tuple(sorted(set(before) - set(known.members))),
        missing=known.missing,
        incomplete=kind is not Kind.RETRACTION and len(known.members) < policy.min_members,
        reference=known.named,
        since=known.since,
        at=known.at,
    )


def _member(plain: PlainGroup, visit: int, member: Member, frozen: str | None) -> Member:
    """Return the member as the log makes it, with what only work makes."""
    event = plain.best[visit]
    measured = member.measurement
    if measured is not None:
        true = measure(event.digest)
        _hold(isinstance(true, Failed) or true == measured, "a measurement of others", member)
    return replace(
        member,
        version=event.version,
        event_time=event.event_time,
        digest=event.digest,
        withdrawn=not isinstance(event, Arrived),
        payload=event.payload,
        frozen=frozen,
        suspicion=plain.suspicions.get(visit),
    )
