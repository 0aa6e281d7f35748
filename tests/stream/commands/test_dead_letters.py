"""`evensky dead-letters` on a log whose letters are known."""

from __future__ import annotations

import asyncio
import base64
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import schemas
from stream.log.embedded import EmbeddedReader
from stream.log.seam import Outgoing, Record
from tests.schemas import examples
from tests.stream.commands.conftest import Say
from tests.stream.letterbox import TOPICS, misrouted, posted, write
from tests.stream.records import PARTITIONS, POISON

NOON = 1_790_000_000_000  # 2026-09-21T14:13:20Z
JUNK = POISON["no msgpack"][0]
HOME = schemas.partition_of(examples.record(examples.arrived()).key, PARTITIONS)
AWAY = (HOME + 1) % PARTITIONS


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Write a log with letters of three records: two misrouted ones, and bytes that are wrong."""
    path = tmp_path / "evensky.db"
    write(path, [posted(misrouted(1, offset=40))], NOON)
    write(path, [posted(replace(JUNK, offset=41))], NOON + 60_000)
    write(path, [posted(misrouted(2, offset=42))], NOON + 120_000)
    return path


def inputs(path: Path) -> list[Record]:
    """Return what stands on the input."""

    async def read() -> list[Record]:
        reader = EmbeddedReader(path)
        await reader.start()
        try:
            return [one async for one in reader.read([TOPICS.warps], follow=False)]
        finally:
            await reader.close()

    return asyncio.run(read())


def told(say: Say, *words: object, code: int = 0) -> Any:
    """Run a command with --json, hold it to an exit code, and return what it printed."""
    said = say("dead-letters", *words, "--json")
    assert said.code == code, said
    return json.loads(said.out)


# -- list ------------------------------------------------------------------------------------------


def test_a_list_for_people(say: Say, log: Path) -> None:
    """Each letter has a line with place, reason and sentence; the counts stand at the end."""
    said = say("dead-letters", "list", "--log", log)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].split()[:4] == ["position", "written", "reason", "record"]
    assert f"{AWAY}:0" in lines[2]
    assert "2026-09-21T14:13:20" in lines[2]
    assert f"evensky.warps:{AWAY}:40" in lines[2]
    assert "live/hsc_rings_v1/9813/42/r" in lines[2]
    assert lines[-2] == "3 dead letters: 2 misrouted, 1 bad_msgpack"
    assert "2 can be replayed" in lines[-1]


def test_a_list_for_programs(say: Say, log: Path) -> None:
    """The same as one JSON object, oldest first."""
    found = told(say, "list", "--log", log)
    assert {name: found[name] for name in ("total", "replayable", "counts")} == {
        "total": 3,
        "replayable": 2,
        "counts": {"bad_msgpack": 1, "misrouted": 2},
    }
    assert [one["record"] for one in found["letters"]] == [
        f"evensky.warps:{AWAY}:40",
        f"evensky.warps:{HOME}:41",
        f"evensky.warps:{AWAY}:42",
    ]
    assert [one["replayable"] for one in found["letters"]] == [True, False, True]
    assert found["letters"][1]["stage"] == "decode"


@pytest.mark.parametrize(
    ("words", "offsets"),
    [
        ("--reason misrouted", [40, 42]),
        ("--reason misrouted --reason bad_msgpack", [40, 41, 42]),
        ("--reason sealed", []),
        (f"--partition {HOME}", [41]),
        (f"--partition {HOME} --reason misrouted", []),
        ("--since 2026-09-21T14:14:20Z", [41, 42]),
        ("--until 2026-09-21T14:14:20", [40]),
        ("--since 2026-09-21T16:14:20+02:00 --until 2026-09-22", [41, 42]),
        ("--since 1s", []),
        ("--until 1s --limit 2", [41, 42]),
        ("--limit 1", [42]),
    ],
)
def test_filters(say: Say, log: Path, words: str, offsets: list[int]) -> None:
    """Each condition must hold; of more than the limit the newest are shown."""
    found = told(say, "list", "--log", log, *words.split())
    assert [int(one["record"].split(":")[2]) for one in found["letters"]] == offsets


def test_a_limit_limits_what_is_shown_not_what_is_counted(say: Say, log: Path) -> None:
    """Counts are of all letters, and the list says that it is not whole."""
    assert told(say, "list", "--log", log, "--limit", 1)["total"] == 3
    said = say("dead-letters", "list", "--log", log, "--limit", 1)
    assert "these are the newest 1" in said.out
    assert "3 dead letters" in said.out


def test_an_empty_list(say: Say, tmp_path: Path) -> None:
    """No dead letters is a fact, and good news."""
    write(tmp_path / "evensky.db", [])
    said = say("dead-letters", "list")
    assert (said.code, said.out, said.err) == (0, "0 dead letters\n", "")
    assert told(say, "list")["letters"] == []


def test_what_is_no_letter_is_told(say: Say, log: Path) -> None:
    """A record that cannot be read is named on stderr, the exit code is 1, the rest is told."""
    write(log, [Outgoing(TOPICS.dead_letters, 0, b"k", b"\xc1", ())])
    said = say("dead-letters", "list", "--log", log)
    assert said.code == 1
    assert "dead letter 0:" in said.err
    assert "cannot be read" in said.err
    assert "3 dead letters" in said.out


@pytest.mark.parametrize("words", ["list --limit 10", "replay --all --dry-run", "show 9:9"])
def test_a_flood_of_letters_is_not_held_in_memory(say: Say, tmp_path: Path, words: str) -> None:
    """Letters are read one by one: 60 MB of them are gone through in a fraction of that."""
    fields = msgspec.to_builtins(examples.arrived())
    flood = misrouted(value=examples.raw({**fields, "pad": ["p" * 8000] * 15}))
    one = posted(flood)
    assert one.value is not None
    assert 500 * len(one.value) > 60_000_000
    write(tmp_path / "evensky.db", [one] * 500)
    tracemalloc.start()
    try:
        said = say("dead-letters", *words.split())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said.code == (1 if words.startswith("show") else 0)
    assert peak < 20_000_000, peak


# -- show ------------------------------------------------------------------------------------------


def test_everything_of_a_letter_for_people(say: Say, log: Path) -> None:
    """Why, where from, what a replay would do, headers, and the value decoded."""
    said = say("dead-letters", "show", f"{AWAY}:0", "--log", log)
    assert (said.code, said.err) == (0, "")
    for words in (
        f"evensky.dead-letters:{AWAY}:0, written 2026-09-21T14:13:20",
        f"evensky.warps:{AWAY}:40",
        "misrouted, found in stage route",
        f"stands in partition {AWAY} but belongs to {HOME}",
        f"puts it on partition {HOME}",
        "live/hsc_rings_v1/9813/42/r",
        "  ce_type: warp.arrived.v1",
        '  "visit": 1,',
        '  "uri": "file:///warps/1228.fits",',
    ):
        assert words in said.out, words


def test_a_letter_is_shown_by_its_record_too(say: Say, log: Path) -> None:
    """Whoever has the position from the service's log or from `watch` finds the letter."""
    by_record = say("dead-letters", "show", f"evensky.warps:{HOME}:41", "--log", log)
    assert by_record.code == 0
    assert by_record.out == say("dead-letters", "show", f"{HOME}:0", "--log", log).out


def test_bytes_that_mean_nothing_are_dumped(say: Say, log: Path) -> None:
    """What cannot be decoded is shown byte by byte, with what is to be done about it."""
    said = say("dead-letters", "show", f"{HOME}:0", "--log", log)
    assert "does no good: it would only come back as bad_msgpack" in said.out
    assert "let it send the event anew" in said.out
    assert said.out.splitlines()[-1].split() == ["00000000", "c1", "."]


def test_everything_of_a_letter_for_programs(say: Say, log: Path) -> None:
    """The letter's message itself, its value decoded, and what a replay would do."""
    found = told(say, "show", f"{AWAY}:0", "--log", log)
    assert found["body"]["visit"] == 1
    assert found["replay"] == {
        "possible": True,
        "partition": HOME,
        "why_not": None,
        "advice": None,
    }
    value = base64.b64decode(found["letter"]["value"])
    assert schemas.decode_value(value, schemas.WarpArrived).visit == 1
    other = told(say, "show", f"{HOME}:0", "--log", log)
    assert other["body"] is None
    assert other["replay"]["possible"] is False


def test_a_letter_that_is_not_there(say: Say, log: Path) -> None:
    """A position without a letter ends with 1 and is named."""
    said = say("dead-letters", "show", "3:999", "--log", log)
    assert (said.code, said.out) == (1, "")
    assert "no dead letter at 3:999" in said.err


EVIL = "\x1b[2J\x9b31m\u202egone\u2028"


def test_nothing_steers_the_terminal(say: Say, tmp_path: Path) -> None:
    """Whatever stands in key, headers, sentence and value, only printable text comes out."""
    path = tmp_path / "evil.db"
    body = {"band": EVIL, EVIL: [EVIL, {EVIL: EVIL.encode()}]}
    headers = ((EVIL, EVIL.encode()), ("ce_id", b"\xff\x00"))
    evil = replace(misrouted(), key=EVIL.encode(), headers=headers, value=examples.raw(body))
    write(path, [posted(evil), posted(replace(evil, value=b"\xc1" + EVIL.encode()))])
    for words in (["list"], ["show", f"{AWAY}:0"], ["show", f"{AWAY}:1"], ["replay", "--all"]):
        for form in ([], ["--json"]):
            said = say("dead-letters", *words, *form, "--log", path)
            assert ("gone" in said.out) is (words[0] != "replay")
            for line in (said.out + said.err).splitlines():
                assert line.isprintable(), (words, line)


def test_a_letter_that_was_cut_says_so(say: Say, tmp_path: Path) -> None:
    """Of a value above 256 KiB the size, the checksum and the head are shown, and it stays."""
    large = replace(misrouted(), value=b"\x91" * (schemas.MAX_WHOLE_VALUE + 1))
    write(tmp_path / "evensky.db", [posted(large)])
    said = say("dead-letters", "show", f"{AWAY}:0")
    assert "262145 bytes, of which the head is kept; sha256 of all " in said.out
    assert "the first 512 bytes of the value" in said.out
    assert told(say, "show", f"{AWAY}:0")["whole"] is False


# -- replay ----------------------------------------------------------------------------------------


def test_what_can_be_cured_is_put_back_as_it_was(say: Say, log: Path) -> None:
    """Of all letters the misrouted records go home; the other one is refused, with the remedy."""
    said = say("dead-letters", "replay", "--all", "--log", log)
    assert said.code == 1
    assert f"{HOME}:0 refused, bad_msgpack: it would only come back" in said.out
    assert said.out.splitlines()[-1] == (
        "2 records replayed (2 misrouted), 1 refused (1 bad_msgpack)"
    )
    for record, visit in zip(inputs(log), (1, 2), strict=True):
        source = misrouted(visit)
        assert record.partition == HOME
        assert (record.key, record.value) == (source.key, source.value)
        assert record.headers == source.headers


@pytest.mark.parametrize(
    ("words", "code", "visits"),
    [
        ("--reason misrouted", 0, [1, 2]),
        (f"{AWAY}:1", 0, [2]),
        (f"{AWAY}:0 {AWAY}:1", 0, [1, 2]),
        (f"evensky.warps:{AWAY}:42 evensky.warps:{AWAY}:40", 0, [1, 2]),
        (f"{HOME}:0", 1, []),
        (f"{AWAY}:0 9:9", 1, [1]),
        ("--all --since 2026-09-21T14:15:00Z", 0, [2]),
        (f"--all --partition {AWAY}", 0, [1, 2]),
        ("--all --reason sealed", 0, []),
    ],
)
def test_letters_are_chosen(say: Say, log: Path, words: str, code: int, visits: list[int]) -> None:
    """By position, reason, time or partition; what is refused or missing makes the exit code 1."""
    found = told(say, "replay", "--log", log, *words.split(), code=code)
    assert found["replayed"] == len(visits)
    assert found["missing"] == [one for one in words.split() if one == "9:9"]
    sent = [schemas.decode(one.key, one.headers, one.value)[1] for one in inputs(log)]
    assert [getattr(one, "visit", None) for one in sent] == visits


def test_a_dry_run_does_nothing(say: Say, log: Path) -> None:
    """It tells what would be done, in the same words and with the same exit code."""
    said = say("dead-letters", "replay", "--all", "--dry-run", "--log", log)
    assert said.code == 1
    assert "2 records would be replayed (2 misrouted), 1 refused" in said.out
    assert inputs(log) == []
    found = told(say, "replay", "--all", "--dry-run", "--log", log, code=1)
    assert (found["dry_run"], found["replayed"], found["refused"]) == (True, 2, 1)
    assert found["refused_by_reason"] == {"bad_msgpack": 1}
    assert found["refusals"][0]["position"] == f"{HOME}:0"
    assert inputs(log) == []


def test_of_many_refusals_some_are_told(say: Say, tmp_path: Path) -> None:
    """A flood of letters does not flood the terminal; all are counted."""
    write(tmp_path / "evensky.db", [posted(replace(JUNK, offset=one)) for one in range(25)])
    said = say("dead-letters", "replay", "--all")
    assert said.out.count("refused, bad_msgpack") == 20
    assert "and 5 more refused" in said.out
    assert "25 refused (25 bad_msgpack)" in said.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("replay", "say which"),
        ("replay 1:1 --all", "say which"),
        ("replay --dry-run --since 2h", "say which"),
        ("replay one", "for example 3:17"),
        ("replay --reason bogus", "bogus"),
        ("show", "Missing argument"),
        ("show 1:x", "for example 3:17"),
        ("list --since yesterday", "2h, 3d"),
        ("list --limit 0", "--limit"),
        ("list --log none.db", "no log none.db"),
        ("replay --all --log none.db", "no log none.db"),
    ],
)
def test_wrong_use(say: Say, tmp_path: Path, words: str, sentence: str) -> None:
    """Wrong use ends with 2 and a sentence that names what is wrong, and writes nothing."""
    said = say("dead-letters", *words.split())
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", ["list", "show 1:1", "replay --all"])
def test_nobody_answers(say: Say, words: str) -> None:
    """Where no broker answers the exit code is 3, and the sentence says where."""
    where = ("--bootstrap-servers", "localhost:1", "--broker-grace-s", "1")
    said = say("dead-letters", *words.split(), *where)
    assert said.code == 3
    assert "localhost:1 does not answer" in said.err


@pytest.mark.parametrize("words", ["", "list", "show", "replay"])
def test_help(say: Say, words: str) -> None:
    """Each command explains itself."""
    said = say("dead-letters", *words.split(), "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: evensky dead-letters {words}".rstrip())
