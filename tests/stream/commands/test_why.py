"""`evensky why`: what is said of groups in situations that operators meet."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import schemas
from core import groups
from core.groups.changed import replace
from stream.commands.why_text import facts, lines
from stream.letters import Found, Place
from stream.why import Situation
from tests.schemas import examples
from tests.stream.audit.conftest import Steady, arrived, poison
from tests.stream.audit.damage import TOPICS, Planted, audited, message_of, remade
from tests.stream.commands.conftest import Say

KEY = "live/rings/7/3/r"
NOW = 1_790_000_000_000
MINUTE, HOUR = 60_000, 3_600_000
POLICY = groups.Policy(quorum=3, quiet_ms=10 * MINUTE, deadline_ms=12 * HOUR)


def _member(visit: int, **changes: Any) -> groups.Member:
    plain = groups.Member(visit, 0, 0, f"digest {visit}", False, b"", None, NOW - 5 * MINUTE)
    return replace(plain, **changes)


def _situation(
    header: groups.Header,
    *members: groups.Member,
    expected: groups.Expected | None = None,
    **more: Any,
) -> Situation:
    held = {one.visit: one for one in members}
    group = groups.Group(header, held, expected, more.pop("frozen", {}))
    said: dict[str, Any] = {"clock": NOW - 12_000, "lag": 0, "unread": 0} | more
    return Situation(KEY, 5, group, POLICY, **said)


def _named(*visits: int, reference: int | None = None) -> groups.Expected:
    return groups.Expected(0, visits, reference, None, NOW - HOUR)


def _summary(*members: schemas.MemberSummary, **changes: Any) -> schemas.GroupMatched:
    said: dict[str, Any] = {
        "campaign": "live",
        "skymap": "rings",
        "tract": 7,
        "patch": 3,
        "band": "r",
        "revision": 1,
        "kind": "initial",
        "status": "complete",
        "trigger": "quiet",
        "completeness": 1.0,
        "members": members,
        "reference": members[0].visit if members else None,
        "config_digest": "c" * 64,
        "numerics_version": "1",
        "software_version": "1",
        "completed_at": NOW / 1000 - 700,
        "published_at": NOW / 1000 - 600,
    }
    return schemas.GroupMatched(**(said | changes))


def _of(visit: int, status: Any = "matched", cost: float | None = 1.0, **more: Any) -> Any:
    return schemas.MemberSummary(visit=visit, status=status, cost=cost, **more)


def _waiting_for_visits() -> Situation:
    header = groups.Header(
        opened_at=NOW - HOUR, last_arrival=NOW - 5 * MINUTE, heard=2, accounted=2, present=2
    )
    return _situation(header, _member(1), _member(2), expected=_named(*range(1, 13), reference=1))


def _waiting_for_quiet() -> Situation:
    header = groups.Header(opened_at=NOW - HOUR, last_arrival=NOW - 5 * MINUTE, heard=3, present=3)
    return _situation(header, *map(_member, (1, 2, 3)))


def _overdue() -> Situation:
    header = groups.Header(opened_at=NOW - 2 * HOUR, last_arrival=NOW - HOUR, heard=3, present=3)
    more: dict[str, Any] = {"clock": NOW - HOUR, "lag": 7, "unread": 2}
    return _situation(header, *map(_member, (1, 2, 3)), **more)


def _due() -> Situation:
    frozen = groups.Frozen(
        revision=1,
        kind=groups.Kind.INITIAL,
        trigger=groups.Trigger.COUNT,
        members=tuple(groups.FrozenMember(v, f"digest {v}", b"") for v in (1, 2, 3)),
        withdrawn=(),
        missing=(),
        expected=3,
        completeness=1.0,
        incomplete=False,
        reference=None,
        since=NOW - HOUR,
        at=NOW - 20 * MINUTE,
    )
    header = groups.Header(
        last_arrival=NOW - 20 * MINUTE, heard=3, present=3, count=3, frozen=1, size=3
    )
    suspicion = groups.Suspicion("4f0c" * 16, 2, NOW * 1000)
    members = [_member(v, frozen=f"digest {v}") for v in (1, 2)]
    suspect = _member(3, frozen="digest 3", suspicion=suspicion)
    return _situation(header, *members, suspect, frozen={1: frozen})


def _changing() -> Situation:
    header = groups.Header(
        last_arrival=NOW - 2 * MINUTE,
        first_change=NOW - 4 * MINUTE,
        last_change=NOW - 2 * MINUTE,
        heard=4,
        present=3,
        changed=3,
        frozen=1,
        published=1,
        size=3,
        reference=2,
    )
    members = (
        _member(1, frozen="digest 1", withdrawn=True),
        _member(2, frozen="digest 2"),
        _member(3, frozen="an older one"),
        _member(9),
    )
    told = (
        _of(2, "reference", 1.4),
        _of(1, cost=1.3, verdict="reject", reason="sky_chi2 is 9.1, over 2"),
        _of(3, "failed", None, reason="truncated: the file ends early"),
    )
    summary = _summary(*sorted(told, key=lambda one: one.visit), reference=2)
    return _situation(header, *members, summaries=[summary])


def _sealed() -> Situation:
    header = groups.Header(
        heard=1, present=1, frozen=1, published=1, size=1, sealing=1, sealed_at=NOW - HOUR
    )
    letter = next(one for one in examples.EXAMPLES if isinstance(one, schemas.DeadLetter))
    said = msgspec.structs.replace(
        letter, reason=schemas.DeadReason.SEALED, message="the group is sealed"
    )
    found = Found("evensky.dead-letters", Place(None, 5, 17), NOW, said)
    one = _summary(_of(1, "reference"), status="incomplete", trigger="sealed")
    more: dict[str, Any] = {"summaries": [one], "letters": [found], "letters_total": 1}
    return _situation(header, _member(1, frozen="digest 1"), **more)


def _forgotten() -> Situation:
    header = groups.Header(
        heard=2,
        present=2,
        frozen=1,
        published=1,
        size=2,
        sealed_at=NOW - 800 * HOUR,
        forgotten=True,
    )
    return _situation(header, lag=None, unread=None)


SITUATIONS = {
    "waiting for visits": _waiting_for_visits,
    "waiting for quiet": _waiting_for_quiet,
    "overdue": _overdue,
    "due": _due,
    "changing": _changing,
    "sealed": _sealed,
    "forgotten": _forgotten,
}
GOLDEN = Path(__file__).with_name("why.txt")
"""What is said, situation by situation; read it before you change it."""


def _pages() -> str:
    pages = [f"# {name}\n" + "\n".join(lines(make(), NOW)) for name, make in SITUATIONS.items()]
    return "\n\n".join(pages) + "\n"


def test_what_operators_read() -> None:
    """The words of each situation are those that a person has read and found good."""
    assert _pages() == GOLDEN.read_text(encoding="utf-8")


def test_a_page_fits_a_terminal() -> None:
    """No line is longer than 80 columns."""
    assert max(map(len, _pages().splitlines())) <= 80


@pytest.mark.parametrize("name", SITUATIONS)
def test_facts_are_json(name: str) -> None:
    """Programs get what people do: state, rules and advice."""
    situation = SITUATIONS[name]()
    told = json.loads(json.dumps(facts(situation, NOW)))
    assert told["group"] == KEY
    assert told["state"] == str(situation.group.header.phase)
    for one in told["advice"]:
        assert one.split()[0] in _pages()


# -- on a log --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the log of a service that is down."""
    path = tmp_path_factory.mktemp("why") / "log.db"
    asyncio.run(Steady(path, 0, 0).live_through())
    assert audited(path).ok
    return path


@pytest.mark.parametrize("name", ["live/s/1/0/r", "1/0/r", "/s/1/0/", "0/r"])
def test_a_group_by_its_name(say: Say, log: Path, name: str) -> None:
    """A whole key, or a part of it that one group has alone, names the group."""
    said = say("why", name, "--log", log)
    assert said.code == 0
    assert said.out.startswith("live/s/1/0/r: revision 3 is published, at rest\n")


def test_an_unknown_group(say: Say, log: Path) -> None:
    """A group that is not there ends with 1 and the names that come near, the nearest first."""
    said = say("why", "live/s/1/4/r", "--log", log)
    assert (said.code, said.out) == (1, "")
    first, *names = said.err.splitlines()
    assert first == "evensky: the service knows no group live/s/1/4/r; near it are"
    assert [name.strip() for name in names] == [f"live/s/1/{patch}/r" for patch in (3, 2, 1, 0)]


def test_a_name_of_several(say: Say, log: Path) -> None:
    """A part that several groups have names none of them, and they are told."""
    said = say("why", "s/1", "--log", log)
    assert (said.code, said.out) == (1, "")
    assert said.err.count("live/s/1/") == 4


def test_what_a_log_tells(say: Say, log: Path) -> None:
    """Members, revisions, letters and the position come from the log alone."""
    told = json.loads(say("why", "live/s/1/0/r", "--json", "--log", log).out)
    assert [one["trigger"] for one in told["revisions"]] == ["manifest", "update", "update"]
    assert told["members"] | {"missing": None} == {
        "heard": 4,
        "accounted": 4,
        "present": 4,
        "expected": 4,
        "missing": None,
    }
    assert (told["lag"], told["unread"], told["dead_letters_total"]) == (0, 0, 1)
    assert told["waits_for"] is None


def test_a_service_that_is_down(say: Say, log: Path, tmp_path: Path) -> None:
    """What nobody has read yet is counted, its own group's apart, and the advice names the cure."""
    planted = Planted.copy(log, tmp_path)
    planted.add(arrived(0, 3, version=7), arrived(0, 4, version=7), poison(b"", "nobody else"))
    told = json.loads(say("why", "1/0/r", "--json", "--log", planted.path).out)
    assert told["unread"] == 2
    assert told["lag"] in {2, 3}
    assert any("evensky run" in one for one in told["advice"])
    said = say("why", "1/0/r", "--log", planted.path).out
    assert "wait in the input, 2 of this group" in said


def test_nothing_steers_the_terminal(say: Say, log: Path, tmp_path: Path) -> None:
    """What strangers wrote into a dead letter, or asked for, cannot move the cursor."""
    planted = Planted.copy(log, tmp_path)
    letter = planted.records(TOPICS.dead_letters)[-1]
    planted.alter(letter, remade(letter, message="\x1b[2Jgone").value)
    said = say("why", message_of(letter).key.decode(), "--log", planted.path)
    assert "gone" in said.out
    assert "\x1b" not in said.out
    assert "\x1b" not in say("why", "\x1b[2J", "--log", planted.path).err


def test_an_unreadable_state(say: Say, log: Path, tmp_path: Path) -> None:
    """A state that cannot be read back ends with 2 and a sentence."""
    planted = Planted.copy(log, tmp_path)
    header = next(one for one in planted.state("G") if (one.key or b"").endswith(b"/0/r"))
    planted.alter(header, b"\xc1")
    said = say("why", "live/s/1/0/r", "--log", planted.path)
    assert (said.code, said.out) == (2, "")
    assert "cannot be read back" in said.err
