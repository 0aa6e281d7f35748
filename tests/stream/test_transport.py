"""Settings of the way to the brokers: every combination that cannot be, each with its remedy."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops.broker.secure import INSTALL_OPENSSL, Certificates, make_certificates
from stream.log.kafka_security import SASL, TLS, UnusableFileError
from stream.machine import Machine
from stream.settings import Context, Problem, Settings, SettingsError
from stream.transport import security
from tests.programs import require_program

CONTEXT = Context(Machine(2, 2**35), {})
KAFKA: Mapping[str, object] = {"bootstrap_servers": "broker:9092"}
USER: Mapping[str, object] = {"sasl_user": "night", "sasl_password": "secret"}
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


def make(**values: object) -> Settings:
    """Make settings."""
    return Settings.model_validate(values, context=CONTEXT)


def problems(**values: object) -> tuple[Problem, ...]:
    """Return what is said against settings; nothing, if they are possible."""
    try:
        make(**values)
    except SettingsError as error:
        return error.problems
    return ()


def named(**values: object) -> list[tuple[str, ...]]:
    """Return the settings that are named in each problem."""
    return [one.settings for one in problems(**values)]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make certificates of all kinds."""
    require_program("openssl", INSTALL_OPENSSL)
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def files(certificates: Certificates) -> dict[str, Path]:
    """Return a file for each setting."""
    return {
        "ssl_ca_file": certificates.authority,
        "ssl_certificate_file": certificates.client,
        "ssl_key_file": certificates.client_key,
    }


def test_every_combination_is_possible_or_refused(files: dict[str, Path]) -> None:
    """TLS's files belong to TLS, a certificate to its key, a user to a password and to SASL.

    What is possible can be spoken with; what is not names a setting that was given or is lacking.
    """
    parts = [*files, *USER]
    for protocol in PROTOCOLS:
        for given in itertools.product((False, True), repeat=len(parts)):
            chosen = {name for name, there in zip(parts, given, strict=True) if there}
            values = {name: {**files, **USER}[name] for name in chosen}
            found = problems(**KAFKA, security_protocol=protocol, **values)
            assert all(one.remedy and one.sentence for one in found)
            assert (not found) == _possible(protocol, chosen), (protocol, chosen, found)
            if not found:
                spoken = security(make(**KAFKA, security_protocol=protocol, **values))
                assert (spoken.context is not None) == (protocol in TLS)
                assert (spoken.user is not None) == (protocol in SASL)


def _possible(protocol: str, given: set[str]) -> bool:
    tls = {name for name in given if name.startswith("ssl_")}
    users = given - tls
    paired = ("ssl_key_file" in tls) == ("ssl_certificate_file" in tls)
    return (paired if protocol in TLS else not tls) and (
        users == set(USER) if protocol in SASL else not users
    )


@pytest.mark.parametrize("protocol", ["ssl", " Sasl_Ssl ", "SASL_PLAINTEXT"])
def test_small_letters_will_do(protocol: str) -> None:
    """Kafka's names are written as one likes."""
    values = {} if protocol == "ssl" else USER
    found = make(**KAFKA, security_protocol=protocol, **values)
    assert found.security_protocol == protocol.strip().upper()


@pytest.mark.parametrize(
    "values",
    [
        {"security_protocol": "SSL"},
        {"security_protocol": "SASL_SSL", **USER},
        {"ssl_ca_file": "ca.pem"},
        {"sasl_user": "night"},
        {"sasl_password": "secret"},
        {"sasl_mechanism": "PLAIN"},
    ],
)
def test_a_file_has_no_way_to_be_secured(values: dict[str, object], tmp_path: Path) -> None:
    """Who secures the embedded log has forgotten the brokers; exactly what was given is named."""
    ((*given,),) = named(log=tmp_path / "a.db", **values)
    assert set(given) == set(values)
    assert make(log=tmp_path / "a.db", security_protocol="PLAINTEXT").brokers == ()


def test_a_password_that_came_by_its_file_is_that_file(tmp_path: Path) -> None:
    """The setting that an operator wrote is named, not what was made of it."""
    given = {"sasl_password_file": tmp_path / "x", "sasl_password": "secret"}
    assert named(**given) == [("sasl_password_file",)]
    assert named(**KAFKA, **given) == [("sasl_password_file", "security_protocol")]


def test_what_the_protocol_has_not_is_told(files: dict[str, Path]) -> None:
    """The remedy names the protocols that have it."""
    (tls,) = problems(**KAFKA, ssl_ca_file=files["ssl_ca_file"])
    assert (tls.sentence, tls.remedy) == (
        "PLAINTEXT has no TLS",
        "make security_protocol SSL or SASL_SSL",
    )
    (users,) = problems(**KAFKA, security_protocol="SSL", **USER)
    assert users.settings == ("sasl_user", "sasl_password", "security_protocol")
    assert users.remedy == "make security_protocol SASL_PLAINTEXT or SASL_SSL"


def test_half_a_user_is_refused() -> None:
    """A user without password, a password without user, and neither: each lack is told."""
    sasl = {**KAFKA, "security_protocol": "SASL_PLAINTEXT"}
    no_user, no_password = ("security_protocol", "sasl_user"), ("sasl_user", "sasl_password_file")
    assert named(**sasl) == [no_user, no_password]
    assert named(**sasl, sasl_user="night") == [no_password]
    assert named(**sasl, sasl_password="secret") == [no_user]  # noqa: S106 - planted
    (said,) = problems(**sasl, sasl_user="night")
    assert "EVENSKY_SASL_PASSWORD" in said.remedy


def test_half_a_certificate_is_refused(files: dict[str, Path]) -> None:
    """A key without certificate, and the other way round."""
    tls = {**KAFKA, "security_protocol": "SSL"}
    assert named(**tls, ssl_key_file=files["ssl_key_file"]) == [("ssl_key_file",)]
    half = files["ssl_certificate_file"]
    (said,) = problems(**tls, ssl_certificate_file=half)
    assert said.settings == ("ssl_certificate_file",)
    assert "one file may hold both" in said.remedy


@pytest.mark.parametrize("name", ["ssl_ca_file", "ssl_certificate_file", "ssl_key_file"])
def test_files_are_looked_at_before_anything_starts(
    files: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """One that is missing is refused with the settings, under its own name."""
    tls = {**KAFKA, "security_protocol": "SSL"}
    assert named(**tls, **{**files, name: tmp_path / "none.pem"}) == [(name,)]


def test_a_file_that_goes_later_is_refused_too(files: dict[str, Path], tmp_path: Path) -> None:
    """Between settings and connection it may have been moved: still a sentence, still a refusal."""
    moved = tmp_path / "authority.pem"
    moved.write_bytes(files["ssl_ca_file"].read_bytes())
    settings = make(**KAFKA, security_protocol="SSL", ssl_ca_file=moved)
    moved.unlink()
    with pytest.raises(UnusableFileError, match=r"ssl_ca_file: .* cannot be read"):
        security(settings)


@pytest.mark.parametrize("user", ["", "a\nb", "x" * 256, "\x00"])
def test_a_user_is_a_name(user: str) -> None:
    """Something else is refused before any broker sees it."""
    with pytest.raises(ValueError, match="sasl_user"):
        make(**KAFKA, security_protocol="SASL_PLAINTEXT", sasl_user=user, sasl_password="x")  # noqa: S106 - planted
