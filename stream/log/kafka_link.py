"""What all of aiokafka's clients have in common: how they connect, and what their errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import errors as kafka_errors

from stream.log.kafka_settings import KafkaSettings
from stream.log.seam import LogRefusedError, LogUnavailableError

__all__ = ["FAILED", "REFUSED", "options", "translated"]

FAILED = (kafka_errors.KafkaError, kafka_errors.IllegalOperation, TimeoutError)
REFUSED = (
    kafka_errors.AuthenticationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
    kafka_errors.GroupAuthorizationFailedError,
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.OffsetOutOfRangeError,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.TransactionalIdAuthorizationFailed,
)


@contextmanager
def translated(settings: KafkaSettings) -> Iterator[None]:
    """Turn aiokafka's errors into the seam's: refused for good, or unavailable for now."""
    where = f"Kafka at {settings.bootstrap_servers}"
    try:
        yield
    except REFUSED as error:
        raise LogRefusedError(f"{where} refuses: {error!r}") from error
    except kafka_errors.KafkaConnectionError as error:
        raise LogUnavailableError(
            f"{where} does not answer; is a broker running, and is that its address?"
        ) from error
    except FAILED as error:
        raise LogUnavailableError(f"{where} does not answer: {error!r}") from error


def options(settings: KafkaSettings) -> dict[str, Any]:
    """Return the arguments that every client takes."""
    return {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": settings.group_instance_id or settings.app,
        "request_timeout_ms": settings.request_timeout_ms,
    }
