"""The command line: which commands there are, and what an error looks like from outside.

Exit codes: 0 all is well; 1 something in the data failed; 2 wrong usage or settings; 3 the broker
or store stayed away. As in shells: 130 interrupted, 141 nobody reads our output.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
from importlib.metadata import version
from typing import Final

import click

from stream.faults import WarpError
from stream.log.seam import LogRefusedError, LogUnavailableError
from stream.problems import SettingsError

__all__ = ["cli", "main"]

_COMMANDS: Final = {
    "announce": "Publish the arrival of warps.",
    "audit": "Prove from the log that nothing is lost or doubled.",
    "dead-letters": "List, show and replay what could not be used.",
    "demo": "Watch a simulated night being levelled, from warps to models and pictures.",
    "match": "Match warps in batch: the same mathematics, no log.",
    "reopen": "Let a sealed group take events again.",
    "run": "Run the service.",
    "schemas": "Print or write the JSON Schemas of the messages.",
    "simulate": "Write a simulated survey: warps, truth, manifest.",
    "topics": "Create the topics on a Kafka cluster, or check them.",
    "watch": "Follow what is published.",
    "why": "Say what a group waits for.",
}

_EPILOG: Final = (
    "Exit codes: 0 all is well; 1 something in the data failed; 2 wrong usage or settings, or "
    "another service works on the log; 3 the broker or store stayed away; 130 interrupted."
)
_INTERRUPTED: Final = 130  # 128 and the number of the signal, as shells have it
_READER_GONE: Final = 141
_AWAY: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE)


class _ReaderGone(Exception):  # noqa: N818 - nothing went wrong: who read our output has gone
    """The other end of our pipe was closed."""


class _Lazy(click.Group):
    """Commands that are imported when they are called, so that help comes at once."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; click would end a closed pipe with 1, which here means failed data."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _ReaderGone from None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module = f"stream.commands.{cmd_name.replace('-', '_')}"
        return _imported(module)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


def _imported(module: str) -> click.Command:
    """Import a command's module without looking for waste meanwhile: what is imported stays."""
    gc.disable()
    try:
        command: click.Command = importlib.import_module(module).command
    finally:
        gc.enable()
    return command


@click.group(cls=_Lazy, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("evensky"), prog_name="evensky")
def cli() -> None:
    """Match the sky backgrounds of a survey's warps as they arrive.

    Start with `evensky demo`.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run a command and turn what went wrong into a sentence and an exit code."""
    try:
        sys.exit(cli.main(arguments, prog_name="evensky", standalone_mode=False))
    except click.exceptions.Abort:
        _end("interrupted", _INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (SettingsError, LogRefusedError) as error:
        _end(str(error), 2)
    except LogUnavailableError as error:
        _end(str(error), 3)
    except WarpError as error:
        _end(str(error), 1)
    except _ReaderGone:
        # What is still buffered would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_READER_GONE)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        _end(f"{where}{error.strerror or error}", 3 if error.errno in _AWAY else 2)


def _end(message: str, code: int) -> None:
    click.echo(f"evensky: {message}", err=True)
    sys.exit(code)
