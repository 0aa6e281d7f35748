"""What the client's errors become: a refusal, or a silence, and which words."""

from __future__ import annotations

import ssl

import pytest
from aiokafka import errors as kafka_errors
from pydantic import SecretStr

from stream.log.kafka_link import FAILED, REFUSED, options, refusal, translated
from stream.log.kafka_security import Security
from stream.log.kafka_settings import KafkaSettings
from stream.log.seam import LogRefusedError, LogUnavailableError

SECRET = "tell-nobody-4711"  # noqa: S105 - planted, to be looked for
NIGHT = KafkaSettings(
    "broker:9093",
    app="live",
    security=Security(
        "SASL_SSL", ssl.create_default_context(), user="night", password=SecretStr(SECRET)
    ),
)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_will_not_change_by_itself_is_refused(kind: type[Exception]) -> None:
    """Exit code 2, with the address, and with no password in words, cause or context."""
    with (
        pytest.raises(LogRefusedError, match="Kafka at broker:9093 refuses: ") as refused,
        translated(NIGHT),
    ):
        raise kind("x")
    assert isinstance(refused.value.__cause__, kind)
    assert SECRET not in repr(refused.value)


@pytest.mark.parametrize(
    "error",
    [
        kafka_errors.KafkaConnectionError("x"),
        kafka_errors.KafkaTimeoutError(),
        kafka_errors.NodeNotReadyError("x"),
        TimeoutError(),
    ],
)
def test_what_may_come_back_is_unavailable(error: Exception) -> None:
    """Exit code 3: a supervisor tries again."""
    assert isinstance(error, FAILED)
    with pytest.raises(LogUnavailableError, match="broker:9093 does not answer"), translated(NIGHT):
        raise error


def test_other_errors_are_nobodys() -> None:
    """A fault of ours is not called one of the broker."""
    with pytest.raises(KeyError), translated(NIGHT):
        raise KeyError("ours")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            kafka_errors.SaslAuthenticationFailed("x"),
            "does not take user night with that password by SCRAM-SHA-512; mend sasl_user",
        ),
        (kafka_errors.GroupAuthorizationFailedError("x"), "user night may not Read group live: "),
        (
            kafka_errors.TransactionalIdAuthorizationFailed(),
            "user night may not Write under transactional ids live.*: ",
        ),
        (
            kafka_errors.TopicAuthorizationFailedError("evensky.models"),
            "user night may no longer do with evensky.models what must be done",
        ),
        (kafka_errors.TopicAuthorizationFailedError(), "with one of the topics"),
        (kafka_errors.MessageSizeTooLargeError("x"), "TooLarge"),
    ],
)
def test_a_refusal_has_words(error: Exception, words: str) -> None:
    """Who, what, and which setting or right is to be mended."""
    assert words in refusal(NIGHT, error)


def test_every_client_is_secured_alike() -> None:
    """Protocol, context, mechanism and user go to each of them, and the password as it is."""
    given = options(NIGHT)
    assert given["ssl_context"] is NIGHT.security.context
    assert (given["security_protocol"], given["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (given["sasl_plain_username"], given["sasl_plain_password"]) == ("night", SECRET)
    assert given["bootstrap_servers"] == "broker:9093"
    assert given["client_id"] == "live"
