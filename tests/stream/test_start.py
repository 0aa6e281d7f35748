"""What a process of the service has in memory when it starts: each import is paid at each start."""

from __future__ import annotations

import subprocess
import sys

import pytest

_LOOK = "import sys, {module}; print(*(name for name, it in sys.modules.items() if it))"

_WORKERS_ONLY = frozenset({"astropy", "llvmlite", "numba", "scipy", "stream.fits"})
_SERVICE_ONLY = frozenset({"aiokafka", "pydantic"})
_AT_NEED = frozenset({"aiohttp", "scipy.linalg"})


def imported(module: str) -> frozenset[str]:
    """Return the modules that a fresh process has after an import."""
    words = [sys.executable, "-c", _LOOK.format(module=module)]
    run = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 - our own
    return frozenset(run.stdout.split())


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("stream.cli", _WORKERS_ONLY | _SERVICE_ONLY | _AT_NEED | {"numpy", "structlog"}),
        ("stream.commands.run", _WORKERS_ONLY | _AT_NEED),
        (
            "stream.onethread, stream.warpjobs, stream.warmed",
            _SERVICE_ONLY | _AT_NEED,
        ),
    ],
)
def test_nothing_is_loaded_that_is_not_needed(module: str, forbidden: frozenset[str]) -> None:
    """The command line, the service and the workers start without the others' libraries."""
    assert imported(module) & forbidden == set()
