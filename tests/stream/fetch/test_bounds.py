"""What fetching takes, and gives back: bytes in flight, files, descriptors, and what it tells."""

from __future__ import annotations

import asyncio
import resource
import secrets
import threading
from pathlib import Path

import pytest

from stream.faults import StoreAwayError, StoreTrouble, WarpError, WarpFault
from stream.fetch import Bucket, Fetcher, Held, Hooks, Want, posix
from stream.fetch.landing import LandedFile, Landing
from tests.stream.fetch.fetching import CONTENT, SHA, fault, fetched, over, quick, trouble


async def test_bytes_in_flight_are_bounded(root: Path) -> None:
    """Files that are held leave room for others only up to the bound; then these wait."""
    fetcher = over(root, in_flight_bytes=2 * len(CONTENT))
    uri = str(root / "night" / "a.fits")
    async with fetcher.hold(Want(uri)), fetcher.hold(Want(uri)):
        assert fetcher.in_flight_bytes == 2 * len(CONTENT)
        waiting = asyncio.create_task(fetched(fetcher, uri))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert await asyncio.wait_for(waiting, 5) == CONTENT
    assert fetcher.in_flight_bytes == 0
    await fetcher.close()


async def test_files_are_served_in_the_order_of_asking(root: Path) -> None:
    """A large file that waits is not overtaken for ever by small ones."""
    (root / "small").write_bytes(b"s")
    small = Want(str(root / "small"))
    fetcher = over(root, in_flight_bytes=len(CONTENT) + 1)
    order: list[str] = []

    async def take(name: str) -> None:
        await fetched(fetcher, str(root / name))
        order.append(name)

    async with fetcher.hold(small), fetcher.hold(small):
        jobs = [asyncio.create_task(take("night/a.fits"))]
        await asyncio.sleep(0.05)
        jobs += [asyncio.create_task(take("small")) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert order == []
    await asyncio.gather(*jobs)
    assert len(order) == 4
    await fetcher.close()


async def test_a_slow_storage_keeps_no_other_from_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While all who may read from one folder wait for it, a file of another is read."""
    slow, fast = tmp_path / "slow", tmp_path / "fast"
    for folder in (slow, fast):
        folder.mkdir()
        (folder / "a.fits").write_bytes(CONTENT)
    go_on, reading = threading.Event(), threading.Semaphore(0)

    def crawl(found: posix.FoundFile, file: LandedFile, chunk_bytes: int) -> None:
        if found.root == str(slow):
            reading.release()
            go_on.wait(10)
        copy(found, file, chunk_bytes)

    copy = posix.copy
    monkeypatch.setattr(posix, "copy", crawl)
    fetcher = Fetcher([slow, fast], tmp_path / "landing", quick(in_flight_bytes=10**6, readers=2))
    many = [asyncio.create_task(fetched(fetcher, str(slow / "a.fits"))) for _ in range(4)]
    for _ in range(2):
        assert await asyncio.to_thread(reading.acquire, timeout=5)
    assert await asyncio.wait_for(fetched(fetcher, str(fast / "a.fits")), 5) == CONTENT
    assert not reading.acquire(blocking=False)  # of the slow one no more than two are read
    assert not any(one.done() for one in many)
    go_on.set()
    assert await asyncio.gather(*many) == [CONTENT] * 4
    await fetcher.close()


async def test_a_storage_is_known_by_a_uri_alone(root: Path) -> None:
    """Files of one folder are of one storage, those of a bucket of another; bad ones of none."""
    fetcher = Fetcher([root, Bucket("sky", ())], root.parent / "landing", quick())
    names = [
        fetcher.store_of(uri)
        for uri in (f"{root}/a", f"file://{root}/b/c", "s3://sky/a", "s3://other/a", "http://x/a")
    ]
    await fetcher.close()
    assert names[0] == names[1]
    assert len(set(names[1:4])) == 3
    assert names[3:] == ["", ""]


async def test_a_file_larger_than_the_bound_is_read_alone(root: Path) -> None:
    """A bound smaller than a file holds it back until nothing else is in flight."""
    fetcher = over(root, in_flight_bytes=1)
    uri = str(root / "night" / "a.fits")
    assert await asyncio.gather(*(fetched(fetcher, uri) for _ in range(3))) == [CONTENT] * 3
    await fetcher.close()


async def test_a_cancelled_fetch_gives_its_bytes_back(root: Path) -> None:
    """Whoever stops waiting, for room or for bytes, leaves no room taken."""
    fetcher = over(root, in_flight_bytes=len(CONTENT))
    uri = str(root / "night" / "a.fits")
    async with fetcher.hold(Want(uri)):
        waiting = [asyncio.create_task(fetched(fetcher, uri)) for _ in range(2)]
        await asyncio.sleep(0.05)
        waiting[0].cancel()
        await asyncio.sleep(0)
    assert await asyncio.wait_for(waiting[1], 5) == CONTENT
    assert fetcher.in_flight_bytes == 0
    await fetcher.close()


async def test_reads_are_told(root: Path) -> None:
    """Each file that was read is told with its bytes and seconds, one that was refused is not."""
    told: list[tuple[str, int, float]] = []
    fetcher = over(root, Hooks(on_read=lambda *read: told.append(read)))
    uri = str(root / "night" / "a.fits")
    await fetched(fetcher, uri)
    await fault(fetcher, uri, checksum="0" * 64)
    await fetcher.close()
    assert [read[:2] for read in told] == [("file", len(CONTENT))]
    assert told[0][2] >= 0


async def test_files_that_belong_together_are_borrowed_in_one_go(root: Path) -> None:
    """Jobs that each need two files never wait for each other with one in hand."""
    fetcher = over(root, in_flight_bytes=3 * len(CONTENT))
    pair = (Want(str(root / "night" / "a.fits")), Want(str(root / "night" / "a.fits"), SHA))
    most = 0

    async def job() -> None:
        nonlocal most
        async with fetcher.hold(*pair) as held:
            most = max(most, fetcher.in_flight_bytes)
            assert [_landed(one) for one in held] == [CONTENT, CONTENT]
            await asyncio.sleep(0.01)

    await asyncio.wait_for(asyncio.gather(*(job() for _ in range(6))), 20)
    assert most == 2 * len(CONTENT)
    assert fetcher.in_flight_bytes == 0
    await fetcher.close()


async def test_of_two_files_the_bad_one_is_told(root: Path) -> None:
    """A file that cannot be had is an error in its own place, and counts no bytes."""
    told: list[WarpFault] = []
    fetcher = over(root, Hooks(on_fault=told.append))
    good, gone = Want(str(root / "night" / "a.fits")), Want(str(root / "none.fits"))
    async with fetcher.hold(gone, good) as (first, second):
        assert isinstance(first, WarpError)
        assert first.reason is WarpFault.MISSING
        assert _landed(second) == CONTENT
        assert fetcher.in_flight_bytes == len(CONTENT)
    assert told == [WarpFault.MISSING]
    await fetcher.close()


async def test_faults_are_told_once(root: Path) -> None:
    """Each refusal and each failure of the storage is told by its name."""
    told: list[WarpFault] = []
    fetcher = over(root, Hooks(on_fault=told.append))
    uri = str(root / "night" / "a.fits")
    await fault(fetcher, "http://host/a.fits")
    await fault(fetcher, uri, size=1)
    await fault(fetcher, uri, checksum="0" * 64)
    await fetched(fetcher, uri)
    await fetcher.close()
    assert told == [WarpFault.FORBIDDEN, WarpFault.CHECKSUM, WarpFault.CHECKSUM]


def _files(folder: Path) -> list[Path]:
    return list(folder.glob("*/*"))


def _mode(path: str) -> int:
    return Path(path).stat().st_mode


def _is_there(path: str) -> bool:
    return Path(path).exists()


def _landed(held: Held) -> bytes:
    assert isinstance(held, str)
    return Path(held).read_bytes()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_descriptors_are_given_back(root: Path, fetcher: Fetcher) -> None:
    """Reading, and refusing to read, leaves no file open."""
    uri = str(root / "night" / "a.fits")
    await fetched(fetcher, uri)
    before = _open_files()
    for _ in range(20):
        await fetched(fetcher, uri)
        await fault(fetcher, uri, checksum="0" * 64)
        await fault(fetcher, str(root / "night"))
        await fault(fetcher, uri + "/b")
    assert _open_files() == before


# Where files land


async def test_a_landed_file_is_removed(root: Path, fetcher: Fetcher) -> None:
    """A file lies there, readable by its owner alone, for the time that it is held."""
    async with fetcher.hold(Want(str(root / "night" / "a.fits"))) as (held,):
        assert _landed(held) == CONTENT
        assert isinstance(held, str)
        assert Path(held).is_relative_to(root.parent / "landing")
        assert _mode(held) & 0o077 == 0
        assert _mode(held.rpartition("/")[0]) & 0o077 == 0
    assert not _is_there(held)


async def test_no_room_is_nobodys_fault(root: Path, fetcher: Fetcher) -> None:
    """Room is made before a byte lands: where there is none, the landing folder is away."""
    want = Want(str(root / "night" / "a.fits"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(CONTENT) - 1, hard))
    try:
        error = await trouble(fetcher, want)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (error.store, error.trouble) == (str(root.parent / "landing"), StoreTrouble.FULL)
    assert not await asyncio.to_thread(_files, root.parent / "landing")
    assert await fetched(fetcher, want.uri) == CONTENT


async def test_a_landing_folder_that_cannot_be_made(root: Path) -> None:
    """A landing folder that is not to be had is away, and the storage itself is not."""
    (root / "taken").write_bytes(b"")
    fetcher = Fetcher([root], root / "taken" / "landing", quick())
    await fetcher.start()
    error = await trouble(fetcher, Want(str(root / "night" / "a.fits")))
    assert error.store == str(root / "taken" / "landing")
    await fetcher.close()


async def test_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    """A start clears away folders of the dead, and none of the living."""
    living, dead = Landing(tmp_path, 1), tmp_path / f"of-{secrets.token_hex(8)}"
    dead.mkdir()
    (dead / "0").write_bytes(CONTENT)
    async with living.file(1) as theirs:
        assert not dead.exists()
        other = Fetcher([], tmp_path)
        await other.start()
        assert _is_there(theirs.path)
        await other.close()
        assert _is_there(theirs.path)
    living.close()
    assert not await asyncio.to_thread(_files, tmp_path)
    assert not dead.exists()


def test_a_file_that_was_given_up_takes_no_more(tmp_path: Path) -> None:
    """Whoever is still writing when a file is given up writes nowhere, and is told."""
    path = tmp_path / "landing" / "own" / "0"
    file = LandedFile(tmp_path / "landing", str(path), 4)
    path.parent.mkdir(parents=True)
    file.open()
    file.write(b"ab")
    assert file.finish() is None
    file.discard()
    with pytest.raises(StoreAwayError, match="given up"):
        file.write(b"cd")
    file.open()
    assert not path.exists()
