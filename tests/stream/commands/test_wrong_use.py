"""Wrong use of any command: one sentence that helps, and the right exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stream.commands.conftest import Say

WRONG_USE = {
    "bogus": "No such command",
    "run --bogus": "No such option",
    "run --http 1.2": "HOST:PORT",
    "run --workers many": "--workers",
    "run --quiet-s 7 --deadline-s 5": "quiet_s",
    "run --log nowhere/evensky.db": "no folder nowhere",
    "run --config none.toml": "none.toml",
    "run -c bin_size=wide": "integer",
    "run -c bin=64": "no such setting",
    "run -c bin_size": "NAME=VALUE",
    "run --bootstrap-servers nowhere": "HOST:PORT",
    "run --bootstrap-servers localhost:1": "allow",
    "match": "Missing argument",
    "announce": "Missing argument",
    "watch --log none.db": "no log none.db",
    "watch --log .": "cannot be opened",
    "schemas unheard.v1": "warp.arrived.v1",
    "schemas -o taken": "is a file",
    "schemas -o taken/x": "cannot be made",
    "topics create": "--bootstrap-servers",
    "simulate taken": "is a file",
    "simulate taken/x": "cannot write",
    "simulate new --bands q": "g, r, i, z",
    "simulate new --size 5": "96 to 4200",
    "simulate new --visits 1": "2 to 60",
    "demo taken": "is a file",
    "demo taken/x": "cannot be made",
    "demo warps": "not a demo's",
    "demo new --seconds 0": "1<=x<=600",
}


@pytest.mark.parametrize("words", WRONG_USE)
def test_wrong_use(words: str, say: Say, warps: list[Path], tmp_path: Path) -> None:
    """Wrong use ends with 2 and a sentence that names what is wrong, and writes nothing."""
    (tmp_path / "taken").touch()
    before = sorted(tmp_path.rglob("*"))
    said = say(*words.split())
    assert said.code == 2
    assert WRONG_USE[words] in said.err
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before
    assert warps[0].exists()


@pytest.mark.parametrize("command", ["match", "announce"])
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--campaign a/b", "'a/b'"),
        ("--visit 4", "3 files"),
        ("warps/warp-r-1.fits", "both visit 1"),
    ],
)
def test_impossible_identity(
    command: str, words: str, sentence: str, say: Say, warps: list[Path]
) -> None:
    """An identity that cannot be, or that two files would share, is refused before any work."""
    said = say(command, *warps, *words.split())
    assert said.code == 2
    assert sentence in said.err
    assert not Path("evensky.db").exists()


@pytest.mark.parametrize(
    "command",
    ["watch --once", "topics create", "topics check", "announce warps/warp-r-1.fits"],
)
def test_nobody_answers(command: str, say: Say, warps: list[Path]) -> None:
    """Where no broker answers the exit code is 3, and the sentence says where."""
    assert warps
    said = say(*command.split(), "--bootstrap-servers", "localhost:1", "--broker-grace-s", "1")
    assert said.code == 3
    assert "localhost:1 does not answer" in said.err


def test_not_a_log(say: Say, warps: list[Path]) -> None:
    """A file that is no log is refused, by whoever would read or write it, and not touched."""
    other = Path("notes.txt")
    other.write_text("my notes", encoding="utf-8")
    for words in (["watch", "--once"], ["announce", str(warps[0])]):
        said = say(*words, "--log", other)
        assert said.code == 2
        assert "not a log" in said.err
    assert other.read_text(encoding="utf-8") == "my notes"


COMMANDS = (
    "announce",
    "dead-letters",
    "demo",
    "match",
    "run",
    "schemas",
    "simulate",
    "topics",
    "watch",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, say: Say) -> None:
    """Each command explains itself, and every option that takes a value has words about it."""
    said = say(command, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: evensky {command}")
    assert command in say("--help").out


def test_help_of_the_service_is_whole(say: Say) -> None:
    """Every setting is an option of the service, under one heading, with its unit and default."""
    text = " ".join(say("run", "--help").out.split())
    assert "--quiet-s SECONDS" in text
    assert "--worker-memory-bytes BYTES" in text
    assert "[default: 2GiB]" in text
    assert text.index("The log:") < text.index("When a group is complete:")


def test_print_settings(say: Say) -> None:
    """The settings can be read back with where each came from, and nothing is started."""
    said = say("run", "--print-settings", "--quorum", 7)
    assert said.code == 0
    (line,) = [one for one in said.out.splitlines() if one.startswith("quorum")]
    assert line.split()[1:3] == ["7", "--quorum"]
