"""The settings of the way to the brokers: what cannot be, and what they amount to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from stream.log.kafka_security import SASL, TLS, Security, UnusableFileError, tls_context
from stream.problems import Problem

if TYPE_CHECKING:
    from stream.settings import Settings

__all__ = ["impossible_transport", "security"]

_TLS_SETTINGS: Final = ("ssl_ca_file", "ssl_certificate_file", "ssl_key_file")
_SASL_SETTINGS: Final = ("sasl_mechanism", "sasl_user", "sasl_password_file", "sasl_password")


def security(settings: Settings) -> Security:
    """Return how the way to the brokers is kept safe.

    Raises
    ------
    UnusableFileError
        A certificate or key has gone since the settings were made.
    """
    protocol = settings.security_protocol
    return Security(
        protocol=protocol,
        context=_context(settings) if protocol in TLS else None,
        mechanism=settings.sasl_mechanism,
        user=settings.sasl_user,
        password=settings.sasl_password,
    )


def impossible_transport(settings: Settings) -> Iterator[Problem]:
    """Yield what about the way to the brokers cannot work together, with its remedy."""
    if settings.bootstrap_servers is None:
        secured = _given(settings, (*_TLS_SETTINGS, *_SASL_SETTINGS))
        if settings.security_protocol != "PLAINTEXT":
            secured = ("security_protocol", *secured)
        if secured:
            yield Problem(
                secured,
                "only the way to Kafka can be secured, and no brokers are named",
                "name them with bootstrap_servers, or take this away",
            )
        return
    yield from _impossible_tls(settings)
    yield from _impossible_sasl(settings)


def _impossible_tls(settings: Settings) -> Iterator[Problem]:
    given = _given(settings, _TLS_SETTINGS)
    if settings.security_protocol not in TLS:
        yield from _without(given, settings, "TLS", TLS)
    elif settings.ssl_key_file is not None and settings.ssl_certificate_file is None:
        sentence = "a key without its certificate shows nothing to the brokers"
        yield Problem(("ssl_key_file",), sentence, "name ssl_certificate_file as well")
    elif settings.ssl_certificate_file is not None and settings.ssl_key_file is None:
        sentence = "a certificate without its key proves nothing to the brokers"
        remedy = "name ssl_key_file as well; one file may hold both"
        yield Problem(("ssl_certificate_file",), sentence, remedy)
    else:
        try:
            _context(settings)
        except UnusableFileError as error:
            yield Problem((error.setting,), error.sentence, error.remedy)


def _impossible_sasl(settings: Settings) -> Iterator[Problem]:
    given = _given(settings, _SASL_SETTINGS)
    protocol = settings.security_protocol
    if protocol not in SASL:
        yield from _without(given, settings, "users", SASL)
        return
    if settings.sasl_user is None:
        sentence = f"{protocol} is for a user with a password, and there is no user"
        yield Problem(("security_protocol", "sasl_user"), sentence, "name the user with sasl_user")
    if settings.sasl_password is None:
        yield Problem(
            ("sasl_user", "sasl_password_file"),
            "there is no password",
            "name the file that holds it with sasl_password_file, or set EVENSKY_SASL_PASSWORD",
        )


def _without(
    given: tuple[str, ...], settings: Settings, what: str, protocols: tuple[str, ...]
) -> Iterator[Problem]:
    """Refuse settings of which the protocol makes no use: somebody thinks that it does."""
    if given:
        yield Problem(
            (*given, "security_protocol"),
            f"{settings.security_protocol} has no {what}",
            f"make security_protocol {' or '.join(protocols)}",
        )


def _given(settings: Settings, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of the settings somebody gave; a password that came by its file is that file."""
    given = [
        name
        for name in names
        if name in settings.model_fields_set and getattr(settings, name) is not None
    ]
    if "sasl_password_file" in given and "sasl_password" in given:
        given.remove("sasl_password")
    return tuple(given)


def _context(settings: Settings) -> ssl.SSLContext:
    return tls_context(settings.ssl_ca_file, settings.ssl_certificate_file, settings.ssl_key_file)
