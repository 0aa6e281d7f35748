"""How the way to the brokers is kept safe: TLS, and who we say we are.

A password lives in a `pydantic.SecretStr` from where it is read to where a client takes it, so
that no repr, log line or traceback shows it.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import SecretStr

from stream.log.seam import LogRefusedError

__all__ = ["SASL", "TLS", "Security", "UnusableFileError", "tls_context"]

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]

TLS: Final = ("SSL", "SASL_SSL")
"""Protocols that encrypt, and prove who the broker is."""

SASL: Final = ("SASL_PLAINTEXT", "SASL_SSL")
"""Protocols that prove who we are by a password."""


class UnusableFileError(LogRefusedError):
    """A certificate or key cannot be used.

    Parameters
    ----------
    setting : str
        Which file.
    sentence, remedy : str
        What is wrong with it, and what would be right.
    """

    def __init__(self, setting: str, sentence: str, remedy: str) -> None:
        super().__init__(setting, sentence, remedy)
        self.setting = setting
        self.sentence = sentence
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.setting}: {self.sentence}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Security:
    """How the way to the brokers is kept safe.

    Attributes
    ----------
    protocol : str
        Kafka's name of what a listener speaks.
    context : ssl.SSLContext or None
        For TLS: whom we trust, and our own certificate if we have one.
    mechanism : str
        For SASL: how the password is proved.
    user : str or None
    password : SecretStr or None

    Raises
    ------
    ValueError
        The protocol needs a part that is not there.
    """

    protocol: Protocol = "PLAINTEXT"
    context: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    mechanism: Mechanism = "SCRAM-SHA-512"
    user: str | None = None
    password: SecretStr | None = None

    def __post_init__(self) -> None:
        if (self.protocol in TLS) != (self.context is not None):
            raise ValueError(f"{self.protocol}: a context belongs to TLS, and to nothing else")
        if self.protocol in SASL and (self.user is None or self.password is None):
            raise ValueError(f"{self.protocol} needs a user and a password")

    @property
    def who(self) -> str:
        """Whom the brokers know us as, for sentences."""
        match self.protocol:
            case "SASL_PLAINTEXT" | "SASL_SSL":
                return f"user {self.user}"
            case "SSL":
                return "the user of our certificate"
            case _:
                return "who comes without a name"


def tls_context(
    ca_file: Path | None, certificate_file: Path | None, key_file: Path | None
) -> ssl.SSLContext:
    """Make what TLS needs; the broker's certificate and host name are always verified.

    Parameters
    ----------
    ca_file : Path or None
        Certificates that are trusted, PEM; None for those of the system.
    certificate_file, key_file : Path or None
        Our own certificate and its key, PEM, or neither.

    Raises
    ------
    UnusableFileError
        One of them is missing, not readable, or not what it should be.
    """
    named = (
        ("ssl_ca_file", ca_file),
        ("ssl_certificate_file", certificate_file),
        ("ssl_key_file", key_file),
    )
    for setting, path in named:
        if path is not None:
            _refuse_unreadable(setting, path)
    context = _trusting(ca_file)
    if certificate_file is not None:
        _show(context, certificate_file, key_file)
    return context


def _refuse_unreadable(setting: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        sentence = f"{path} cannot be read ({error.strerror})"
        raise UnusableFileError(setting, sentence, "name a file that can be read") from None


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        sentence = f"{ca_file} holds no certificate in PEM form"
        remedy = "name the file with the certificate that signed the brokers'"
        raise UnusableFileError("ssl_ca_file", sentence, remedy) from None


def _show(context: ssl.SSLContext, certificate_file: Path, key_file: Path | None) -> None:
    try:
        context.load_cert_chain(certificate_file, key_file, _refuse_encrypted)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            sentence = f"{key_file} is not the key of the certificate in {certificate_file}"
            raise UnusableFileError("ssl_key_file", sentence, "name the one that is") from None
        sentence = f"{certificate_file} and {key_file} are no certificate and key in PEM form"
        remedy = "convert them with openssl"
        raise UnusableFileError("ssl_certificate_file", sentence, remedy) from None


def _refuse_encrypted() -> str:
    """Take the place of the question on a terminal, which nobody would answer."""
    sentence = "the key is encrypted, and nobody is there to be asked for its passphrase"
    remedy = "decrypt it with `openssl pkey`, and let only us read it"
    raise UnusableFileError("ssl_key_file", sentence, remedy)
