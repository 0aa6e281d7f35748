"""Settings that contradict each other cannot be made."""

from __future__ import annotations

from typing import Any

import pytest

from stream.log.kafka import KafkaSettings


def test_the_defaults_hold_together() -> None:
    """An address is all that must be given."""
    settings = KafkaSettings("broker:9092")
    assert settings.app == "evensky"
    assert settings.heartbeat_interval_ms * 3 <= settings.session_timeout_ms


@pytest.mark.parametrize("servers", ["", "broker", "broker:", ":9092", "a:9092,", "a:x", "a:70000"])
def test_an_address_is_host_and_port(servers: str) -> None:
    """Anything else is refused and shown."""
    with pytest.raises(ValueError, match="is not host:port"):
        KafkaSettings(servers)


def test_several_addresses_are_separated_by_commas() -> None:
    """Spaces around them do no harm."""
    assert KafkaSettings("a:1, b:2").bootstrap_servers == "a:1, b:2"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"app": "two words"}, "app: "),
        ({"app": ""}, "app: "),
        ({"group_instance_id": "a/b"}, "group_instance_id: "),
        ({"session_timeout_ms": 0}, "session_timeout_ms: 0 must be more than 0"),
        ({"take_timeout_s": float("nan")}, "take_timeout_s: nan must be more than 0"),
        ({"fetch_bytes": -1}, "fetch_bytes: -1 must be more than 0"),
        ({"session_timeout_ms": 70_000}, "session_timeout_ms must not be more than rebalance"),
        ({"rejoin_first_s": 60.0}, "rejoin_first_s must not be more than rejoin_most_s"),
        ({"batch_bytes": 2**30}, "batch_bytes must not be more than request_bytes"),
        ({"broker_grace_s": 30.0}, "broker_grace_s must be above rebalance_timeout_ms"),
        ({"broker_grace_s": 400.0}, "below max_poll_interval_ms"),
        ({"commit_timeout_s": 61.0}, "commit_timeout_s must not be more than transaction_timeout"),
    ],
)
def test_an_impossible_setting_is_refused_by_name(wrong: dict[str, Any], said: str) -> None:
    """The message names the setting and what it contradicts."""
    with pytest.raises(ValueError, match=said):
        KafkaSettings("broker:9092", **wrong)


def test_a_partition_has_one_transactional_id() -> None:
    """It is made of the service's name, the input topic and the partition, and of nothing else."""
    settings = KafkaSettings("broker:9092", app="night", group_instance_id="copy-3")
    assert settings.transactional_id("evensky.warps", 7) == "night.evensky.warps.7"
