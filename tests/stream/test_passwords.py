"""A password comes from the environment or a file of its own, and goes nowhere else."""

from __future__ import annotations

import io
import pickle
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from stream import configure
from stream.commands.options import SECTIONS, settings_options
from stream.configure import explain, load_settings
from stream.logs import configure_logs
from stream.machine import Machine
from stream.passwords import PASSWORD, PASSWORD_FILE, misplaced
from stream.settings import Settings, SettingsError
from stream.wiring import kafka_settings

MACHINE = Machine(2, 2**35)
SECRET = "tell-nobody-4711"  # noqa: S105 - planted, to be looked for
VARIABLE = "EVENSKY_SASL_PASSWORD"
BROKERS: Mapping[str, object] = {
    "bootstrap_servers": "broker:9092",
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_user": "night",
}


def load(
    more: Mapping[str, object] | None = None, file: Path | None = None, /, **environment: str
) -> Settings:
    """Load the settings of a user on a broker."""
    options = {**BROKERS, **(more or {})}
    return load_settings(options, file=file, environment=environment, machine=MACHINE)


def refused(call: Callable[[], object]) -> str:
    """Return what is said of settings that are refused, after a look for the secret in it all."""
    with pytest.raises(SettingsError) as caught:
        call()
    whole = "".join(traceback.format_exception(caught.value)) + repr(caught.value.problems)
    assert SECRET not in whole
    return str(caught.value)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """Write the secret into a file."""
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\n", encoding="utf-8")
    return path


def value(settings: Settings) -> str:
    """Return the password that the brokers are shown."""
    password = kafka_settings(settings).security.password
    assert password is not None
    return password.get_secret_value()


# -- where it comes from ---------------------------------------------------------------------------


def test_from_a_file_or_the_environment(password_file: Path) -> None:
    """Both ways end in the same settings for the brokers, and tell where it came from."""
    by_file, by_variable = load({PASSWORD_FILE: password_file}), load(**{VARIABLE: SECRET})
    assert kafka_settings(by_file) == kafka_settings(by_variable)
    assert value(by_file) == SECRET
    assert by_file.origin(PASSWORD) == str(password_file)
    assert by_variable.origin(PASSWORD) == VARIABLE


def test_the_file_that_was_named_last_is_read(password_file: Path, tmp_path: Path) -> None:
    """An option goes before a variable, which goes before the file of settings."""
    toml = tmp_path / "e.toml"
    toml.write_text(f'{PASSWORD_FILE} = "{tmp_path / "none"}"\n', encoding="utf-8")
    assert value(load({PASSWORD_FILE: password_file}, toml, **{f"{VARIABLE}_FILE": "x"}))
    assert value(load(None, toml, **{f"{VARIABLE}_FILE": str(password_file)})) == SECRET
    assert "none cannot be read (No such file" in refused(lambda: load(None, toml))


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("text", [SECRET, " with spaces ", "ümläut", "x" * 1024])
def test_a_file_holds_one_line(tmp_path: Path, text: str, end: str) -> None:
    """The end of the line is no part of the password; everything else is."""
    path = tmp_path / "password"
    path.write_bytes((text + end).encode())
    assert value(load({PASSWORD_FILE: path})) == text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        SECRET.encode() + b"\nmore\n",
        SECRET.encode() + b"\n\n",
        SECRET.encode() + b"\xff",
        SECRET.encode() + b"\x00",
        SECRET.encode() * 100,
        SECRET.encode() * 1000,
    ],
)
def test_a_file_with_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """It is named, and nothing of it is shown."""
    path = tmp_path / "password"
    path.write_bytes(content)
    said = refused(lambda: load({PASSWORD_FILE: path}))
    assert "sasl_password" in said
    assert str(path) in said


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Missing, or a folder: the name, the reason and where it was named."""
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        said = refused(partial(load, {PASSWORD_FILE: path}))
        assert said.startswith(f"sasl_password_file (--sasl-password-file): {path} cannot be read")
        assert why in said


def test_no_option_takes_a_password() -> None:
    """Whoever lists processes would see it; so there is none, in no command."""
    assert not any(PASSWORD in names for names in SECTIONS.values())

    def body() -> None:
        """Do nothing."""

    for option in settings_options(match=True)(body).__click_params__:  # type: ignore[attr-defined]  # click keeps them there
        assert "--sasl-password" not in option.opts


def test_other_places_are_refused(tmp_path: Path) -> None:
    """A file of settings is copied and printed, an option is seen: the remedy names the ways."""
    toml = tmp_path / "e.toml"
    toml.write_text(f'{PASSWORD} = "{SECRET}"\n', encoding="utf-8")
    said = refused(lambda: load(None, toml))
    assert f"sasl_password ({toml}): a password may not stand there" in said
    assert VARIABLE in said
    assert PASSWORD_FILE in said
    assert "(--sasl-password)" in refused(lambda: load({PASSWORD: SECRET}))


def test_twice_is_refused(password_file: Path) -> None:
    """Nobody should have to know which one counts."""
    said = refused(lambda: load({PASSWORD_FILE: password_file}, **{VARIABLE: "another"}))
    assert "the password is given twice" in said
    assert f"sasl_password ({VARIABLE}), sasl_password_file (--sasl-password-file)" in said


@given(st.text(min_size=1))
def test_the_places_alone_decide(origin: str) -> None:
    """Only our own variable may hold a password."""
    found = list(misplaced([("quorum", origin), (PASSWORD, origin)]))
    assert bool(found) == (origin != VARIABLE)


# -- where it does not go --------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", f"{SECRET}\n", f"{SECRET}\x1b[2J", SECRET * 100])
def test_an_impossible_password_is_not_shown(text: str) -> None:
    """The refusal says what a password is, and not what this one was."""
    said = refused(lambda: load(**{VARIABLE: text}))
    assert f"sasl_password ({VARIABLE})" in said
    assert "one line of 1 to 1024 characters" in said


def test_whatever_is_wrong_with_a_password_it_is_not_quoted() -> None:
    """Other settings are told with their value; of this one only that it is wrong."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({PASSWORD: 4711, "quorum": "many"})
    places = {PASSWORD: VARIABLE, "quorum": "--quorum"}
    quorum, password = sorted(map(str, configure._problems(caught.value, places)))  # noqa: SLF001 - no place gives such a value yet
    assert "'many'" in quorum
    assert password.startswith(f"sasl_password ({VARIABLE}): it should be")
    assert "4711" not in password


def test_a_misspelt_variable_does_not_show_its_value() -> None:
    """Only names are told."""
    said = refused(lambda: load(EVENSKY_SASL_PASSWROD=SECRET))
    assert "did you mean sasl_password?" in said


def test_settings_made_directly_hide_it_too() -> None:
    """The model itself shows no password, whatever is wrong with it."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({PASSWORD: f"{SECRET}\n"})
    assert SECRET not in str(caught.value)


def test_no_form_of_the_settings_shows_it(password_file: Path) -> None:
    """Tables, reprs and dumps have stars in its place."""
    settings = load({PASSWORD_FILE: password_file})
    kafka = kafka_settings(settings)
    shown = [explain(settings), repr(settings), str(settings), settings.model_dump_json()]
    shown += [str(settings.model_dump()), repr(kafka), repr(kafka.security), f"{settings!r:s}"]
    assert not [text for text in shown if SECRET in text]
    (row,) = [line for line in shown[0].splitlines() if line.startswith("sasl_password ")]
    assert row.split()[1:3] == ["**********", str(password_file)]


def test_a_traceback_that_is_logged_does_not_show_it(password_file: Path) -> None:
    """Logs show where an error came from, and none of the values on the way."""
    import structlog  # noqa: PLC0415 - configured here, and put back below

    settings = load({PASSWORD_FILE: password_file})
    out = io.StringIO()
    with redirect_stderr(out):
        configure_logs("json", "debug")
        try:
            _fail(value(settings), settings)
        except ZeroDivisionError:
            structlog.get_logger("stream.test").exception("failed", settings=settings)
    structlog.reset_defaults()
    assert "ZeroDivisionError" in out.getvalue()
    assert "failed" in out.getvalue()
    assert SECRET not in out.getvalue()


def _fail(password: str, settings: Settings) -> float:
    del settings
    return 1 / (len(password) - len(SECRET))


def test_copies_keep_it_hidden(password_file: Path) -> None:
    """A copy by pickle, as between processes, is equal and shows as little."""
    settings = load({PASSWORD_FILE: password_file})
    copied = pickle.loads(pickle.dumps(settings.sasl_password))  # noqa: S301 - our own bytes
    assert copied == SecretStr(SECRET)
    assert SECRET not in repr(copied)
