"""`evensky demo`, on a night that is as small as can be."""

from __future__ import annotations

import json
from pathlib import Path

from tests.stream.commands.conftest import Say

SMALL = ("--size", "192", "--visits", "3", "--patches", "1", "--bands", "r", "--seconds", "1")


def test_a_small_night(say: Say) -> None:
    """The demo ends with 0, its pictures are pictures, its messages CloudEvents, its log honest."""
    said = say("demo", "night", *SMALL)
    assert said.code == 0, said
    assert "times less" in said.out
    told = [line.split()[1] for line in said.out.splitlines() if line.startswith("picture")]
    assert len(told) >= 2
    assert all(Path(name).read_bytes().startswith(b"\x89PNG") for name in told)
    lines = Path("night/messages.jsonl").read_text(encoding="utf-8").splitlines()
    types = [json.loads(line)["type"] for line in lines]
    assert types.count("background.model.v1") == 3
    assert types.count("group.matched.v1") == 1
    watched = say("watch", "--once", "--log", "night/evensky.db")
    assert "complete by manifest" in watched.out
    audited = say("audit", "--config", "night/evensky.toml")
    assert audited.code == 0, audited
    assert "nothing is lost, nothing is doubled" in audited.out


def test_only_its_own_folder_is_emptied(say: Say) -> None:
    """A folder that holds anything but a demo is left as it is."""
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work", encoding="utf-8")
    assert say("demo", "mine").code == 2
    assert Path("mine/thesis.txt").exists()
