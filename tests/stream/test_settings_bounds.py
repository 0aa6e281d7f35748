"""Every bound of every setting, and every pair that cannot be, with the words about each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core import VerdictLimits
from stream.address import parse_address
from stream.machine import Disk, Machine
from stream.settings import Context, Problem, Settings, SettingsError
from stream.spool.place import laid_bytes

GIB, MIB = 2**30, 2**20
YEAR = 31_536_000
ENDLESS = Disk(2**70, in_memory=False)
HUGE = Machine(8, 2**60, lambda _: ENDLESS)


def make(**values: object) -> Settings:
    """Make settings for a machine without bounds."""
    return Settings.model_validate(values, context=Context(HUGE, {}))


def refusals(**values: object) -> tuple[Problem, ...]:
    """Return what is said against settings; nothing, if they are possible."""
    return refusals_on(HUGE, values)


def refusals_on(machine: Machine, values: Mapping[str, object]) -> tuple[Problem, ...]:
    """Return what is said against settings on a machine."""
    try:
        Settings.model_validate(values, context=Context(machine, {}))
    except SettingsError as error:
        return error.problems
    return ()


# -- each setting by itself ------------------------------------------------------------------------

# Least and largest value of each number, and its default.
BOUNDS: Mapping[str, tuple[float, float, float]] = {
    "partitions": (1, 1024, 8),
    "broker_grace_s": (1e-3, 86_400, 120),
    "session_timeout_s": (0, 1800, 10),
    "max_message_bytes": (65_536, 64 * MIB, 4 * MIB),
    "max_warp_bytes": (MIB, GIB, 512 * MIB),
    "max_warp_side_px": (1, 65_536, 8192),
    "fetch_in_flight_bytes": (512 * MIB, 2**50, GIB),
    "spool_bytes": (0, 2**60 // 2**10, 4 * GIB),
    "missing_grace_s": (1e-3, YEAR, 5),
    "failing_grace_s": (1e-3, YEAR, 600),
    "storage_stall_s": (1e-3, 3600, 20),
    "worker_memory_bytes": (256 * MIB, 2**40, 2 * GIB),
    "workers": (0, 1024, 8),
    "job_timeout_s": (1e-3, YEAR, 120),
    "max_attempts": (1, 100, 3),
    "max_due_groups": (1, 100_000, 64),
    "ahead_groups": (1, 10_000, 16),
    "ahead_jobs": (1, 10_000, 64),
    "ahead_max_bytes": (0, 2**40, 2**26),
    "ingest_max_records": (1, 10_000, 1000),
    "ingest_max_ms": (1, 10_000, 100),
    "quorum": (1, 100_000, 3),
    "quiet_s": (1e-3, 43_199.75, 600),
    "deadline_s": (600.25, YEAR, 43_200),
    "min_members": (2, 100_000, 2),
    "update_quiet_s": (1e-3, 3600, 600),
    "update_max_s": (600, YEAR, 3600),
    "seal_retention_s": (1e-3, YEAR, 2_592_000),
    "grace_s": (1e-3, YEAR, 30),
    "results_max_bytes": (0, 2**50, 2**30),
    "verdict_max_sky_chi2": (1, 1e6, 2),
    "verdict_sky_chi2_spread": (0, 1000, 12),
    "verdict_max_worst_block": (1e-3, 1e6, 6),
    "verdict_max_extrapolated_fraction": (0, 1, 0.15),
    "verdict_min_coverage": (0, 1, 0.2),
}
UNBOUND = {
    "log", "bootstrap_servers", "app", "instance", "topic_prefix", "allow", "match",
    "verdict_profile", "verdict_flags", "http", "log_format", "log_level",
    "security_protocol", "ssl_ca_file", "ssl_certificate_file", "ssl_key_file",
    "sasl_mechanism", "sasl_user", "sasl_password_file", "sasl_password",
    "ahead", "local_dir", "results_shared", "spool_dir",
    "policies", "reference_margin", "seal_after_s", "state_format", "accept_loss",
}  # fmt: skip
COARSE = {"match": {"bin_size": 1024}, "spool_bytes": 0}
"""So that no image is too large for its message, nor for the spool."""


def test_every_number_is_held_to_its_bounds() -> None:
    """The table above leaves no setting out."""
    assert {*BOUNDS, *UNBOUND} == set(Settings.model_fields)


@pytest.mark.parametrize("name", BOUNDS)
def test_the_bounds_themselves_are_possible(name: str) -> None:
    """Least and largest value are taken, and a setting that is not given has its default."""
    least, largest, default = BOUNDS[name]
    coarse = {} if name == "max_message_bytes" else COARSE
    for value in (least, largest):
        fitting = {"max_warp_side_px": 4096} if name == "max_message_bytes" else coarse
        if not (name in ("session_timeout_s", "workers") and value == 0):
            assert getattr(make(**{**fitting, name: value}), name) == value
    assert getattr(make(), name) == default


@pytest.mark.parametrize("name", BOUNDS)
def test_beyond_the_bounds_is_refused_by_name(name: str) -> None:
    """A step below the least or above the largest is refused under the setting's name."""
    least, largest, _ = BOUNDS[name]
    step = 0.5 if name.endswith("_s") else 1
    assert name in named(**{**COARSE, name: least - step})
    if name not in ("worker_memory_bytes", "fetch_in_flight_bytes"):  # only machines bound these
        assert name in named(**{**COARSE, name: largest + step})


def named(**values: object) -> set[str]:
    """Return the settings that a refusal names; none, if there is no refusal."""
    try:
        make(**values)
    except ValidationError as error:
        return {str(detail["loc"][0]) for detail in error.errors()}
    except SettingsError as error:
        return {name for problem in error.problems for name in problem.settings}
    return set()


@pytest.mark.parametrize("name", [n for n in BOUNDS if n.endswith("_s")])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "soon", None, []])
def test_a_time_is_a_finite_number(name: str, value: object) -> None:
    """No time is NaN, infinite, negative or a word; only the quiet time may be switched off."""
    if name == "quiet_s" and value is None:
        assert make(quiet_s=None).quiet_s is None
        return
    with pytest.raises(ValidationError, match=name):
        make(**{name: value})


@pytest.mark.parametrize("text", ["off", " OFF ", "Off"])
def test_quiet_may_be_off_and_nothing_else(text: str) -> None:
    """Off switches the quiet rule off, however it is written; a deadline cannot be off."""
    assert make(quiet_s=text).policy_values()["quiet_s"] is None
    with pytest.raises(ValidationError, match="deadline_s"):
        make(deadline_s=text)


@pytest.mark.parametrize("name", ["app", "instance", "topic_prefix"])
def test_a_name_is_what_kafka_takes(name: str) -> None:
    """A hundred letters, digits, dots, dashes and underlines, led by a letter or digit."""
    for good in ("a", "9", "a.b-c_D", "x" * 100):
        assert getattr(make(**{name: good}), name) == good
    for bad in ("", ".a", "_a", "x" * 101, "a b", "a/b", "ä", "a\n", "\na"):
        with pytest.raises(ValidationError, match=name):
            make(**{name: bad})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("verdict_profile", ("survey", "lsst2017", "none")),
        ("log_format", ("auto", "json", "console")),
        ("log_level", ("info", "debug", "warning", "error")),
    ],
)
def test_a_choice_is_one_of_its_words(name: str, values: tuple[str, ...]) -> None:
    """Each word is taken, the first is the default, another is refused."""
    assert [getattr(make(**{name: value}), name) for value in values] == list(values)
    assert getattr(make(), name) == values[0]
    with pytest.raises(ValidationError, match=name):
        make(**{name: "loud"})


LIMITS = [name for name in BOUNDS if name.startswith("verdict_")]


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "much", []])
def test_a_limit_is_a_finite_number(name: str, value: object) -> None:
    """No limit of a verdict is NaN, infinite, negative or a word."""
    assert name in named(**{name: value})


@pytest.mark.parametrize("text", ["off", " OFF ", None])
def test_two_limits_may_be_off(text: object) -> None:
    """Off lets any sky_chi2 and any block pass, known or not; shares have 0 and 1 for that."""
    for name in LIMITS:
        if name in ("verdict_max_sky_chi2", "verdict_max_worst_block"):
            field = name.removeprefix("verdict_max_")
            assert getattr(make(**{name: text}).verdict_limits(), field) == math.inf
        else:
            assert name in named(**{name: text})


def test_limits_are_those_of_the_verdict() -> None:
    """Each setting is the limit of its name, and the defaults are core's own."""
    assert make().verdict_limits() == VerdictLimits()
    given = make(
        verdict_max_sky_chi2=3,
        verdict_sky_chi2_spread=4.5,
        verdict_max_worst_block=7,
        verdict_max_extrapolated_fraction=0.5,
        verdict_min_coverage=0.25,
        verdict_flags="sources_unmasked",
    )
    assert given.verdict_limits() == VerdictLimits(3, 4.5, 7, 0.5, 0.25, ("sources_unmasked",))


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ("edge_step", ("edge_step",)),
        ("sources_unmasked, edge_step,edge_step", ("sources_unmasked", "edge_step")),
        ("none", ()),
        ("", ()),
        (["edge_step"], ("edge_step",)),
        ([], ()),
    ],
)
def test_flags_are_names_with_commas(given: object, flags: tuple[str, ...]) -> None:
    """Or none of them; in a file they may be a list. An unknown one is refused."""
    assert make(verdict_flags=given).verdict_flags == flags
    assert named(verdict_flags="edge_steps") == {"verdict_flags"}


def test_an_unknown_setting_is_refused() -> None:
    """Nothing is passed over in silence."""
    with pytest.raises(ValidationError, match="quorums"):
        make(quorums=3)


def test_a_value_that_is_refused_is_not_repeated() -> None:
    """What was given may be a secret put in the wrong place: the error does not hold it."""
    with pytest.raises(ValidationError) as caught:
        make(quorum="hunter2")
    assert "hunter2" not in str(caught.value)


# -- pairs that cannot be --------------------------------------------------------------------------

PAIRS: Mapping[str, tuple[dict[str, object], Problem]] = {
    "quiet": (
        {"quiet_s": 61, "deadline_s": 60.5},
        Problem(
            ("quiet_s", "deadline_s"),
            "a quiet time of 61 s never ends before the deadline of 60.5 s",
            "make quiet_s smaller than deadline_s, or off",
        ),
    ),
    "quiet as long": (
        {"quiet_s": 60, "deadline_s": 60},
        Problem(
            ("quiet_s", "deadline_s"),
            "a quiet time of 60 s never ends before the deadline of 60 s",
            "make quiet_s smaller than deadline_s, or off",
        ),
    ),
    "updates": (
        {"update_quiet_s": 2.5, "update_max_s": 2},
        Problem(
            ("update_quiet_s", "update_max_s"),
            "an update cannot wait 2.5 s for quiet and 2 s at most",
            "make update_quiet_s at most update_max_s",
        ),
    ),
    "read ahead": (
        {"max_warp_bytes": 2 * MIB, "fetch_in_flight_bytes": 2 * MIB - 1},
        Problem(
            ("max_warp_bytes", "fetch_in_flight_bytes"),
            "the largest warp would never fit into what may be read ahead",
            "make fetch_in_flight_bytes at least max_warp_bytes",
        ),
    ),
    "two logs": (
        {"log": Path("x.db"), "bootstrap_servers": "a:1"},
        Problem(
            ("log", "bootstrap_servers"),
            "the log is either a file or Kafka",
            "take one of the two away",
        ),
    ),
    "patience": (
        {"bootstrap_servers": "a:1", "session_timeout_s": 10, "broker_grace_s": 10},
        Problem(
            ("session_timeout_s", "broker_grace_s"),
            "a healthy group may be silent for 10 s, and the service would give up after 10 s",
            "make broker_grace_s larger than session_timeout_s",
        ),
    ),
    "a folder": (
        {"allow": [Path("nowhere"), Path("/")]},
        Problem(("allow",), "there is no folder nowhere", "make it or take it away"),
    ),
    "a place for the log": (
        {"log": Path("nowhere/x.db"), "allow": [Path("/")]},
        Problem(("log",), "there is no folder nowhere", "make it first"),
    ),
    "messages": (
        {"match": {"bin_size": 10}, "max_warp_side_px": 1001, "max_message_bytes": 65_536},
        Problem(
            ("match.bin_size", "max_warp_side_px", "max_message_bytes"),
            "bins of 10 px on 1001 px make a message of 130604 bytes, more than the 65536 allowed",
            "raise bin_size, lower max_warp_side_px to the survey's, or raise max_message_bytes "
            "here and on the models topic",
        ),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_that_cannot_be_is_refused_with_its_remedy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is refused alone, both settings named, in these words."""
    monkeypatch.chdir(tmp_path)
    values, problem = PAIRS[name]
    assert refusals(**values) == (problem,)


@pytest.mark.parametrize(
    "values",
    [
        {"quiet_s": 59.9, "deadline_s": 60},
        {"quiet_s": "off", "deadline_s": 1},
        {"update_quiet_s": 2, "update_max_s": 2},
        {"max_warp_bytes": 2 * MIB, "fetch_in_flight_bytes": 2 * MIB},
        {"bootstrap_servers": "a:1", "session_timeout_s": 9.9, "broker_grace_s": 10},
        {"session_timeout_s": 10, "broker_grace_s": 10},
        {"log": Path("x.db")},
        {"match": {"bin_size": 10}, "max_warp_side_px": 690, "max_message_bytes": 65_536},
    ],
)
def test_just_possible(
    values: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is just possible is taken: Kafka's times do not matter where there is no Kafka."""
    monkeypatch.chdir(tmp_path)
    assert refusals(**values) == ()


def test_a_remedy_followed_helps() -> None:
    """Each remedy that names a number to change is true: changed so, the settings stand."""
    assert refusals(quiet_s="off", deadline_s=60.5) == ()
    assert refusals(update_quiet_s=2, update_max_s=2) == ()
    fine: dict[str, object] = {"match": {"bin_size": 10}, "max_warp_side_px": 1001}
    assert refusals(**{**fine, "max_message_bytes": 130_604}) == ()
    assert refusals(**{**fine, "max_message_bytes": 130_603}) != ()


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.integers(1, 32),
    st.integers(256, 8192),
    st.integers(512, 8192),
    st.integers(1024, 65_536),
)
def test_memory_is_refused_exactly_where_it_does_not_suffice(
    workers: int, worker_mib: int, ahead_mib: int, machine_mib: int
) -> None:
    """Workers, what is read ahead and 512 MiB for the service must fit into the machine."""
    values = {
        "workers": workers,
        "worker_memory_bytes": worker_mib * MIB,
        "fetch_in_flight_bytes": ahead_mib * MIB,
    }
    found = refusals_on(Machine(4, machine_mib * MIB), values)
    fits = workers * worker_mib + ahead_mib + 512 <= machine_mib
    assert (found == ()) == fits
    if found:
        assert found[0].settings == ("workers", "worker_memory_bytes", "fetch_in_flight_bytes")
        assert found[0].remedy == "lower one of them or raise the container's limit"


# -- the spool -------------------------------------------------------------------------------------

TWO = 2 * laid_bytes((1000, 1000))
SMALL: Mapping[str, object] = {
    "max_warp_side_px": 1000,
    "match": {"bin_size": 100},
    "workers": 1,
    "worker_memory_bytes": GIB,
    "fetch_in_flight_bytes": GIB,
}


def on_disk(size: int, memory: int = 2**60, *, in_memory: bool = False) -> Machine:
    """Return a machine all of whose folders lie on one disk."""
    return Machine(4, memory, lambda _: Disk(size, in_memory=in_memory))


@pytest.mark.parametrize(("size", "fits"), [(0, True), (1, False), (TWO - 1, False), (TWO, True)])
def test_a_spool_holds_the_two_warps_of_a_match_or_is_off(size: int, *, fits: bool) -> None:
    """The largest that the settings allow."""
    found = refusals_on(on_disk(2**60), {**SMALL, "spool_bytes": size})
    assert (found == ()) is fits
    for problem in found:
        assert problem.settings == ("spool_bytes", "max_warp_side_px")
        assert "two warps of 1000 px a side take 0.0224 GiB decoded" in problem.sentence
        assert "turn the spool off with 0" in problem.remedy


@pytest.mark.parametrize("lacking", [0, 1])
def test_a_spool_fits_on_its_disk(lacking: int) -> None:
    """With what is read ahead, which lands there too."""
    found = refusals_on(on_disk(3 * GIB - lacking), {**SMALL, "spool_bytes": 2 * GIB})
    assert len(found) == lacking
    for problem in found:
        assert problem.settings == ("spool_bytes", "spool_dir")
        assert "2 GiB of spool and 1 GiB read ahead do not fit" in problem.sentence
        assert problem.remedy == "lower spool_bytes or name another spool_dir"


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("lacking", [0, 1])
def test_a_spool_in_memory_counts_as_memory(lacking: int, *, in_memory: bool) -> None:
    """On a tmpfs it stands in the sum and in the sentence; on a disk in neither."""
    memory = 2 * GIB + 512 * MIB + 3 * GIB - lacking
    machine = on_disk(2**60, memory, in_memory=in_memory)
    found = refusals_on(machine, {**SMALL, "spool_bytes": 3 * GIB})
    assert len(found) == (lacking if in_memory else 0)
    for problem in found:
        assert problem.settings[-1] == "spool_bytes"
        assert "3 GiB of spool in memory" in problem.sentence
    assert refusals_on(machine, {**SMALL, "spool_bytes": 0}) == ()


@given(st.integers(0, 2**33), st.integers(0, 2**33), st.sampled_from([False, True]))
@settings(derandomize=True, max_examples=30, deadline=None)
def test_as_many_workers_as_fit(spool: int, ahead: int, in_memory: bool) -> None:
    """One more would not, on this machine, and none is refused that could be had."""
    values = {**SMALL, "spool_bytes": TWO + spool, "ahead_max_bytes": ahead}
    machine = on_disk(2**60, 24 * GIB, in_memory=in_memory)
    given_none = Settings.model_validate({**values, "workers": 0}, context=Context(machine, {}))
    workers = given_none.workers
    assert refusals_on(machine, {**values, "workers": workers}) == ()
    assert workers == machine.cores or refusals_on(machine, {**values, "workers": workers + 1})


def test_the_disk_is_that_of_the_spools_folder(tmp_path: Path) -> None:
    """Named, or beside the log."""
    asked = list[Path]()

    def disk_of(folder: Path) -> Disk:
        asked.append(folder)
        return ENDLESS

    machine = Machine(4, 2**60, disk_of)
    refusals_on(machine, {"spool_dir": tmp_path / "scratch"})
    refusals_on(machine, {"local_dir": tmp_path / "local"})
    assert [*dict.fromkeys(asked)] == [tmp_path / "scratch", tmp_path / "local" / "spool"]


# -- addresses -------------------------------------------------------------------------------------

HOSTS = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True) | st.ip_addresses().map(str)


@settings(derandomize=True, max_examples=60)
@given(HOSTS, st.integers(0, 65_535))
def test_an_address_reads_back(host: str, port: int) -> None:
    """Whatever host and port are written, in brackets if they must be, come back."""
    written = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    found = parse_address(written)
    assert (found.host, found.port, str(found)) == (host, port, written)


@pytest.mark.parametrize("port", ["65536", "99999999", "٣", "1.5", "0x10", "+1", " "])
def test_a_port_is_a_number_of_sixteen_bits(port: str) -> None:
    """A port beyond 65535, or in no plain digits, is refused with what was written."""
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        parse_address(f"host:{port}")


# -- how problems read -----------------------------------------------------------------------------


def test_a_problem_names_each_place_beside_its_setting() -> None:
    """Settings stand with where each was given; without places they stand alone."""
    problem = Problem(("a", "b"), "they quarrel", "part them")
    assert str(problem) == "a, b: they quarrel; part them"
    placed = Problem(("a", "b"), "they quarrel", "part them", ("x.toml", ""))
    assert str(placed) == "a (x.toml), b: they quarrel; part them"


def test_several_problems_are_a_line_each() -> None:
    """All problems are told in one go, in order."""
    one, two = Problem(("a",), "s", "r"), Problem(("b",), "t", "q")
    assert str(SettingsError((one, two))) == "a: s; r\nb: t; q"
