"""TLS, users and permissions on a real broker: who comes in, who does not, and what is said."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from pydantic import SecretStr

from ops.broker.broker import Cluster
from ops.broker.secure import MECHANISMS, Certificates
from stream.log.kafka import KafkaOwner, KafkaPublisher, KafkaReader, KafkaSettings
from stream.log.kafka_security import SASL, TLS, Mechanism, Protocol, Security, tls_context
from stream.log.kafka_topics import create_topics, survey_topics
from stream.log.seam import LogRefusedError, LogUnavailableError, Outgoing
from stream.log.topics import Topics
from tests.acls import Grant, grant_now, of_announcer, of_reader, of_service, of_surveyor
from tests.stream.log.benches import (
    PARTITIONS,
    KafkaBench,
    assignment,
    everything,
    quick_settings,
    take_whenever_it_comes,
    until_caught_up,
    values,
)

pytestmark = pytest.mark.kafka


def certificates(cluster: Cluster) -> Certificates:
    """Return the certificates of the secured broker."""
    assert cluster.certificates is not None
    return cluster.certificates


def spoken(  # noqa: PLR0913 - each test changes one of them
    cluster: Cluster,
    app: str,
    user: str = "night",
    *,
    protocol: Protocol = "SASL_SSL",
    mechanism: Mechanism = "SCRAM-SHA-512",
    password: str | None = None,
    authority: Path | None = None,
) -> KafkaSettings:
    """Return settings with which a user comes to one of the secured listeners."""
    files = certificates(cluster)
    trusted = files.authority if authority is None else authority
    shown = (files.client, files.client_key) if protocol == "SSL" else (None, None)
    security = Security(
        protocol,
        tls_context(trusted, *shown) if protocol in TLS else None,
        mechanism,
        user if protocol in SASL else None,
        SecretStr(password or cluster.users[user]) if protocol in SASL else None,
    )
    return quick_settings(cluster.secured(protocol), app, security=security)


async def make(cluster: Cluster, name: str, user: str, *grants: Grant) -> KafkaBench:
    """Make topics, allow a user some things, and return a bench for that user."""
    topics = Topics(name)
    await create_topics(quick_settings(cluster.bootstrap, name), topics.specs(PARTITIONS))
    await grant_now(cluster.bootstrap, user, grants)
    return KafkaBench(topics, spoken(cluster, name, user if user in cluster.users else "night"))


async def refusal(log: KafkaOwner | KafkaPublisher | KafkaReader) -> str:
    """Return what is said when a client is not let in."""
    with pytest.raises(LogRefusedError) as refused:
        await log.start()
    await log.close()
    return str(refused.value)


# -- who comes in ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [
        *((protocol, mechanism) for protocol in SASL for mechanism in MECHANISMS),
        ("SSL", "SCRAM-SHA-512"),
    ],
)
async def test_every_way_in_leads_to_the_same_log(
    secured: Cluster, name: str, protocol: Protocol, mechanism: Mechanism
) -> None:
    """By each protocol and mechanism the owner takes, writes, commits and reads back."""
    user = "CN=client" if protocol == "SSL" else "night"
    bench = await make(secured, name, user, *of_service(name, name), *of_announcer(name))
    bench.settings = spoken(secured, name, protocol=protocol, mechanism=mechanism)
    try:
        publisher = await bench.started_publisher()
        owner = await bench.started_owner()
        await take_whenever_it_comes(owner, 0)  # a new cluster makes its own topics meanwhile
        await owner.resume(0, 0)
        await publisher.publish([bench.warp(1)])
        assert values(await until_caught_up(owner, 0)) == [b"warp 1"]
        await owner.transact(0, [bench.state(b"k", b"v")], next_offset=1)
        assert values([record async for record in owner.changelog(0)]) == [b"v"]
    finally:
        await bench.close()


async def test_each_has_its_own_rights(secured: Cluster, name: str) -> None:
    """Upstream writes the input and reads nothing; a consumer reads and writes nothing."""
    upstream = await make(secured, name, "upstream", *of_announcer(name))
    consumer = await make(secured, name, "consumer", *of_reader(name))
    try:
        await (await upstream.started_publisher()).publish([upstream.warp(1)])
        reader = await consumer.started_reader()
        assert await everything(reader, consumer.topics.models, consumer.topics.groups) == []
        said = await refusal(KafkaPublisher(consumer.settings, consumer.topics))
        assert f"user consumer may not Describe, Write topic {name}.warps" in said
        with pytest.raises(
            LogRefusedError, match=rf"upstream may not Describe topic {name}.groups"
        ):
            await everything(await upstream.started_reader(), upstream.topics.models)
    finally:
        await upstream.close()
        await consumer.close()


async def test_an_operator_makes_and_checks_topics(secured: Cluster, name: str) -> None:
    """With the rights that the table in ops/README.md names, and no more."""
    await grant_now(secured.bootstrap, "operator", of_surveyor(name))
    settings, topics = spoken(secured, name, "operator"), Topics(name)
    assert await create_topics(settings, topics.specs(PARTITIONS)) == topics.names
    assert (await survey_topics(settings, topics)).faults == ()


# -- who does not ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_wrong_password_is_told(
    secured: Cluster, name: str, mechanism: Mechanism, caplog: pytest.LogCaptureFixture
) -> None:
    """User, mechanism and settings are named, the password is not; it is a refusal, no silence."""
    wrong = "wrong-and-planted"
    settings = spoken(secured, name, mechanism=mechanism, password=wrong)
    for log in (
        KafkaOwner(settings, Topics(name)),
        KafkaPublisher(settings, Topics(name)),
        KafkaReader(settings, Topics(name)),
    ):
        said = await refusal(log)
        assert f"does not take user night with that password by {mechanism}" in said
        assert "sasl_password_file" in said
        assert wrong not in said + caplog.text


async def test_of_several_addresses_the_one_that_refuses_is_heard(
    secured: Cluster, name: str
) -> None:
    """That another one is silent does not hide what can be mended in the settings."""
    right = spoken(secured, name, password="wrong")  # noqa: S106 - planted
    for servers in ("127.0.0.1:1,{}", "{},127.0.0.1:1"):
        named = servers.format(right.bootstrap_servers)
        settings = quick_settings(named, name, security=right.security)
        assert "does not take user night" in await refusal(KafkaReader(settings, Topics(name)))


async def test_an_unknown_user_is_told(secured: Cluster, name: str) -> None:
    """A broker does not say which of the two is wrong, and neither do we."""
    context = tls_context(certificates(secured).authority, None, None)
    stranger = Security("SASL_SSL", context, user="stranger", password=SecretStr("x"))
    settings = quick_settings(secured.secured("SASL_SSL"), name, security=stranger)
    assert "does not take user stranger" in await refusal(KafkaOwner(settings, Topics(name)))


async def test_an_authority_that_did_not_sign_is_told(secured: Cluster, name: str) -> None:
    """Nothing is said to a broker that cannot prove who it is."""
    settings = spoken(secured, name, authority=certificates(secured).stranger)
    said = await refusal(KafkaOwner(settings, Topics(name)))
    assert "shows a certificate that is not to be trusted" in said
    assert "ssl_ca_file" in said


async def test_another_name_than_the_certificates_is_told(secured: Cluster, name: str) -> None:
    """A host that is the broker's, and not by the name in its certificate, is not spoken with."""
    right = spoken(secured, name)
    settings = quick_settings(
        right.bootstrap_servers.replace("127.0.0.1", "127.1"), name, security=right.security
    )
    said = await refusal(KafkaOwner(settings, Topics(name)))
    assert "certificate is not valid for '127.1'" in said
    assert "name the host as its certificate does" in said


async def test_a_broker_that_wants_a_certificate_is_told(secured: Cluster, name: str) -> None:
    """Without one of ours TLS fails, and the sentence asks for it."""
    context = tls_context(certificates(secured).authority, None, None)
    settings = quick_settings(secured.secured("SSL"), name, security=Security("SSL", context))
    said = await refusal(KafkaOwner(settings, Topics(name)))
    assert "TLS with Kafka" in said
    assert "ssl_certificate_file" in said


async def test_users_where_there_are_none_are_told(secured: Cluster, name: str) -> None:
    """A listener without users refuses to hear of any; the remedy names port and protocol."""
    night = Security("SASL_PLAINTEXT", user="night", password=SecretStr("x"))
    settings = quick_settings(secured.bootstrap, name, security=night)
    said = await refusal(KafkaOwner(settings, Topics(name)))
    assert "does not offer SCRAM-SHA-512" in said
    assert "security_protocol" in said


@pytest.mark.parametrize("listener", ["SASL_SSL", "SSL", "SASL_PLAINTEXT"])
async def test_plain_words_on_a_secured_listener_are_told(
    secured: Cluster, name: str, listener: str
) -> None:
    """It hangs up without a word, as a broker may that starts: no refusal, but with the hint."""
    settings = quick_settings(secured.secured(listener), name)
    with pytest.raises(LogUnavailableError, match=r"hangs up; is PLAINTEXT \(security_protocol\)"):
        await KafkaOwner(settings, Topics(name)).start()


# -- what may not be done --------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["models", "groups", "metrics", "dead-letters", "state", "warps"])
async def test_a_topic_that_may_not_be_written_is_told_at_the_start(
    secured: Cluster, name: str, topic: str
) -> None:
    """Before the group is joined, with topic and operation, whatever the topic."""
    names = [one.partition(".")[2] for one in Topics(name).names]
    grants = [
        *(Grant("Read", "topic", f"{name}.{one}") for one in ("warps", "state")),
        *(Grant("Write", "topic", f"{name}.{one}") for one in names if one != topic),
        Grant("DescribeConfigs", "topic", f"{name}.", "prefixed"),
        Grant("Describe", "topic", f"{name}.", "prefixed"),
        *(one for one in of_service(name, name) if one.kind != "topic"),
    ]
    bench = await make(secured, name, "night", *grants)
    said = await refusal(bench.owner())
    assert said.count("may not") == 1
    assert f"user night may not Write topic {name}.{topic}: kafka-acls.sh" in said


async def test_all_that_is_lacking_is_told_at_once(secured: Cluster, name: str) -> None:
    """An operator grants it in one go; a topic of which we may not even know is among it."""
    bench = await make(secured, name, "nobody")
    said = await refusal(KafkaOwner(bench.settings, bench.topics))
    for topic in bench.topics.names:
        assert f"topic {topic}: kafka-acls.sh" in said
    assert said.count("Write") == 2 * 6


async def test_a_group_that_may_not_be_joined_is_told(secured: Cluster, name: str) -> None:
    """Within the first polls, with the group's name."""
    grants = [one for one in of_service(name, name) if one.kind != "group"]
    bench = await make(secured, name, "night", *grants)
    owner = await bench.started_owner()
    try:
        with pytest.raises(LogRefusedError, match=f"user night may not Read group {name}: "):
            await assignment(owner)
    finally:
        await bench.close()


async def test_transactions_that_may_not_be_made_are_told(secured: Cluster, name: str) -> None:
    """When the first partition is taken, which is before anything is read or written."""
    grants = [one for one in of_service(name, name) if one.kind != "transactional-id"]
    bench = await make(secured, name, "night", *grants)
    owner = await bench.started_owner()
    try:
        await assignment(owner)
        with pytest.raises(LogRefusedError, match=rf"may not Write under .* ids {name}\.\*: "):
            await owner.take(0)
    finally:
        await bench.close()


async def test_who_may_not_look_cannot_check(secured: Cluster, name: str) -> None:
    """Neither `topics check` nor `create` calls a topic missing that is only hidden."""
    await make(secured, name, "nobody")
    settings, topics = spoken(secured, name, "nobody"), Topics(name)
    for call in (survey_topics(settings, topics), create_topics(settings, topics.specs(3))):
        with pytest.raises(LogRefusedError, match=f"nobody may not Describe.* topic {name}.warps"):
            await call


# -- what is not shown -----------------------------------------------------------------------------


async def test_nothing_tells_the_password(
    secured: Cluster, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither ours nor the client's logs, at the levels that evensky lets through, with a failure.

    A client logs each request at debug, with PLAIN's password in it; `configure_logs` keeps every
    library at warnings whatever log_level says, so those lines never come out.
    """
    caplog.set_level(logging.WARNING)
    caplog.set_level(logging.DEBUG, "stream")
    bench = await make(secured, name, "night", *of_service(name, name), *of_announcer(name))
    for mechanism in MECHANISMS:
        bench.settings = spoken(secured, name, mechanism=mechanism)
        publisher = await bench.started_publisher()
        await publisher.publish([bench.warp(1)])
        with pytest.raises(LogRefusedError) as refused:
            await publisher.publish([Outgoing(bench.topics.models, 0, b"k", b"x" * 20_000_000)])
        await bench.close()
        assert secured.users["night"] not in f"{refused.value!r}{caplog.text}{bench!r}"


def test_what_a_task_holds_is_not_shown(secured: Cluster, name: str) -> None:
    """Clients, their tasks and their loops have reprs without the password."""

    async def look() -> str:
        publisher = KafkaPublisher(spoken(secured, name), Topics(name))
        link = vars(publisher)
        return f"{publisher!r} {link!r} {asyncio.all_tasks()!r}"

    assert secured.users["night"] not in asyncio.run(look())
