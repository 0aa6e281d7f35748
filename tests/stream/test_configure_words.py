"""The words of refused settings, and how values are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import MatchConfig
from stream.configure import PREFIX, explain, load_settings, shown
from stream.machine import Machine
from stream.settings import Problem, Settings, SettingsError

MACHINE = Machine(cores=2, memory_bytes=32 * 2**30)
LAYERS = ("file", "environment", "option")


def load(
    options: Mapping[str, object] | None = None, file: Path | None = None, /, **environment: str
) -> Settings:
    """Load settings for a machine of two cores."""
    return load_settings(options or {}, file=file, environment=environment, machine=MACHINE)


def problems(
    options: Mapping[str, object] | None = None, file: Path | None = None, /, **environment: str
) -> tuple[Problem, ...]:
    """Return everything that is said against settings."""
    with pytest.raises(SettingsError) as caught:
        load(options, file, **environment)
    return caught.value.problems


# -- which place wins ------------------------------------------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(LAYERS), st.fixed_dictionaries({}, optional={
            "quorum": st.integers(1, 99), "max_attempts": st.integers(1, 99),
            "match.bin_size": st.integers(16, 512), "match.num_iter": st.integers(1, 9),
        }),
    )
)  # fmt: skip
def test_the_last_place_wins_name_by_name(
    tmp_path_factory: pytest.TempPathFactory, given_by: dict[str, dict[str, int]]
) -> None:
    """Options beat variables, variables beat the file, whatever else each of them gives."""
    path = tmp_path_factory.mktemp("toml") / "e.toml"
    top = [f"{n} = {v}" for n, v in given_by.get("file", {}).items() if "." not in n]
    inner = [f"{n[6:]} = {v}" for n, v in given_by.get("file", {}).items() if "." in n]
    path.write_text("\n".join([*top, "[match]", *inner]), encoding="utf-8")
    environment = {
        PREFIX + name.upper().replace(".", "__"): str(value)
        for name, value in given_by.get("environment", {}).items()
    }
    options: dict[str, object] = {"match": {}}
    for name, value in given_by.get("option", {}).items():
        place = options["match"] if "." in name else options
        assert isinstance(place, dict)
        place[name.removeprefix("match.")] = value
    found = load(options, path, **environment)
    defaults = {"quorum": 3, "max_attempts": 3, "match.bin_size": 256, "match.num_iter": 2}
    for name, default in defaults.items():
        layers = [layer for layer in LAYERS if name in given_by.get(layer, {})]
        expected = given_by[layers[-1]][name] if layers else default
        section = found.match_config() if "." in name else found
        assert getattr(section, name.removeprefix("match.")) == expected
        written = f"EVENSKY_{name.upper().replace('.', '__')}"
        option = f"-c {name[6:]}" if "." in name else f"--{name.replace('_', '-')}"
        places = {"file": str(path), "environment": written, "option": option}
        assert found.origin(name) == (places[layers[-1]] if layers else "default")


def test_empty_parts_of_a_list_of_folders_are_nothing() -> None:
    """A colon too many names no folder, least of all the present one."""
    assert load(EVENSKY_ALLOW=":/usr::/tmp:").allow == (Path("/usr"), Path("/tmp"))  # noqa: S108 - a folder that is there


# -- what is said ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"quorum": "many"},
            Problem(
                ("quorum",),
                "'many' should be a valid integer",
                "what it sets: members a group needs to end by quiet",
                ("--quorum",),
            ),
        ),
        (
            {"quorum": 0},
            Problem(
                ("quorum",),
                "0 should be greater than or equal to 1",
                "what it sets: members a group needs to end by quiet",
                ("--quorum",),
            ),
        ),
        (
            {"http": "everywhere"},
            Problem(
                ("http",),
                "'everywhere' is not HOST:PORT",
                f"what it sets: {Settings.model_fields['http'].description}",
                ("--http",),
            ),
        ),
        (
            {"max_message_bytes": 65_535},
            Problem(
                ("max_message_bytes",),
                "65535 should be greater than or equal to 65536",
                f"what it sets: {Settings.model_fields['max_message_bytes'].description}",
                ("--max-message-bytes",),
            ),
        ),
        (
            {"max_message_bytes": 2**27},
            Problem(
                ("max_message_bytes",),
                "128MiB should be less than or equal to 67108864",
                f"what it sets: {Settings.model_fields['max_message_bytes'].description}",
                ("--max-message-bytes",),
            ),
        ),
        (
            {"moonlight": 3},
            Problem(
                ("moonlight",),
                "there is no such setting",
                "evensky run --print-settings lists all",
                ("--moonlight",),
            ),
        ),
        (
            {"quorun": 3},
            Problem(
                ("quorun",), "there is no such setting", "did you mean quorum?", ("--quorun",)
            ),
        ),
        (
            {"match": {"bin_sice": 64}},
            Problem(
                ("match.bin_sice",),
                "there is no such setting",
                "there are " + ", ".join(load().match_config().to_mapping()),
                ("-c bin_sice",),
            ),
        ),
    ],
)  # fmt: skip
def test_a_refusal_is_a_sentence_with_its_remedy(
    options: dict[str, object], problem: Problem
) -> None:
    """What is wrong, where it was given, and what would be right: in these words, and no more."""
    assert problems(options) == (problem,)


def test_a_file_that_cannot_be_read_names_itself(tmp_path: Path) -> None:
    """A file is named as the place, with the system's reason and what would be right."""
    (problem,) = problems(None, tmp_path)
    assert problem == Problem(
        ("config",),
        f"{tmp_path} cannot be used (Is a directory)",
        "give a TOML file that can be read",
        (str(tmp_path),),
    )


def test_every_unknown_name_is_told_at_once(tmp_path: Path) -> None:
    """Misspellings in all three places are told together, each with its place."""
    path = tmp_path / "e.toml"
    path.write_text("quorums = 3\n", encoding="utf-8")
    found = problems({"grace": 1}, path, EVENSKY_WORKER="1")
    assert [one.origins for one in found] == [(str(path),), ("EVENSKY_WORKER",), ("--grace",)]


def test_a_table_that_is_no_setting_is_told(tmp_path: Path) -> None:
    """Matching that is no table is refused under its name, not half taken."""
    path = tmp_path / "e.toml"
    path.write_text("match = 3\n", encoding="utf-8")
    (problem,) = problems(None, path)
    assert problem.settings == ("match",)
    assert problem.origins == (str(path),)


def test_several_values_that_are_impossible_are_told_at_once() -> None:
    """Each value of its own is refused, with its own place."""
    found = problems({"quorum": 0, "partitions": 0}, None, EVENSKY_GRACE_S="x")
    places = {one.settings[0]: one.origins[0] for one in found}
    assert places == {
        "quorum": "--quorum", "partitions": "--partitions", "grace_s": "EVENSKY_GRACE_S",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["EVENSKY_MATCH__BIN_SICE", "EVENSKY_MATCH__X"])
def test_variables_of_the_matching_are_always_ours(name: str) -> None:
    """Nobody else writes EVENSKY_MATCH__: an unknown one is refused with its name."""
    (problem,) = problems(None, None, **{name: "1"})
    assert problem.origins == (name,)


# -- how values are shown --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "off"),
        ((), "none"),
        (("a",), "a"),
        ((Path("/a"), Path("/b")), "/a, /b"),
        ([], "none"),
        (0, "0"),
        (2**20 - 1, "1048575"),
        (2**20, "1MiB"),
        (3 * 2**19, "1.5MiB"),
        (2**30 - 2**20, "1023MiB"),
        (2**30, "1GiB"),
        (5 * 2**29, "2.5GiB"),
        (True, "True"),
        (120.0, "120"),
        (0.5, "0.5"),
        (43_200.0, "43200"),
        ("auto", "auto"),
    ],
)
def test_values_are_shown_as_an_operator_writes_them(value: object, text: str) -> None:
    """Sizes have their unit, None is off, and nothing has decimals for nothing."""
    assert shown(value) == text


def test_sizes_that_are_shown_can_be_given() -> None:
    """What the table shows of a size is taken back as the same size."""
    for name in ("max_warp_bytes", "worker_memory_bytes", "fetch_in_flight_bytes"):
        default = getattr(load(), name)
        assert getattr(load({name: shown(default)}), name) == default


def test_the_table_is_even_and_says_what_each_setting_is() -> None:
    """Columns begin under each other; the last one holds the words about each setting."""
    lines = explain(load()).splitlines()
    parts = [re.split(r" {2,}", line) for line in lines]
    assert all(len(row) == 4 for row in parts)
    for column in range(4):
        starts = {line.index(row[3]) for line, row in zip(lines, parts, strict=True)}
        assert len(starts) == 1, column
    words = {row[0]: row[3] for row in parts}
    for name, field in Settings.model_fields.items():
        if name != "match":
            assert words[name] == field.description
    of_match = {name: words[name] for name in words if name.startswith("match.")}
    assert of_match == {f"match.{name}": text for name, text in MatchConfig.expected().items()}
    assert len(of_match) == len(load().match_config().to_mapping())
