"""What a worker does with a hostile file while its opens, memory and work are counted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from astropy.io.fits.hdu.compressed import _codecs

from core import MatchConfig
from stream import hdus, jobs, tiles
from stream.decodelimits import DecodeLimits

__all__ = ["LIMITS", "Work", "measured"]

LIMITS = DecodeLimits(max_bytes=1 << 23, max_side=2048, max_pixels=1 << 20)
"""Small, so that a bomb need not be large to be one."""

_CODECS = ("gzip_decompress", "decompress_rice_1_c", "decompress_plio_1_c")
_opened: list[str] = []


class Work(NamedTuple):
    """What came of a file, and what it took.

    Attributes
    ----------
    reason : str
        Of the fault; empty if there was none.
    opened : list of str
        What was opened or connected to meanwhile.
    peak : int
        Bytes of memory above what the process had before.
    fed, got : int
        Bytes into and out of all decompressors.
    """

    reason: str
    opened: list[str]
    peak: int
    fed: int
    got: int


class _Counted:
    """A decompressor, or a function that is one, with its bytes counted."""

    fed = 0
    got = 0

    @classmethod
    def call(cls, function: Callable[..., Any], data: bytes, *rest: Any) -> Any:
        cls.fed += len(data)
        out = function(data, *rest)
        cls.got += len(out)
        return out

    def __init__(self, member: Any) -> None:
        self._member = member

    def decompress(self, data: bytes, *rest: Any) -> Any:
        return self.call(self._member.decompress, data, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._member, name)


def measured(data: bytes) -> Work:
    """Measure a warp as the service would have it done, watched; the worker stays watched."""
    if not _opened:
        _watch()
    del _opened[1:]
    _Counted.fed = _Counted.got = 0
    before = _peak(reset=True)
    warp = jobs.WarpInput(1, "", data)
    answer = jobs.measure(warp, MatchConfig(bin_size=8), LIMITS)
    reason = answer.reason if isinstance(answer, jobs.JobFault) else ""
    return Work(reason, _opened[1:], _peak() - before, _Counted.fed, _Counted.got)


def _watch() -> None:
    """Have every open, and every decompressor's bytes, noted from now on."""
    _opened.append("watched")
    sys.addaudithook(_note)
    member = hdus.gzip_member
    for module in (hdus, tiles):
        setattr(module, "gzip_member", lambda: _Counted(member()))  # noqa: B010 - final to mypy
    for name in _CODECS:
        setattr(_codecs, name, _counting(getattr(_codecs, name)))


def _counting(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda data, *rest: _Counted.call(function, data, *rest)


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" or event.startswith(("socket.", "os.exec", "subprocess", "ctypes.dlopen")):
        name = str(arguments[0])
        if not name.startswith("/proc/self/") and not name.endswith((".py", ".pyc", ".so")):
            _opened.append(name)


def _peak(*, reset: bool = False) -> int:
    """Return the most memory that this process had since the last reset, bytes."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10
