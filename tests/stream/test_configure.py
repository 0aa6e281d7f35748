"""Where settings come from: which place wins, and that each refusal names the place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from stream.configure import explain, load_settings
from stream.fetch import Bucket
from stream.machine import Machine
from stream.settings import Settings, SettingsError

MACHINE = Machine(cores=2, memory_bytes=32 * 2**30)


def load(
    options: Mapping[str, object] | None = None, file: Path | None = None, /, **environment: str
) -> Settings:
    """Load settings for a machine of two cores."""
    return load_settings(options or {}, file=file, environment=environment, machine=MACHINE)


def refused(
    options: Mapping[str, object] | None = None, file: Path | None = None, /, **environment: str
) -> str:
    """Return what is said to somebody whose settings are refused."""
    with pytest.raises(SettingsError) as caught:
        load(options, file, **environment)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a settings file."""
    path = tmp_path / "evensky.toml"
    path.write_text("quorum = 5\nquiet_s = 20\n[match]\nbin_size = 32\nnum_iter = 4\n")
    return path


def test_options_win(file: Path) -> None:
    """An option goes before the environment, the environment before the file."""
    settings = load({"quorum": 7}, file, EVENSKY_QUORUM="6", EVENSKY_QUIET_S="30")
    assert (settings.quorum, settings.quiet_s) == (7, 30)
    assert settings.match_config().bin_size == 32


def test_matching_is_merged(file: Path) -> None:
    """Each value of the matching is looked for by itself."""
    config = load({"match": {"bin_size": "16"}}, file, EVENSKY_MATCH__NUM_SIGMA_CLIP="5")
    assert config.match["bin_size"] == "16"
    assert config.match_config().num_iter == 4
    assert config.match_config().num_sigma_clip == 5


def test_not_given(file: Path) -> None:
    """An option that was not given hides nothing."""
    assert load({"quorum": None, "allow": (), "match": {}}, file).quorum == 5


def test_lists_of_folders(tmp_path: Path) -> None:
    """Folders are separated in the environment as in PATH."""
    assert load(EVENSKY_ALLOW=f"{tmp_path}:/usr").allow == (tmp_path, Path("/usr"))
    assert load({"allow": [str(tmp_path)]}).allow == (tmp_path,)


def test_lists_of_folders_and_buckets(tmp_path: Path) -> None:
    """A bucket's colon separates nothing, wherever in the list it stands."""
    bucket, night = Bucket("sky"), Bucket("sky", ("night",))
    assert load(EVENSKY_ALLOW="s3://sky").allow == (bucket,)
    found = load(EVENSKY_ALLOW=f"s3://sky:{tmp_path}:s3://sky/night:/usr").allow
    assert found == (bucket, tmp_path, night, Path("/usr"))
    assert load({"allow": ["s3://sky/night/", "/usr"]}).allow == (night, Path("/usr"))


@pytest.mark.parametrize(
    ("options", "environment", "place"),
    [
        ({"grace_s": "x"}, {}, "--grace-s"),
        ({}, {"EVENSKY_GRACE_S": "-3"}, "EVENSKY_GRACE_S"),
        ({"deadline_s": 5}, {}, "quiet_s (default), deadline_s (--deadline-s)"),
        ({"match": {"bin_size": "x"}}, {}, "match.bin_size (-c bin_size)"),
    ],
)
def test_place_is_named(
    options: dict[str, object], environment: dict[str, str], place: str
) -> None:
    """A refusal says where the value was given."""
    assert place in refused(options, None, **environment)


def test_file_is_named(tmp_path: Path) -> None:
    """A refusal of a value in a file names the file."""
    path = tmp_path / "e.toml"
    path.write_text("partitions = 0\n")
    assert f"partitions ({path}): 0 should be greater than or equal to 1" in refused(None, path)


def test_what_it_is_is_said() -> None:
    """A refusal of one value says what the setting is."""
    assert "what it sets: time for running jobs to finish" in refused({"grace_s": 0})


def test_misspelt_in_the_file(tmp_path: Path) -> None:
    """An unknown name in the file is refused, with the name that was probably meant."""
    path = tmp_path / "e.toml"
    path.write_text("deadlines = 3\n[group]\nx = 1\n")
    said = refused(None, path)
    assert f"deadlines ({path}): there is no such setting; did you mean deadline_s?" in said
    assert f"group ({path}): there is no such setting" in said


def test_misspelt_in_the_environment() -> None:
    """A variable that is nearly ours is refused rather than passed over in silence."""
    assert "did you mean workers?" in refused(EVENSKY_WORKER="3")


def test_others_variables() -> None:
    """What Kubernetes sets for a service of our name is none of our business."""
    settings = load(EVENSKY_SERVICE_HOST="10.0.0.1", EVENSKY_PORT_9797_TCP_ADDR="x", HOME="/")
    assert settings == load()


@pytest.mark.parametrize("content", [b"quorum = ", b"\xff\xfe", b"[a]\n[a]\n"])
def test_unreadable_file(tmp_path: Path, content: bytes) -> None:
    """A file that is not TOML is refused with its name."""
    path = tmp_path / "e.toml"
    path.write_bytes(content)
    assert f"{path} cannot be used" in refused(None, path)


def test_absent_file(tmp_path: Path) -> None:
    """A file that is not there is refused, not taken for an empty one."""
    assert "No such file" in refused(None, tmp_path / "none.toml")


def test_explained(file: Path) -> None:
    """The table shows each setting with its value and where it came from."""
    lines = explain(load({"workers": 1}, file, EVENSKY_QUIET_S="off")).splitlines()
    rows = {line.split()[0]: line.split()[1:3] for line in lines}
    assert rows["workers"] == ["1", "--workers"]
    assert rows["quiet_s"] == ["off", "EVENSKY_QUIET_S"]
    assert rows["quorum"] == ["5", str(file)]
    assert rows["deadline_s"] == ["43200", "default"]
    assert rows["match.bin_size"] == ["32", str(file)]
    assert set(Settings.model_fields) - {"match"} <= rows.keys()
