"""Settings: what each means, and that no impossible combination can be made."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core import groups
from stream.address import Address, parse_address
from stream.fetch import Bucket
from stream.machine import Machine
from stream.settings import Context, Problem, Settings, SettingsError

GIB = 2**30


def make(**values: object) -> Settings:
    """Make settings for a machine of four cores and 64 GiB."""
    return make_on(Machine(4, 64 * GIB), **values)


def make_on(machine: Machine, **values: object) -> Settings:
    """Make settings for a machine."""
    return Settings.model_validate(values, context=Context(machine, {}))


def refusal(**values: object) -> Problem:
    """Return the one problem of settings that are refused."""
    return refusal_on(Machine(4, 64 * GIB), **values)


def refusal_on(machine: Machine, **values: object) -> Problem:
    """Return the one problem of settings that a machine cannot bear."""
    with pytest.raises(SettingsError) as caught:
        make_on(machine, **values)
    (problem,) = caught.value.problems
    return problem


def test_defaults_stand() -> None:
    """Nobody has to set anything."""
    assert make().roots == (Path.cwd(),)


def test_direct_use() -> None:
    """Settings made directly are judged against this machine."""
    assert Settings().workers >= 1


def test_frozen() -> None:
    """Settings never change once made."""
    with pytest.raises(ValidationError, match="frozen"):
        make().workers = 3
    with pytest.raises(TypeError):
        make(match={"bin_size": 64}).match["bin_size"] = 32  # type: ignore[index]  # the law itself


def test_every_setting_is_described() -> None:
    """Each setting says what it is, and carries its unit in its name where it has one."""
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert name.rsplit("_", 1)[-1] not in {"seconds", "timeout", "size", "grace"}, name


def test_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment changes nothing by itself."""
    monkeypatch.setenv("EVENSKY_QUORUM", "17")
    assert Settings().quorum == 3


# -- workers and memory ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cores", "memory_gib", "workers"), [(4, 64, 4), (16, 8, 3), (1, 64, 1), (8, 3.6, 1)]
)
def test_workers_fill_the_machine(cores: int, memory_gib: float, workers: int) -> None:
    """By default there is a worker a core, as far as memory allows, and at least one."""
    assert make_on(Machine(cores, int(memory_gib * GIB))).workers == workers


@given(st.integers(1, 256), st.floats(4, 4096))
def test_defaults_fit_every_machine(cores: int, memory_gib: float) -> None:
    """On whatever machine with enough memory for one worker, the defaults are possible."""
    settings = make_on(Machine(cores, int(memory_gib * GIB)))
    assert 1 <= settings.workers <= cores


def test_memory_beyond_the_limit() -> None:
    """Workers that would bring the OOM killer are refused, with the sum."""
    problem = refusal_on(Machine(8, 8 * GIB), workers=5)
    assert problem.settings[:2] == ("workers", "worker_memory_bytes")
    assert "5 x 2 GiB" in problem.sentence
    assert "11.5 GiB, more than the 8 GiB" in problem.sentence


def test_container_too_small() -> None:
    """A container without room for one worker is refused, not overrun."""
    assert "container's limit" in refusal_on(Machine(2, GIB)).remedy


def test_sizes_with_units() -> None:
    """Sizes may be written with their unit."""
    assert make(worker_memory_bytes="512MiB").worker_memory_bytes == 2**29


# -- addresses and places --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        (" localhost:0 ", Address("localhost", 0)),
        ("[::1]:9797", Address("::1", 9797)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    """An address is HOST:PORT and reads back as it was written."""
    assert parse_address(text) == address
    assert str(address) == text.strip()


@pytest.mark.parametrize("text", ["", "9797", ":9797", "host:", "host:x", "host:70000", "host:-1"])
def test_no_addresses(text: str) -> None:
    """What is not HOST:PORT is refused."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)


def test_http() -> None:
    """The server listens on loopback unless told otherwise, or not at all."""
    assert make().address == Address("127.0.0.1", 9797)
    assert make(http="OFF").address is None
    with pytest.raises(ValidationError, match="http"):
        make(http="everywhere")


def test_brokers(tmp_path: Path) -> None:
    """Brokers are a list with commas, each with its port."""
    settings = make(bootstrap_servers="a:9092, b:9093", allow=[tmp_path])
    assert settings.brokers == ("a:9092", "b:9093")
    assert make().brokers == ()
    with pytest.raises(ValidationError, match="bootstrap_servers"):
        make(bootstrap_servers="a:9092,b", allow=[tmp_path])


def test_file_or_kafka(tmp_path: Path) -> None:
    """The log is a file or Kafka, never both."""
    problem = refusal(bootstrap_servers="a:1", log=tmp_path / "x.db", allow=[tmp_path])
    assert problem.settings == ("log", "bootstrap_servers")


def test_patience_with_brokers() -> None:
    """The service waits for its brokers longer than a healthy group may take."""
    problem = refusal(bootstrap_servers="a:1", session_timeout_s=10, broker_grace_s=10)
    assert problem.settings == ("session_timeout_s", "broker_grace_s")


@pytest.mark.parametrize(("grace", "session"), [(120, 10), (16, 8), (8, 6), (2, 1.8)])
def test_session_within_patience(grace: float, session: float) -> None:
    """Unless it is given, the session is as long as the patience with brokers allows."""
    assert make(broker_grace_s=grace).session_timeout_s == pytest.approx(session)


def test_log_needs_a_folder(tmp_path: Path) -> None:
    """A file in a folder that is not there cannot be made."""
    problem = refusal(log=tmp_path / "nowhere" / "x.db", allow=[tmp_path])
    assert problem.settings == ("log",)


def test_roots(tmp_path: Path) -> None:
    """Roots are real folders: the ones named, or the embedded log's own."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert make(allow=[tmp_path / "link"]).roots == (tmp_path.resolve() / "real",)
    assert make(log=tmp_path / "x.db").roots == (tmp_path.resolve(),)
    assert refusal(allow=[tmp_path / "nowhere"]).settings == ("allow",)
    assert make(allow=["s3://sky/night"]).roots == (Bucket("sky", ("night",)),)
    with pytest.raises(ValidationError, match="s3://BUCKET"):
        make(allow=["s3://key:word@sky"])


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "x" * 101])
def test_names(name: str) -> None:
    """Names that become topics and ids hold nothing that Kafka would refuse."""
    with pytest.raises(ValidationError, match="topic_prefix"):
        make(topic_prefix=name)


# -- when a group is complete ----------------------------------------------------------------------


def test_policy_in_milliseconds() -> None:
    """The state machine gets whole milliseconds, and None for what is off."""
    settings = make(
        quiet_s="off", deadline_s=1.5, update_quiet_s=0.0001, seal_after_s="2", max_attempts=7
    )
    assert settings.policy_for()("live/s/1/2/r") == groups.Policy(
        quorum=3,
        quiet_ms=None,
        deadline_ms=1500,
        min_members=2,
        update_quiet_ms=1,
        update_max_ms=3_600_000,
        reference_margin=0.2,
        max_attempts=7,
        seal_after_ms=2000,
        seal_retention_ms=30 * 86_400_000,
    )


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"quiet_s": 60, "deadline_s": 60}, ("quiet_s", "deadline_s")),
        ({"update_quiet_s": 2, "update_max_s": 1}, ("update_quiet_s", "update_max_s")),
        (
            {"max_warp_bytes": "2GiB", "fetch_in_flight_bytes": "1GiB"},
            ("max_warp_bytes", "fetch_in_flight_bytes"),
        ),
    ],
)
def test_impossible_pairs(values: dict[str, object], named: tuple[str, ...]) -> None:
    """Two settings that cannot both hold are named together, with a remedy."""
    problem = refusal(**values)
    assert problem.settings == named
    assert problem.remedy


def test_all_problems_at_once() -> None:
    """Everything that is wrong is said in one go, a line each."""
    with pytest.raises(SettingsError) as caught:
        make(quiet_s=9, deadline_s=8, update_quiet_s=2, update_max_s=1)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e9, "soon"])
def test_impossible_times(seconds: object) -> None:
    """A time is finite, positive, and a year at most."""
    with pytest.raises(ValidationError, match="grace_s"):
        make(grace_s=seconds)


# -- the matching ----------------------------------------------------------------------------------


def test_match_config() -> None:
    """Values of the matching may be text, as the command line gives them."""
    assert make(match={"bin_size": "64"}).match_config().bin_size == 64


def test_impossible_matching() -> None:
    """What the matching refuses is refused here, under the name of the value at fault."""
    assert refusal(match={"bin_size": "0"}).settings == ("match.bin_size",)
    assert refusal(match={"bin_sice": 64}).settings == ("match.bin_sice",)


def test_models_fit_into_messages() -> None:
    """Bins so fine that a model would not fit into its message are refused beforehand."""
    problem = refusal(match={"bin_size": 4})
    assert problem.settings == ("match.bin_size", "max_warp_side_px", "max_message_bytes")
    assert make(match={"bin_size": 4}, max_warp_side_px=2048).max_message_bytes == 4 * 2**20


def test_the_folder_of_this_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It lies beside an embedded log, in the home folder with Kafka, or where one says."""
    log = tmp_path / "sky.db"
    assert make(log=log).local_folder == tmp_path / "sky.db.local"
    assert make(log=log, local_dir="/scratch/sky").local_folder == Path("/scratch/sky")
    monkeypatch.setenv("HOME", str(tmp_path))
    kafka = make(bootstrap_servers="b:9092", app="night")
    assert kafka.local_folder == tmp_path / ".cache" / "evensky" / "night"


def test_where_copies_share_is_one_of_two_things() -> None:
    """A bucket or an absolute folder; all else is refused when it is given."""
    assert make(results_shared="s3://sky/results/").results_shared == "s3://sky/results"
    assert make(results_shared="/mnt/sky").results_shared == "/mnt/sky"
    for text in ("results", "ftp://sky/results", ""):
        with pytest.raises(ValidationError, match="neither"):
            make(results_shared=text)


@pytest.mark.parametrize(
    ("given", "losses"),
    [("3:120", ("3:120",)), (" 3:120, 5:7,", None), (["0:1", "1:2"], ("0:1", "1:2")), ("none", ())],
)
def test_a_loss_is_accepted_by_partition_and_offset(
    given: object, losses: tuple[str, ...] | None
) -> None:
    """With commas on the command line, as a list in the file; half a pair is refused."""
    if losses is None:
        with pytest.raises(ValidationError, match="accept_loss"):
            make(accept_loss=given)
    else:
        assert make(accept_loss=given).accept_loss == losses


@pytest.mark.parametrize("text", ["3", "3:", ":3", "-1:3", "3:x", "3:1:2", "all", "3:1 5:2"])
def test_what_names_no_loss_is_refused(text: str) -> None:
    """A slip of the finger must not pass over input."""
    with pytest.raises(ValidationError, match="accept_loss"):
        make(accept_loss=text)
