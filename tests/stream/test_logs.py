"""Logs: one form for ours and the libraries', readable by programs."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from stream.logs import configure_logs


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    """Leave logging as it was found."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(speak: Callable[[], object], level: Any = "info") -> list[dict[str, Any]]:
    """Return what is logged in JSON."""
    stream = io.StringIO()
    configure_logs("json", level, stream)
    speak()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_one_object_a_line() -> None:
    """A line is an object with the event, its level, its logger, its time and its keys."""
    (line,) = lines(
        lambda: structlog.get_logger("stream.x").info("frozen", group="a/b", revision=1)
    )
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "frozen",
        "group": "a/b",
        "level": "info",
        "logger": "stream.x",
        "revision": 1,
    }


def test_reading_order() -> None:
    """Every line begins with when, how bad and what."""
    (line,) = lines(lambda: structlog.get_logger("stream.x").info("frozen", a=1))
    assert list(line)[:3] == ["timestamp", "level", "event"]


def test_logger_made_before() -> None:
    """A logger that a module made at its import obeys what is set up later."""
    logger = structlog.get_logger("stream.early")
    assert [line["event"] for line in lines(lambda: logger.info("late"))] == ["late"]


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("error", 1)])
def test_levels(level: str, count: int) -> None:
    """Only lines from the level upward come out."""

    def speak() -> None:
        logger = structlog.get_logger("stream.x")
        for said in ("debug", "info", "warning", "error"):
            getattr(logger, said)("x")

    assert len(lines(speak, level)) == count


def test_libraries_are_quiet() -> None:
    """Libraries are heard from warnings upward, in the same form as ourselves."""

    def speak() -> None:
        logging.getLogger("aiokafka.consumer").info("chatter")
        logging.getLogger("aiokafka.consumer").warning("trouble at %s", "b1")
        logging.getLogger("aiohttp.access").warning("GET /metrics")

    (line,) = lines(speak, "debug")
    assert (line["event"], line["logger"]) == ("trouble at b1", "aiokafka.consumer")


def test_warnings_are_lines() -> None:
    """A warning of a library becomes a line, not text between the lines."""

    def speak() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=True)
            warnings.warn("old call", UserWarning, stacklevel=1)

    (line,) = lines(speak)
    assert "old call" in line["event"]


def fail(*, pixels: str) -> None:
    """Raise, with something in reach that must not come out."""
    raise ValueError(f"broken after {len(pixels)}")


def test_tracebacks_are_data() -> None:
    """An exception is part of its line, and shows no values of locals."""

    def speak() -> None:
        try:
            fail(pixels="0x7f")
        except ValueError:
            structlog.get_logger("stream.x").exception("failed")

    (line,) = lines(speak)
    assert line["exception"][0]["exc_value"] == "broken after 4"
    assert "0x7f" not in json.dumps(line)


def test_unknown_values() -> None:
    """A value that JSON does not know is written as text, never a failure."""
    (line,) = lines(lambda: structlog.get_logger("stream.x").info("x", what={1, 2}))
    assert line["what"] == "{1, 2}"


@pytest.mark.parametrize(
    ("form", "stream", "people"),
    [
        ("auto", Terminal(), True),
        ("auto", io.StringIO(), False),
        ("console", io.StringIO(), True),
        ("json", Terminal(), False),
    ],
)
def test_forms(form: Any, stream: io.StringIO, *, people: bool) -> None:
    """People get text where they look, programs get JSON everywhere else."""
    configure_logs(form, "info", stream)
    structlog.get_logger("stream.x").info("hello", group="a")
    assert stream.getvalue().startswith("{") is not people
    assert ("\x1b[" in stream.getvalue()) is (people and stream.isatty())


def test_set_up_twice() -> None:
    """Setting up again replaces, so that no line comes twice."""
    configure_logs("json", "info", io.StringIO())
    assert len(lines(lambda: structlog.get_logger("stream.x").info("once"))) == 1
