"""The folder of this host: bounded, shared by processes, none of which may be trusted to live."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stream.results import LocalKeeper, local

KIB = 1024
BOUND = 64 * 4 * KIB  # 64 files of a block; an eighth of it is free after a look
BLOCK = b"x" * 4 * KIB


def name(number: int) -> str:
    """Return the name of a job."""
    return f"{number:064x}"[::-1]


def files(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the files below a folder."""
    return [path for path in folder.rglob(pattern) if path.is_file()]


def taken(folder: Path) -> int:
    """Return the bytes that files take on the disk; those half written do not count."""
    sizes = (path.stat().st_size for path in files(folder) if path.suffix != ".part")
    return sum(-(-size // 4096) * 4096 for size in sizes)


async def kept(keeper: LocalKeeper, key: str, data: bytes) -> None:
    """Keep bytes, and wait until a look that came of it is over."""
    await keeper.put(key, data)
    await asyncio.wrap_future(keeper.look)


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[LocalKeeper]:
    """Return a keeper whose folder is not there yet."""
    keeper = LocalKeeper(tmp_path / "deep" / "results", BOUND)
    yield keeper
    keeper.close()


async def test_what_was_kept_is_found(keeper: LocalKeeper, tmp_path: Path) -> None:
    """Bytes are found again, by another process too, replaced, and dropped."""
    assert await keeper.get(name(1)) is None
    await keeper.put(name(1), b"one")
    await keeper.put(name(2), b"two")
    other = LocalKeeper(tmp_path / "deep" / "results", BOUND)
    assert await other.get(name(1)) == b"one"
    await other.put(name(1), b"uno")
    await keeper.drop(name(2))
    await keeper.drop(name(3))
    assert [await keeper.get(name(n)) for n in (1, 2)] == [b"uno", None]
    other.close()


async def test_the_folder_never_outgrows_its_bound(keeper: LocalKeeper, tmp_path: Path) -> None:
    """However much is kept, the files take no more than the bound, and not much less."""
    for number in range(200):
        await kept(keeper, name(number), BLOCK)
        assert taken(tmp_path) <= BOUND
    assert taken(tmp_path) > BOUND / 2


async def test_small_files_count_as_what_they_take(keeper: LocalKeeper, tmp_path: Path) -> None:
    """A measurement of some bytes takes a block of the disk, and counts as one."""
    for number in range(200):
        await kept(keeper, name(number), b"small")
    assert 32 < len(files(tmp_path)) <= 64


async def test_the_longest_unused_goes_first(keeper: LocalKeeper, tmp_path: Path) -> None:
    """What was used lately outlives what was not."""
    for number in range(40):
        await kept(keeper, name(number), BLOCK)
        (path,) = files(tmp_path, name(number))
        os.utime(path, (number, number))
    used = name(3)
    assert await keeper.get(used) is not None
    for number in range(100, 130):
        await kept(keeper, name(number), BLOCK)
    assert await keeper.get(used) is not None
    assert [await keeper.get(name(number)) for number in range(3)] == [None] * 3


async def test_what_would_push_out_too_much_is_not_kept(keeper: LocalKeeper) -> None:
    """One result larger than a sixteenth of the bound is not kept at all."""
    await keeper.put(name(1), BLOCK * 5)
    assert await keeper.get(name(1)) is None


async def test_a_start_beside_full_folders_trims(tmp_path: Path) -> None:
    """A bound that was lowered holds from the first result on."""
    first = LocalKeeper(tmp_path, 4 * BOUND)
    for number in range(200):
        await kept(first, name(number), BLOCK)
    first.close()
    second = LocalKeeper(tmp_path, BOUND)
    await kept(second, name(1000), BLOCK)
    second.close()
    assert taken(tmp_path) <= BOUND


def many_files(folder: Path, count: int) -> None:
    """Write files, each used a second after the one before."""
    for number in range(count):
        path = folder / f"{number % 16:02x}" / f"{number:064x}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (number, number))


@pytest.mark.parametrize("room", [4096, 1024])
async def test_a_look_through_thousands_of_files_takes_no_memory(tmp_path: Path, room: int) -> None:
    """Files are counted, and the oldest removed, without a list of them."""
    many_files(tmp_path, 2048)
    keeper = LocalKeeper(tmp_path, room * 4 * KIB)
    tracemalloc.start()
    try:
        await kept(keeper, name(1), BLOCK)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        keeper.close()
    assert peak < 250 * KIB
    assert len(files(tmp_path)) == (2049 if room > 2048 else pytest.approx(768, abs=2))


async def test_of_very_many_files_some_speak_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About as much is removed as should be, and of what was used longest ago."""
    monkeypatch.setattr(local, "_SORTED", 256)
    many_files(tmp_path, 2048)
    keeper = LocalKeeper(tmp_path, 1024 * 4 * KIB)
    await kept(keeper, name(1), BLOCK)
    keeper.close()
    left = sorted(path.stat().st_mtime for path in files(tmp_path))
    assert len(left) == pytest.approx(768, rel=0.1)
    assert left[-2] - left[0] == len(left) - 2


async def test_nobody_waits_for_a_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile all is found and some is kept; what would grow the folder too far is not."""
    gate = threading.Event()
    look = LocalKeeper._trim  # noqa: SLF001 - what takes seconds with a quarter of a million files

    def slow(keeper: LocalKeeper) -> None:
        gate.wait()
        look(keeper)

    monkeypatch.setattr(LocalKeeper, "_trim", slow)
    keeper = LocalKeeper(tmp_path, BOUND)
    for number in range(200):
        await keeper.put(name(number), BLOCK)
    assert not keeper.look.done()
    assert [await keeper.get(name(number)) for number in (0, 199)] == [BLOCK, None]
    assert len(files(tmp_path)) == 1 + BOUND // (4 * KIB) // 16 + 1
    gate.set()
    await asyncio.wrap_future(keeper.look)
    await kept(keeper, name(199), BLOCK)
    assert await keeper.get(name(199)) == BLOCK
    keeper.close()


async def test_the_end_waits_for_no_look(tmp_path: Path) -> None:
    """One that is on its way is over at the next file, and has removed nothing."""
    many_files(tmp_path, 100)
    keeper = LocalKeeper(tmp_path, BOUND)
    keeper.close()
    with capture_logs() as told:
        keeper._look_through()  # noqa: SLF001 - as its thread does
    assert (told, len(files(tmp_path))) == ([], 100)


async def test_a_folder_that_cannot_be_looked_through_is_told(tmp_path: Path) -> None:
    """Nobody else would hear of it."""
    keeper = LocalKeeper(tmp_path / "gone", BOUND)
    with capture_logs() as told:
        keeper._look_through()  # noqa: SLF001 - as its thread does
    keeper.close()
    assert [one["event"] for one in told] == ["kept results cannot be bounded"]


async def test_leavings_are_cleared_away(keeper: LocalKeeper, tmp_path: Path) -> None:
    """A file that a killed process left half written is removed, one that is being written not."""
    await keeper.put(name(0), BLOCK)
    folder = files(tmp_path, name(0))[0].parent
    old, new = folder / "dead.part", folder / "alive.part"
    for path in (old, new):
        path.write_bytes(b"half")
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    for number in range(1, 20):
        await kept(keeper, name(number), BLOCK)
    assert (old.exists(), new.exists()) == (False, True)


async def test_a_file_in_the_way(tmp_path: Path) -> None:
    """A file where a folder should be is an OSError when writing, and nothing when reading."""
    (tmp_path / "results").write_text("in the way")
    keeper = LocalKeeper(tmp_path / "results", BOUND)
    with pytest.raises(NotADirectoryError):
        await keeper.put(name(1), b"one")
    assert await keeper.get(name(1)) is None
    keeper.close()


def _write_for_ever(folder: Path, seed: int) -> None:
    async def run() -> None:
        keeper = LocalKeeper(folder, BOUND)
        for number in range(10**9):
            await keeper.put(name(number % 50), bytes([seed]) * 12_000)

    asyncio.run(run())


async def test_processes_are_killed_while_they_write(tmp_path: Path) -> None:
    """Whoever is killed wherever, a file is one process's whole content, and the bound holds."""
    context = multiprocessing.get_context("spawn")
    for seed in (1, 2):
        writers = [
            context.Process(target=_write_for_ever, args=(tmp_path, seed * 10 + one))
            for one in range(2)
        ]
        for writer in writers:
            writer.start()
        keeper = LocalKeeper(tmp_path, BOUND)
        seen = 0
        while seen < 200:
            data = await keeper.get(name(seen % 50))
            assert data is None or (len(data), len(set(data))) == (12_000, 1)
            seen += data is not None
            await asyncio.sleep(0)
        for writer in writers:
            os.kill(writer.pid or 0, signal.SIGKILL)
            writer.join()
        keeper.close()
    assert taken(tmp_path) <= BOUND * 1.25
