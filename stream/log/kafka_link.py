"""What all of aiokafka's clients have in common: how they connect, and what their errors mean."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiokafka import errors as kafka_errors
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.protocol.metadata import MetadataRequest

from stream.log.kafka_settings import KafkaSettings
from stream.log.rights import group_right, transactions_right
from stream.log.seam import LogError, LogRefusedError, LogUnavailableError

__all__ = ["FAILED", "REFUSED", "options", "refusal", "translated", "why_unconnected"]

FAILED = (kafka_errors.KafkaError, kafka_errors.IllegalOperation, TimeoutError)
REFUSED = (
    kafka_errors.AuthenticationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
    kafka_errors.GroupAuthorizationFailedError,
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.OffsetOutOfRangeError,
    kafka_errors.SaslAuthenticationFailed,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.TransactionalIdAuthorizationFailed,
)

_KNOCK_S: Final = 10.0
_PARTING_S: Final = 0.2  # TLS ends with words of both sides, for which a client does not wait

_STRANGER: Final = (kafka_errors.AuthenticationFailedError, kafka_errors.SaslAuthenticationFailed)
_NO_SUCH_WAY: Final = (
    kafka_errors.IllegalSaslStateError,
    kafka_errors.UnsupportedSaslMechanismError,
)


@contextmanager
def translated(settings: KafkaSettings) -> Iterator[None]:
    """Turn aiokafka's errors into the seam's: refused for good, or unavailable for now."""
    try:
        yield
    except REFUSED as error:
        raise LogRefusedError(refusal(settings, error)) from error
    except kafka_errors.KafkaConnectionError as error:
        raise _silent(settings) from error
    except FAILED as error:
        raise LogUnavailableError(f"{_where(settings)} does not answer: {error!r}") from error


def options(settings: KafkaSettings) -> dict[str, Any]:
    """Return the arguments that every client takes."""
    return {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": settings.group_instance_id or settings.app,
        "request_timeout_ms": settings.request_timeout_ms,
        **_secured(settings),
    }


def _secured(settings: KafkaSettings) -> dict[str, Any]:
    security = settings.security
    password = security.password
    return {
        "security_protocol": security.protocol,
        "ssl_context": security.context,
        "sasl_mechanism": security.mechanism,
        "sasl_plain_username": security.user,
        "sasl_plain_password": None if password is None else password.get_secret_value(),
    }


# -- what is said of errors ------------------------------------------------------------------------


def refusal(settings: KafkaSettings, error: BaseException) -> str:
    """Return a sentence about an error of `REFUSED`, with what would have to be allowed."""
    return f"{_where(settings)} refuses: {_words(settings, error)}"


def _words(settings: KafkaSettings, error: BaseException) -> str:
    security = settings.security
    match error:
        case kafka_errors.AuthenticationFailedError() | kafka_errors.SaslAuthenticationFailed():
            return (
                f"it does not take {security.who} with that password by {security.mechanism}; "
                "mend sasl_user, sasl_password_file or sasl_mechanism"
            )
        case kafka_errors.GroupAuthorizationFailedError():
            return str(group_right(settings.app, security))
        case kafka_errors.TransactionalIdAuthorizationFailed():
            return str(transactions_right(settings.app, security))
        case kafka_errors.TopicAuthorizationFailedError():  # a right that was taken away since
            topics = ", ".join(map(str, error.args)) or "one of the topics"
            return (
                f"{security.who} may no longer do with {topics} what must be done (kafka-acls.sh)"
            )
        case _:
            return repr(error)


def _where(settings: KafkaSettings) -> str:
    return f"Kafka at {settings.bootstrap_servers}"


def _silent(settings: KafkaSettings) -> LogUnavailableError:
    return LogUnavailableError(
        f"{_where(settings)} does not answer; is a broker running, and is that its address?"
    )


async def why_unconnected(settings: KafkaSettings) -> LogError:
    """Return why no connection can be made: the clients keep that to their own logs.

    Each address is tried once more, and what can be mended in the settings is told first.
    """
    found = [
        await _knock(settings, host, port)
        for host, port, _ in collect_hosts(settings.bootstrap_servers)
    ]
    await asyncio.sleep(_PARTING_S)
    refused = [error for error in found if isinstance(error, LogRefusedError)]
    return (refused or found)[0]


async def _knock(settings: KafkaSettings, host: str, port: int) -> LogError:
    try:
        async with asyncio.timeout(min(_KNOCK_S, settings.broker_grace_s)):
            link = await create_conn(host, port, **_secured(settings))
            try:
                await link.send(MetadataRequest([]))
            finally:
                closed: Any = link.close()
                await closed
    except (OSError, *FAILED) as error:
        return _explained(settings, error)
    return _silent(settings)


def _explained(settings: KafkaSettings, error: BaseException) -> LogError:
    where = _where(settings)
    failed_tls = _tls_error(error)
    if isinstance(error, _STRANGER):
        return LogRefusedError(refusal(settings, error))
    if isinstance(error, _NO_SUCH_WAY):
        return LogRefusedError(
            f"{where} refuses: its listener does not offer {settings.security.mechanism}; mend "
            "sasl_mechanism, security_protocol or the port"
        )
    if isinstance(failed_tls, ssl.SSLCertVerificationError):
        return LogRefusedError(
            f"{where} shows a certificate that is not to be trusted "
            f"({failed_tls.verify_message}); mend ssl_ca_file, or name the host as its "
            "certificate does"
        )
    if failed_tls is not None:
        return LogRefusedError(
            f"TLS with {where} fails ({failed_tls.reason}); does that listener speak TLS, and "
            "does it want a certificate of ours (ssl_certificate_file)?"
        )
    if isinstance(error, ConnectionResetError | kafka_errors.KafkaConnectionError):
        return LogUnavailableError(
            f"{where} hangs up; is {settings.security.protocol} (security_protocol) what it speaks?"
        )
    return _silent(settings)


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Return the failure of TLS that is behind an error, if there is one."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__
    return error
