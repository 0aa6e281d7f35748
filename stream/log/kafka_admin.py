"""Topics as a cluster has them, what we may do with them, and making them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Self

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from stream.log.kafka_link import options, why_unconnected
from stream.log.kafka_settings import KafkaSettings
from stream.log.rights import Operation, topic_rights
from stream.log.seam import LogRefusedError, TopicSpec

__all__ = ["Admin", "Described"]

_MOST_COPIES = 3
_PATIENCE_S = 10.0
_LOOK_S = 0.1


class _MetadataResponse(Response):  # type: ignore[misc]  # the client ships no types
    API_KEY = 3  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]  # as its own
    API_VERSION = 8  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]  # the same
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(
                ("node_id", Int32),
                ("host", String("utf-8")),
                ("port", Int32),
                ("rack", String("utf-8")),
            ),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
        ("cluster_operations", Int32),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]  # the client ships no types
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
    )


class _MetadataRequest(Request[_MetadataStruct]):  # type: ignore[misc]  # the client ships no types
    """Metadata v8 (KIP-430), which tells what we may do; aiokafka's own ends at v5.

    It can also ask for topics by name without a broker creating those that are missing, wrongly.
    """

    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[Any]) -> Any:
        return request_struct_class(self._topics, False, False, True)


class _Client(AIOKafkaAdminClient):  # type: ignore[misc]  # the client ships no types
    """Asks another node when the one that chance chose is down; aiokafka's asks once."""

    async def _send_request(self, *args: Any, **more: Any) -> Any:
        give_up = monotonic() + _PATIENCE_S
        while True:
            try:
                return await super()._send_request(*args, **more)
            except kafka_errors.KafkaError as error:
                if not error.retriable or monotonic() > give_up:
                    raise
            await asyncio.sleep(_LOOK_S)


@dataclass(frozen=True, slots=True)
class Described:
    """A topic as its cluster describes it.

    Attributes
    ----------
    partitions : int
    led : int
        Of how many of them some broker is the leader.
    copies : int
        Replicas of the partition that has the fewest.
    operations : int
        What we may do with it: a bit for each `stream.log.rights.Operation`.
    """

    partitions: int
    led: int
    copies: int
    operations: int


class Admin:
    """Topics as they are, and making them; to be used in `async with`.

    Parameters
    ----------
    settings : KafkaSettings
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client = _Client(**options(settings))

    async def __aenter__(self) -> Self:
        try:
            await self._client.start()
        except kafka_errors.KafkaConnectionError as error:
            raise await why_unconnected(self._settings) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def describe(self, topics: Iterable[str]) -> dict[str, Described]:
        """Return those of the topics that are there, and those of which we may not know it.

        The latter with nothing in them, and nothing that we may do.
        """
        request = _MetadataRequest(sorted(topics))
        answer = await self._client._send_request(request)  # noqa: SLF001 - no public way to ask for operations
        found = {}
        for one in answer.to_object()["topics"]:
            error = kafka_errors.for_code(one["error_code"])
            if error is kafka_errors.TopicAuthorizationFailedError:
                found[one["topic"]] = Described(0, 0, 0, 0)
            elif error is kafka_errors.NoError:
                found[one["topic"]] = _described(one)
        return found

    async def config(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return each topic's configuration, with the broker's defaults filled in."""
        wanted = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        if not wanted:
            return {}
        answers: Any = await self._client.describe_configs(wanted)
        found = {}
        for answer in answers:
            for code, _, _, name, entries in answer.resources:
                error = kafka_errors.for_code(code)
                if error is kafka_errors.TopicAuthorizationFailedError:
                    raise self._refused(name, Operation.DESCRIBE_CONFIGS)
                if error is not kafka_errors.NoError:
                    raise error(name)
                found[name] = {entry[0]: entry[1] for entry in entries}
        return found

    def _refused(self, topic: str, operation: Operation) -> LogRefusedError:
        lacking = topic_rights(topic, (operation,), self._settings.security)
        return LogRefusedError(f"Kafka at {self._settings.bootstrap_servers} refuses: {lacking}")

    async def create(self, specs: Sequence[TopicSpec]) -> None:
        """Create topics, with three copies where there are so many brokers."""
        if not specs:
            return
        cluster = await self._client.describe_cluster()
        copies = min(_MOST_COPIES, len(cluster["brokers"]))
        more = {"min.insync.replicas": str(min(2, copies))}
        new = [
            NewTopic(spec.name, spec.partitions, copies, topic_configs={**spec.config, **more})
            for spec in specs
        ]
        answer: Any = await self._client.create_topics(new)
        for name, code, *why in answer.topic_errors:
            error = kafka_errors.for_code(code)
            if error is kafka_errors.TopicAuthorizationFailedError:
                raise self._refused(name, Operation.CREATE)
            if error not in (kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError):
                raise LogRefusedError(f"topic {name} was not created: {error.__name__} {why}")


def _described(topic: dict[str, Any]) -> Described:
    partitions = topic["partitions"]
    return Described(
        partitions=len(partitions),
        led=sum(one["leader"] >= 0 for one in partitions),
        copies=min((len(one["replicas"]) for one in partitions), default=0),
        operations=topic["operations"],
    )
