"""What commands share: help in sections, options out of settings, identities, words for people."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.commands import output
from stream.commands.help import SectionedCommand, option
from stream.commands.identity import override_from
from stream.commands.options import LOG_SETTINGS, settings_from, settings_options
from stream.commands.simulate import survey_options
from stream.settings import Settings, SettingsError
from stream.simulate import SurveySpec
from tests.stream.commands.conftest import Say

# -- words for people ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 warps"), (1, "1 warp"), (2, "2 warps"), (11, "11 warps")]
)
def test_one_is_not_many(number: int, words: str) -> None:
    """Only one of a thing stands without its plural."""
    assert output.count_of(number, "warp") == words


@settings(derandomize=True, max_examples=100)
@given(st.text())
def test_nothing_that_is_printed_steers_a_terminal(text: str) -> None:
    """Strangers' text keeps its length and its visible signs; each other sign is replaced."""
    shown = output.printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)
    kept = [(a, b) for a, b in zip(text, shown, strict=True) if a != b]
    assert all(not a.isprintable() and b == "\N{REPLACEMENT CHARACTER}" for a, b in kept)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_is_as_wide_as_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a table is as wide as that; in a pipe it is never cut."""
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setattr(sys, "stdout", _Terminal())
    assert output.table_console().width == 70
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert output.table_console().width == 200


def test_busy_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of a command does not fill with spinners."""
    monkeypatch.setenv("TERM", "xterm")
    for stream, seen in ((_Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with output.busy("drawing"):
            pass
        assert ("drawing" in stream.getvalue()) == seen


def test_a_folder_is_made_with_all_above_it_or_refused(tmp_path: Path) -> None:
    """Folders are made; one that is there is kept; one that cannot be is refused by name."""
    deep = tmp_path / "a" / "b"
    output.make_folder(deep)
    (deep / "kept").touch()
    output.make_folder(deep)
    assert (deep / "kept").exists()
    with pytest.raises(click.UsageError, match=r"kept/x cannot be made: Not a directory"):
        output.make_folder(deep / "kept" / "x")


# -- help ------------------------------------------------------------------------------------------


def help_of(*decorators: Any) -> str:
    """Return the help of a command with some options."""

    def body(**_: Any) -> None:
        """Do nothing."""

    command = click.command("thing", cls=SectionedCommand)
    for one in reversed(decorators):
        body = one(body)
    return click.Context(made := command(body)).command.get_help(click.Context(made))


def test_options_stand_under_their_headings_own_ones_first() -> None:
    """A command's own options come before any section, sections in the order of their options."""
    text = help_of(
        option("Second things", "--later", help="L."),
        click.option("--own", help="O."),
        option("Third things", "--last", help="Z."),
        option("Second things", "--also", help="A."),
        click.argument("folder"),
    )
    places = [text.index(word) for word in
              ("Options:", "--own", "--help", "Second things:", "--later", "--also",
               "Third things:", "--last")]  # fmt: skip
    assert places == sorted(places)
    assert "folder" not in text[text.index("Options:") :]


def test_the_surveys_options_have_its_defaults(say: Say) -> None:
    """What is simulated without a word is the default survey, and the help says so."""
    default = SurveySpec()
    text = say("simulate", "--help").out
    for name in ("seed", "patches", "visits", "size"):
        assert f"[default: {getattr(default, name)}]" in " ".join(text.split())
    assert f"[default: {','.join(default.bands)}]" in " ".join(text.split())
    assert "--seed" in help_of(survey_options)


# -- options out of settings -----------------------------------------------------------------------


def parsed(decorator: Any, *words: str) -> dict[str, Any]:
    """Return what a command with these options gets from words."""
    found: dict[str, Any] = {}

    def body(**values: Any) -> None:
        found.update(values)

    click.command()(decorator(body)).main([*words], standalone_mode=False)
    return found


def test_a_command_has_the_options_it_asked_for_and_the_file() -> None:
    """Only the named settings are options, with `--config`; the matching only when asked for."""
    assert set(parsed(settings_options(LOG_SETTINGS))) == {*LOG_SETTINGS, "config"}
    everything = set(parsed(settings_options(match=True)))
    assert everything == {*Settings.model_fields, "config", "match_values"} - {
        "match",
        "policies",
        "sasl_password",
    }
    assert "match_values" not in parsed(settings_options())


def test_options_become_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Words become values of settings; the environment and the file fill what was not said."""
    path = tmp_path / "e.toml"
    path.write_text("min_members = 4\nquorum = 9\n", encoding="utf-8")
    monkeypatch.setenv("EVENSKY_MAX_ATTEMPTS", "7")
    words = ["--quorum", "5", "--allow", "/usr", "--allow", "/", "--config", str(path),
             "-c", "bin_size=64", "-c", " num_iter = 4 "]  # fmt: skip
    found = settings_from(parsed(settings_options(match=True), *words))
    assert (found.quorum, found.min_members, found.max_attempts) == (5, 4, 7)
    assert found.allow == (Path("/usr"), Path("/"))
    assert (found.match_config().bin_size, found.match_config().num_iter) == (64, 4)
    assert found.origin("quorum") == "--quorum"
    assert found.origin("min_members") == str(path)
    assert found.origin("max_attempts") == "EVENSKY_MAX_ATTEMPTS"


@pytest.mark.parametrize("word", ["bin_size", "=64", ""])
def test_a_matching_value_has_a_name_and_an_equals_sign(word: str) -> None:
    """`-c` takes NAME=VALUE and nothing else, and shows an example."""
    with pytest.raises(click.BadParameter, match="is not NAME=VALUE, for example bin_size=64"):
        parsed(settings_options(match=True), "-c", word)


def test_a_value_may_hold_an_equals_sign() -> None:
    """Only the first equals sign parts the name from its value."""
    found = parsed(settings_options(match=True), "-c", "a=b=c")
    assert found["match_values"] == (("a", "b=c"),)


def test_impossible_options_are_refused_with_their_names() -> None:
    """What the settings refuse, the options refuse, under the option's name."""
    with pytest.raises(SettingsError, match="quorum \\(--quorum\\)"):
        settings_from(parsed(settings_options(), "--quorum", "0"))


# -- identities ------------------------------------------------------------------------------------

NOBODY: dict[str, Any] = dict.fromkeys(
    ("campaign", "skymap", "tract", "patch", "band", "visit"), None
)
FILES = (Path("a"), Path("b"))


def test_what_was_not_said_is_left_to_the_header() -> None:
    """An override holds what the user said and nothing else."""
    found = override_from({**NOBODY, "tract": 0, "band": "g"}, FILES)
    assert (found.tract, found.band) == (0, "g")
    said = {name for name in NOBODY if getattr(found, name) is not None}
    assert said == {"tract", "band"}


@pytest.mark.parametrize("name", ["campaign", "skymap", "band"])
@pytest.mark.parametrize("value", ["", "a/b", "x" * 65, "a\x00"])
def test_a_name_that_no_group_can_have_is_refused(name: str, value: str) -> None:
    """A slash, nothing, too much or control signs in a name are refused before any file is read."""
    with pytest.raises(click.UsageError, match=name):
        override_from({**NOBODY, name: value}, FILES)


def test_one_visit_is_one_file() -> None:
    """A visit can be said of a single file only."""
    assert override_from({**NOBODY, "visit": 0}, FILES[:1]).visit == 0
    with pytest.raises(click.UsageError, match="--visit names one warp, and there are 2 files"):
        override_from({**NOBODY, "visit": 0}, FILES)


# -- simulate and demo -----------------------------------------------------------------------------


def test_simulate_tells_what_it_wrote_and_where(say: Say) -> None:
    """Warps and groups are counted, the folder is named, and so is the file that explains it."""
    said = say("simulate", "night", "--size", 96, "--visits", 2, "--patches", 1, "--bands", "r")
    assert said.code == 0
    assert said.out.splitlines() == [
        "2 warps of 1 group in night",
        "what is what: night/README.txt",
    ]
    assert said.err == ""


def test_a_demo_that_does_not_hold_ends_with_1(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that fail the check are told as a failure, in words and in the exit code."""
    from stream.demo.report import Report  # noqa: PLC0415 - what is spoilt, for this test alone

    monkeypatch.setattr(Report, "faults", property(lambda _: ["the sky fell"]))
    said = say("demo", "night", "--size", 128, "--visits", 3, "--patches", 1, "--bands", "r",
               "--seconds", 1)  # fmt: skip
    assert said.code == 1
    assert "evensky: the sky fell" in said.err
