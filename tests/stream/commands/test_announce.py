"""`evensky announce`, read back by `evensky watch`'s kind of reader."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import schemas
from stream.log.embedded import EmbeddedReader
from stream.machine import Machine
from stream.roots import recall
from tests.stream.commands.conftest import Say

LOG = Path("evensky.db")


def _announced() -> list[schemas.Message]:
    async def read() -> list[schemas.Message]:
        log = EmbeddedReader(LOG)
        await log.start()
        try:
            found = log.read(["evensky.warps"], follow=False)
            return [schemas.decode(r.key, r.headers, r.value)[1] async for r in found]
        finally:
            await log.close()

    return asyncio.run(read())


def test_announced(say: Say, warps: list[Path]) -> None:
    """Each file is announced once with what its header says, and its folder may be read."""
    said = say("announce", *warps, "--expected", 3, "--version", 2)
    assert (said.code, said.err) == (0, "")
    assert said.out == "3 warps of 1 group announced to evensky.db\n"
    found = [one for one in _announced() if isinstance(one, schemas.WarpArrived)]
    assert [(one.visit, one.expected, one.version) for one in found] == [
        (visit, 3, 2) for visit in (1, 2, 3)
    ]
    assert {one.group.key for one in found} == {"live/rings/7/3/r"}
    assert recall(LOG) == (warps[0].parent,)


def test_manifest_goes_first_and_closing_last(say: Say, warps: list[Path]) -> None:
    """The exact set is told before the arrivals, the closing after them."""
    assert say("announce", *warps, "--manifest", "--close").code == 0
    kinds = [type(one).__name__ for one in _announced()]
    assert kinds == ["GroupManifest", *["WarpArrived"] * 3, "GroupClosed"]
    manifest = _announced()[0]
    assert isinstance(manifest, schemas.GroupManifest)
    assert manifest.visits == (1, 2, 3)


def test_no_manifest_of_what_cannot_be_described(say: Say, warps: list[Path]) -> None:
    """If one file cannot be described the exact set is unknown, and nothing is announced."""
    warps[1].write_bytes(b"not FITS")
    said = say("announce", *warps, "--manifest")
    assert said.code == 2
    assert str(warps[1]) in said.err
    assert "nothing was announced" in said.err
    assert not LOG.exists()


def test_what_can_be_described_is_announced(say: Say, warps: list[Path]) -> None:
    """Without a manifest a bad file is named and costs itself alone; the exit code is 1."""
    warps[1].write_bytes(b"not FITS")
    said = say("announce", *warps, warps[0].with_name("absent.fits"))
    assert said.code == 1
    assert said.err.count("evensky: ") == 2
    assert said.out.startswith("2 warps of 1 group")
    assert len(_announced()) == 2


def test_nothing_to_announce(say: Say) -> None:
    """If no file can be described nothing is announced, and no log is made."""
    said = say("announce", "absent.fits")
    assert (said.code, said.out) == (1, "")
    assert "nothing was announced" in said.err
    assert not LOG.exists()


def test_json(say: Say, warps: list[Path]) -> None:
    """With --json what was announced is one JSON document on stdout."""
    said = say("announce", *warps, "--json")
    assert [one["visit"] for one in json.loads(said.out)["announced"]] == [1, 2, 3]


@pytest.mark.parametrize("command", ["announce", "match"])
def test_only_who_does_the_work_needs_the_room(
    say: Say, warps: list[Path], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Whoever announces to a service elsewhere may do so from the smallest machine."""
    monkeypatch.setattr("stream.machine.Machine.here", lambda: Machine(1, 2**29))
    said = say(command, *warps)
    assert (said.code == 0) is (command == "announce")
    assert ("worker_memory_bytes" in said.err) is (command == "match")
