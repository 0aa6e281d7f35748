"""Structured logs on stderr: for people on a terminal, one JSON object a line elsewhere.

One line a change of state, none a record. The libraries' own logs come out the same way, from
warnings upward.
"""

from __future__ import annotations

import logging
import sys
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

__all__ = ["configure_logs"]

OURS: Final = ("stream", "evensky")
"""Loggers that speak at the level asked for; all others only from warnings upward."""

# aiohttp would log every request for /metrics, and astropy tells of each header it mends.
_QUIET: Final = {"aiohttp.access": logging.ERROR, "astropy": logging.ERROR}


def configure_logs(
    form: Literal["auto", "json", "console"] = "auto",
    level: Literal["debug", "info", "warning", "error"] = "info",
    stream: TextIO | None = None,
) -> None:
    """Set up the logs of this process; calling it again replaces what was set up before.

    Parameters
    ----------
    form : str
        ``console`` for people, ``json`` for programs, ``auto`` by whether `stream` is a terminal.
    level : str
        The least severe line of ours that comes out.
    stream : TextIO, optional
        Where lines go: stderr.
    """
    out = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(out)
    handler.setFormatter(_formatter(out, form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _set_levels(logging.getLevelNamesMapping()[level.upper()])
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _set_levels(level: int) -> None:
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    for name, least in _QUIET.items():
        logger = logging.getLogger(name)
        logger.setLevel(least)
        logger.handlers.clear()  # astropy brings a handler of its own
        logger.propagate = True


def _shared() -> list[Processor]:
    """Return what is added to every line, ours and the libraries'."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _formatter(out: TextIO, form: str) -> logging.Formatter:
    on_terminal = out.isatty()
    people = form == "console" or (form == "auto" and on_terminal)
    last = _for_people(colors=on_terminal) if people else _for_programs()
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(), processors=[remove, *last]
    )


def _in_reading_order(_: object, __: str, line: EventDict) -> EventDict:
    """Begin every line in the same way, for those who read JSON with their eyes."""
    first = {key: line[key] for key in ("timestamp", "level", "event") if key in line}
    return {**first, **line}


def _for_people(*, colors: bool) -> list[Processor]:
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]


def _for_programs() -> list[Processor]:
    # A traceback as data, and without the values of locals: they can be as large as an image.
    frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(frames),
        _in_reading_order,
        structlog.processors.JSONRenderer(default=str),
    ]
