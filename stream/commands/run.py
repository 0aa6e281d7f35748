"""`evensky run`: the service."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import structlog

from stream.commands.help import SectionedCommand
from stream.commands.options import settings_from, settings_options
from stream.configure import explain
from stream.logs import configure_logs
from stream.memory import use_few_heaps
from stream.settings import Settings
from stream.starting import start_workers
from stream.wiring import Assembly, assemble_service, watched

if TYPE_CHECKING:
    from stream.web import Web

__all__ = ["command", "serve"]

log = structlog.get_logger(__name__)


@click.command(
    "run", cls=SectionedCommand, epilog="Ctrl-C finishes what runs; what is not finished stays due."
)
@settings_options(match=True)
@click.option("--print-settings", is_flag=True, help="Print every setting and where it came from.")
def command(*, print_settings: bool, **values: Any) -> int:
    """Run the service: gather warps in groups, match them, publish models.

    Without --bootstrap-servers it works on an embedded log, one file on this host.
    """
    settings = settings_from(values, jobs=True)
    if print_settings:
        click.echo(explain(settings))
        return 0
    configure_logs(settings.log_format, settings.log_level)
    use_few_heaps()
    asyncio.run(serve(settings))
    return 0


async def serve(settings: Settings) -> None:
    """Run the service until it is told to stop.

    Raises
    ------
    SettingsError, LogError
        As the command line reports them.
    """
    assembly = assemble_service(settings)
    log.info("starting", log=assembly.log.description)
    with _signals(assembly):
        async with (
            watched(settings, assembly.watch),
            _running(settings, assembly) as http,
        ):
            await assembly.service.run(partial(_tell_started, assembly, http))
    log.info("stopped")


@contextlib.asynccontextmanager
async def _running(settings: Settings, assembly: Assembly) -> AsyncIterator[str]:
    """Start the workers and the operators' server, and close them whatever happens.

    Yields
    ------
    str
        Where the server listens.
    """
    web = _web(settings, assembly)
    beat = asyncio.create_task(assembly.pulse.beat())
    try:
        if web is not None:
            await web.start()
        await assembly.fetcher.start()
        if assembly.spool is not None:
            await assembly.spool.start()
        await start_workers(assembly.pool, assembly.pulse.polled)
        yield "off" if web is None else str(web.address)
    finally:
        beat.cancel()
        if web is not None:
            await web.close()
        await assembly.pool.close(0)
        await assembly.results.close()
        await assembly.fetcher.close()
        if assembly.spool is not None:
            await assembly.spool.close()


def _web(settings: Settings, assembly: Assembly) -> Web | None:
    if settings.address is None:
        return None
    from stream.web import Web  # noqa: PLC0415 - aiohttp is a third of the start; HTTP can be off

    return Web(settings.address, assembly.service, assembly.telemetry, assembly.pulse)


def _tell_started(assembly: Assembly, http: str) -> None:
    """Say what log it is; only an open log knows its partitions."""
    log.info("started", log=assembly.log.description, http=http)


@contextlib.contextmanager
def _signals(assembly: Assembly) -> Iterator[None]:
    """Stop gently at the first signal; at the second, at once: what runs stays due."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    seen: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        seen.append(number)
        assembly.service.stop()
        if len(seen) > 1 and main is not None:
            main.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    except asyncio.CancelledError:
        if len(seen) <= 1:
            raise
        log.warning("stopped at once; what was running stays due")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
