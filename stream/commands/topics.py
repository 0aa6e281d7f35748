"""`evensky topics`: the topics on a Kafka cluster."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from stream.commands.help import SectionedCommand
from stream.commands.options import settings_from, settings_options
from stream.log.kafka import create_topics
from stream.log.topics import Topics
from stream.logs import configure_logs
from stream.wiring import kafka_settings

__all__ = ["command", "create"]


@click.group("topics")
def command() -> None:
    """Look after the topics on a Kafka cluster."""


@command.command("create", cls=SectionedCommand)
@settings_options(("bootstrap_servers", "topic_prefix", "broker_grace_s"))
@click.option(
    "--partitions",
    "count",
    type=click.IntRange(1, 1024),
    default=64,
    show_default=True,
    metavar="N",
    help="Partitions of each topic; cannot be changed later.",
)
def create(*, count: int, **values: Any) -> int:
    """Create the six topics; those that exist are left as they are."""
    settings = settings_from(values)
    if not settings.brokers:
        raise click.UsageError("say where Kafka is with --bootstrap-servers HOST:PORT")
    configure_logs(settings.log_format, "warning")
    specs = Topics(settings.topic_prefix).specs(count)
    asyncio.run(create_topics(kafka_settings(settings), specs))
    for spec in specs:
        click.echo(spec.name)
    return 0
