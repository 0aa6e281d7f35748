"""Free memory is the system's again."""

from __future__ import annotations

import asyncio
import ctypes
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from stream.memory import give_back, keep_giving_back

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library keeps nothing back"
)

_PIECE = 4096
_PIECES = 20_000
_KEPT = 16


def resident() -> int:
    """Return the process's bytes in memory."""
    found: int = psutil.Process().memory_info().rss
    return found


def scattered() -> list[bytearray]:
    """Fill memory, and let go of most of it but for single pieces all over it."""
    pieces = [bytearray(_PIECE) for _ in range(_PIECES)]
    kept = pieces[::_KEPT]
    pieces.clear()
    return kept


def test_what_lies_between_pieces_in_use_is_given_back() -> None:
    """Which the C library alone would keep for as long as one of them is in use."""
    kept = scattered()
    before = resident()
    give_back()
    assert before - resident() > _PIECE * _PIECES // 2
    assert len(kept) == _PIECES // _KEPT


async def test_it_is_given_back_again_and_again() -> None:
    """For as long as the service lives."""
    task = asyncio.create_task(keep_giving_back(0.01))
    for _ in range(2):
        kept = scattered()
        before = resident()
        while before - resident() < _PIECE * _PIECES // 2:  # noqa: ASYNC110 - the system tells nobody
            await asyncio.sleep(0.01)
        del kept
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


_MANY_THREADS = """
import ctypes, re, sys, threading
from stream.memory import use_few_heaps
if sys.argv[1] == "few":
    use_few_heaps()
barrier = threading.Barrier(8)
def work():
    kept = [bytearray(2000) for _ in range(100)]  # too large for Python's own heap
    barrier.wait()
for thread in [threading.Thread(target=work) for _ in range(8)]:
    thread.start()
libc = ctypes.CDLL(None)
libc.open_memstream.restype = ctypes.c_void_p
text, size = ctypes.c_char_p(), ctypes.c_size_t()
stream = libc.open_memstream(ctypes.byref(text), ctypes.byref(size))
libc.malloc_info(0, ctypes.c_void_p(stream))
libc.fclose(ctypes.c_void_p(stream))
print(len(re.findall(rb"<heap nr", text.value)))
"""


def heaps(how: str) -> int:
    """Return how many heaps a process with eight threads has."""
    words = [sys.executable, "-c", _MANY_THREADS, how]
    done = subprocess.run(words, capture_output=True, check=True, timeout=60)  # noqa: S603 - our own program
    return int(done.stdout)


def test_threads_share_heaps() -> None:
    """Without being told, glibc has more of them."""
    assert heaps("few") <= 2 < heaps("many")
