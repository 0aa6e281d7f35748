"""TLS and users as values: what they need, what files they take, and what they never show."""

from __future__ import annotations

import pickle
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ops.broker.secure import INSTALL_OPENSSL, Certificates, make_certificates
from stream.log.kafka_link import options
from stream.log.kafka_security import Security, UnusableFileError, tls_context
from stream.log.kafka_settings import KafkaSettings
from tests.programs import require_program

SECRET = "tell-nobody-4711"  # noqa: S105 - planted, to be looked for


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make certificates of all kinds."""
    require_program("openssl", INSTALL_OPENSSL)
    return make_certificates(tmp_path_factory.mktemp("certificates"))


# -- the value -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocol": "SSL"},
        {"context": ssl.create_default_context()},
        {"protocol": "SASL_PLAINTEXT"},
        {"protocol": "SASL_PLAINTEXT", "user": "night"},
        {"protocol": "SASL_PLAINTEXT", "password": SecretStr(SECRET)},
        {"protocol": "SASL_SSL", "user": "night", "password": SecretStr(SECRET)},
    ],
)
def test_a_protocol_has_the_parts_that_it_needs(wrong: dict[str, Any]) -> None:
    """What lacks one cannot be made, and the refusal shows no password."""
    with pytest.raises(ValueError, match=r"SSL|PLAINTEXT") as refused:
        Security(**wrong)
    assert SECRET not in str(refused.value)


def test_nothing_is_secured_unless_asked() -> None:
    """The default is what a broker without users speaks."""
    assert Security() == Security(protocol="PLAINTEXT")
    assert options(KafkaSettings("broker:9092"))["ssl_context"] is None


def test_the_password_is_shown_to_the_client_and_to_nobody_else() -> None:
    """Neither repr nor str of the settings, nor of what holds them, tells it."""
    security = Security(protocol="SASL_PLAINTEXT", user="night", password=SecretStr(SECRET))
    settings = KafkaSettings("broker:9092", security=security)
    for shown in (repr(security), str(security), repr(settings), str(settings), security.who):
        assert SECRET not in shown
    assert options(settings)["sasl_plain_password"] == SECRET
    with pytest.raises(ValueError, match="app") as refused:
        KafkaSettings("broker:9092", app="two words", security=security)
    assert SECRET not in str(refused.value)


def test_a_password_that_changes_is_a_change() -> None:
    """Two values are equal when users and passwords are; the hidden is compared as well."""
    one = Security(protocol="SASL_PLAINTEXT", user="night", password=SecretStr("a"))
    assert one == pickle.loads(pickle.dumps(one))  # noqa: S301 - our own bytes
    assert one != Security(protocol="SASL_PLAINTEXT", user="night", password=SecretStr("b"))


@pytest.mark.parametrize(
    ("protocol", "who"),
    [
        ("SASL_SSL", "user night"),
        ("SASL_PLAINTEXT", "user night"),
        ("SSL", "the user of our certificate"),
        ("PLAINTEXT", "who comes without a name"),
    ],
)
def test_sentences_have_a_subject(protocol: Any, who: str) -> None:
    """Whatever the protocol, there are words for who we are."""
    context = ssl.create_default_context() if protocol in ("SSL", "SASL_SSL") else None
    secret = SecretStr(SECRET)
    assert Security(protocol, context, user="night", password=secret).who == who


# -- files -----------------------------------------------------------------------------------------


def test_the_broker_is_always_verified(certificates: Certificates) -> None:
    """Certificate and host name are checked, with whatever files; nobody can turn that off."""
    client = (certificates.client, certificates.client_key)
    for context in (
        tls_context(None, None, None),
        tls_context(certificates.authority, None, None),
        tls_context(certificates.authority, *client),
    ):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_named_authority_is_the_only_one(certificates: Certificates) -> None:
    """With a file of our own those of the system are not trusted."""
    (trusted,) = tls_context(certificates.authority, None, None).get_ca_certs()
    assert trusted["subject"] == ((("commonName", "authority"),),)


def test_one_file_may_hold_certificate_and_key(certificates: Certificates) -> None:
    """It is named twice."""
    assert tls_context(None, certificates.broker, certificates.broker)


def refused(*files: Path | None) -> UnusableFileError:
    """Return why files are refused."""
    with pytest.raises(UnusableFileError) as caught:
        tls_context(*files)
    assert str(caught.value) == (
        f"{caught.value.setting}: {caught.value.sentence}; {caught.value.remedy}"
    )
    return caught.value


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_missing_file_is_named(certificates: Certificates, tmp_path: Path, place: int) -> None:
    """Each of the three under its own setting, with the system's words."""
    files = [certificates.authority, certificates.client, certificates.client_key]
    settings = ("ssl_ca_file", "ssl_certificate_file", "ssl_key_file")
    for path, why in ((tmp_path / "none.pem", "No such file"), (tmp_path, "Is a directory")):
        error = refused(*files[:place], path, *files[place + 1 :])
        assert error.setting == settings[place]
        assert str(path) in error.sentence
        assert why in error.sentence


def test_what_is_no_certificate_is_refused(certificates: Certificates, tmp_path: Path) -> None:
    """Each file that holds something else is named."""
    other = tmp_path / "notes.txt"
    other.write_text("my notes")
    assert refused(other, None, None).setting == "ssl_ca_file"
    assert refused(None, other, certificates.client_key).setting == "ssl_certificate_file"
    assert refused(None, certificates.client, other).setting == "ssl_certificate_file"


def test_a_key_of_another_certificate_is_refused(certificates: Certificates) -> None:
    """Both files are good, and do not belong together."""
    error = refused(None, certificates.client, certificates.broker)
    assert error.setting == "ssl_key_file"
    assert "is not the key of the certificate" in error.sentence


def test_an_encrypted_key_is_refused_and_nobody_is_asked(
    certificates: Certificates, tmp_path: Path
) -> None:
    """OpenSSL would ask on a terminal, where a service would wait for ever."""
    openssl, encrypted = require_program("openssl", INSTALL_OPENSSL), tmp_path / "encrypted.pem"
    command = [openssl, "pkey", "-in", str(certificates.client_key), "-out", str(encrypted)]
    command += ["-aes256", "-passout", "pass:secret"]
    subprocess.run(command, check=True)  # noqa: S603 - our own words
    error = refused(None, certificates.client, encrypted)
    assert error.setting == "ssl_key_file"
    assert "encrypted" in error.sentence
    assert "openssl pkey" in error.remedy
