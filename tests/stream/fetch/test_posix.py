"""Fetching bytes for URIs that may be an enemy's."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.faults import StoreTrouble, WarpError, WarpFault
from stream.fetch import Fetcher, Held, Hooks, Want, posix
from stream.fetch.landing import LandedFile
from stream.fetch.places import local_path
from stream.fetch.posix import ChangedError, copy, locate
from tests.stream.fetch.fetching import CONTENT, SHA, fault, fetched, quick, trouble


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an allowed folder with a warp in it, beside a folder that is not allowed."""
    allowed = tmp_path / "allowed"
    (allowed / "night").mkdir(parents=True)
    (allowed / "night" / "a.fits").write_bytes(CONTENT)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(CONTENT)
    return allowed


@pytest.fixture
def fetcher(root: Path) -> Iterator[Fetcher]:
    """Give a fetcher that may read the allowed folder, and does not wait for what is missing."""
    fetcher = _with(root)
    yield fetcher
    asyncio.run(fetcher.close())


def _with(root: Path, hooks: Hooks | None = None, **limits: Any) -> Fetcher:
    return Fetcher([root], root.parent / "landing", quick(**limits), hooks)


# What may be read


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}", "file:{}"])
async def test_a_path_and_a_file_url_are_read(root: Path, fetcher: Fetcher, form: str) -> None:
    """An absolute path and each form of a file: URL give the file's bytes."""
    uri = form.format(root / "night" / "a.fits")
    assert await fetched(fetcher, uri, SHA, len(CONTENT)) == CONTENT


async def test_odd_names_are_names(root: Path, fetcher: Fetcher) -> None:
    """Brackets, spaces, percent signs and letters of any script are part of a name."""
    for name in ("a[1].fits", "a b.fits", "50%.fits", "été.fits", "a?b#c.fits"):
        (root / name).write_bytes(CONTENT)
        assert await fetched(fetcher, str(root / name)) == CONTENT
    assert await fetched(fetcher, f"file://{root}/a%5B1%5D.fits") == CONTENT


async def test_links_inside_the_roots_are_followed(root: Path, fetcher: Fetcher) -> None:
    """A link is as good as what it points to, as long as that is allowed."""
    (root / "link.fits").symlink_to(root / "night" / "a.fits")
    (root / "tonight").symlink_to(root / "night")
    assert await fetched(fetcher, str(root / "link.fits")) == CONTENT
    assert await fetched(fetcher, str(root / "tonight" / "a.fits")) == CONTENT


async def test_a_root_may_be_a_link_itself(root: Path, tmp_path: Path) -> None:
    """The operator's own links are trusted, when the fetcher is made."""
    (tmp_path / "data").symlink_to(root)
    fetcher = _with(tmp_path / "data")
    assert await fetched(fetcher, str(tmp_path / "data" / "night" / "a.fits")) == CONTENT
    await fetcher.close()


async def test_an_empty_file_is_read(root: Path, fetcher: Fetcher) -> None:
    """No bytes are bytes; that they are no warp is the decoder's to say."""
    (root / "empty").touch()
    assert await fetched(fetcher, str(root / "empty"), size=0) == b""


# What may not


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "a.fits",
        "./a.fits",
        "night/a.fits",
        "../secret/key",
        "http://example.org/a.fits",
        "https://127.0.0.1/a.fits",
        "ftp://example.org/a.fits",
        "s3://bucket/a.fits",
        "data:,SIMPLE",
        "mem://a.fits",
        "shmem://h1",
        "root://host/a.fits",
        "stream://",
        "-",
        "!a.fits",
        "file://example.org/a.fits",
        "file://user:password@localhost/a.fits",
        "file:a.fits",
        "file://[::1",
        "javascript:alert(1)",
        "/allowed/a.fits\n/allowed/b.fits",
        "/allowed/a\0.fits",
        "/" + "a" * 3000,
        "~/a.fits",
        "$HOME/a.fits",
    ],
)
async def test_other_uris_are_forbidden(fetcher: Fetcher, uri: str) -> None:
    """Other schemes, other hosts, relative paths and odd characters are refused unread."""
    assert await fault(fetcher, uri) is WarpFault.FORBIDDEN


@pytest.mark.parametrize(
    "tail",
    [
        "/night/a.fits[1]",
        "/night/a.fits[1:10,1:10]",
        "/night/a.fits(out.fits)",
        "/night/a.fits+1",
        "/night/a.fits.gz",
        "/night/a.fits/b.fits",
    ],
)
async def test_extended_names_are_names_of_nothing(root: Path, fetcher: Fetcher, tail: str) -> None:
    """What FITS libraries take for orders in a name is a name, of a file that does not exist."""
    assert await fault(fetcher, f"{root}{tail}") is WarpFault.MISSING
    assert sorted(p.name for p in (root / "night").iterdir()) == ["a.fits"]


@pytest.mark.parametrize(
    "uri",
    [
        "{secret}/key",
        "{root}/../secret/key",
        "{root}/night/../../secret/key",
        "file://{root}/%2e%2e/secret/key",
        "file://{root}/..%2Fsecret/key",
        "//{secret}/key",
        "{root}-not/a.fits",
        "{root}/../allowedX",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/zero",
        "/dev/stdin",
    ],
)
async def test_nothing_outside_the_roots_is_read(root: Path, fetcher: Fetcher, uri: str) -> None:
    """However a path is written, it leads to a root or is refused."""
    secret = root.parent / "secret"
    assert await fault(fetcher, uri.format(root=root, secret=secret)) is WarpFault.FORBIDDEN


async def test_what_exists_outside_is_not_told(root: Path, fetcher: Fetcher) -> None:
    """A file outside is refused in the same words whether it exists or not."""
    errors = []
    for name in ("key", "nothing"):
        with pytest.raises(WarpError) as caught:
            await fetched(fetcher, str(root.parent / "secret" / name))
        errors.append(caught.value.message.replace(name, ""))
    assert errors[0] == errors[1]


async def test_links_that_lead_out_are_refused(root: Path, fetcher: Fetcher) -> None:
    """A link to a file, to a folder, or to another link outside leads nowhere."""
    (root / "key").symlink_to(root.parent / "secret" / "key")
    (root / "folder").symlink_to(root.parent / "secret")
    (root / "again").symlink_to(root / "key")
    for path in ("key", "folder/key", "again"):
        assert await fault(fetcher, str(root / path)) is WarpFault.FORBIDDEN


async def test_a_loop_of_links_ends(root: Path, fetcher: Fetcher) -> None:
    """A link to itself is no file."""
    (root / "loop").symlink_to(root / "loop")
    assert await fault(fetcher, str(root / "loop")) is WarpFault.FORBIDDEN


@pytest.mark.parametrize("race", ["file", "folder"])
def test_a_link_put_in_between_is_not_followed(root: Path, race: str) -> None:
    """A path that was checked cannot be bent before it is opened."""
    path = root / "night" / "a.fits"
    found = locate(str(path), (root,))
    assert found is not None
    if race == "file":
        path.unlink()
        path.symlink_to(root.parent / "secret" / "key")
    else:
        (root / "night").rename(root / "day")
        (root.parent / "secret" / "a.fits").write_bytes(CONTENT)
        (root / "night").symlink_to(root.parent / "secret")
    with pytest.raises(OSError, match=r"."):
        copy(found, LandedFile(root / "landed", found.size), 1000)


async def test_only_regular_files_are_read(root: Path, fetcher: Fetcher) -> None:
    """A folder, a FIFO without a writer and a socket are refused at once, without hanging."""
    os.mkfifo(root / "fifo")
    server = await asyncio.start_unix_server(lambda *_: None, root / "socket")
    for name in ("night", "fifo", "socket", "."):
        assert await fault(fetcher, str(root / name)) is WarpFault.FORBIDDEN
    server.close()


async def test_without_roots_nothing_is_read(root: Path) -> None:
    """An empty list of roots allows nothing."""
    fetcher = Fetcher([], root.parent / "landing", quick())
    assert await fault(fetcher, str(root / "night" / "a.fits")) is WarpFault.FORBIDDEN
    await fetcher.close()


@given(st.text(max_size=60))
def test_any_text_is_a_path_or_forbidden(uri: str) -> None:
    """Whatever stands in a message, it is an absolute path, or refused as forbidden."""
    try:
        path = local_path(uri)
    except WarpError as error:
        refused = error.reason
        assert refused is WarpFault.FORBIDDEN
    else:
        assert path.startswith("/")
        assert "\0" not in path


# What was announced


async def test_the_checksum_is_held(root: Path, fetcher: Fetcher) -> None:
    """Bytes of another sum than announced are refused."""
    uri = str(root / "night" / "a.fits")
    assert await fault(fetcher, uri, checksum="0" * 64) is WarpFault.CHECKSUM


async def test_the_size_is_held(root: Path, fetcher: Fetcher) -> None:
    """A file of another size than announced is refused unread."""
    uri = str(root / "night" / "a.fits")
    assert await fault(fetcher, uri, size=len(CONTENT) + 1) is WarpFault.CHECKSUM


async def test_a_file_has_a_limit(root: Path, fetcher: Fetcher) -> None:
    """A file beyond the limit is refused unread, be it a thousand times the machine's memory."""
    with (root / "huge").open("wb") as huge:
        huge.truncate(1 << 42)
    assert await fault(fetcher, str(root / "huge")) is WarpFault.TOO_LARGE


# A store that is slow, late or failing


async def test_a_missing_file_is_missing_once_the_grace_is_over(root: Path) -> None:
    """A file that is not there is asked for until the grace is over."""
    fetcher = _with(root, missing_grace_s=0.2)
    began = time.monotonic()
    assert await fault(fetcher, str(root / "late.fits")) is WarpFault.MISSING
    assert time.monotonic() - began >= 0.2
    await fetcher.close()


async def test_a_file_may_come_late(root: Path) -> None:
    """A file, and even its folder, that appears within the grace is read."""
    fetcher = _with(root, missing_grace_s=10.0)
    job = asyncio.create_task(fetched(fetcher, str(root / "tomorrow" / "late.fits"), SHA))
    await asyncio.sleep(0.1)
    (root / "tomorrow").mkdir()
    partial = root / "tomorrow" / "late.part"
    partial.write_bytes(CONTENT)
    partial.rename(root / "tomorrow" / "late.fits")
    assert await asyncio.wait_for(job, 5) == CONTENT
    await fetcher.close()


def _failing(times: int, error: Callable[[], Exception]) -> Callable[..., None]:
    """Return what fails so often before it copies."""
    calls = iter(range(10**6))

    def read(*args: Any) -> None:
        if next(calls) < times:
            raise error()
        copy(*args)

    return read


def _broken() -> OSError:
    return OSError(5, "Input/output error")


async def test_a_storage_that_recovers_is_read(
    root: Path, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure of the storage is met with patience, however long it lasts."""
    monkeypatch.setattr(posix, "copy", _failing(9, _broken))
    assert await fetched(fetcher, str(root / "night" / "a.fits")) == CONTENT


async def test_a_storage_that_fails_is_nobodys_fault(
    root: Path, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure is the folder's, in the storage's words, and no byte stays in flight."""
    monkeypatch.setattr(posix, "copy", _failing(4, _broken))
    error = await trouble(fetcher, Want(str(root / "night" / "a.fits")))
    assert (error.store, error.trouble) == (str(root), StoreTrouble.FAILED)
    assert "Input/output error" in error.message
    assert fetcher.in_flight_bytes == 0


async def test_a_folder_that_is_gone_is_away(root: Path) -> None:
    """Files of a folder that is not there itself are not missing: the folder is away."""
    fetcher = _with(root)
    want = Want(str(root / "night" / "a.fits"))
    away = root.with_name("elsewhere")
    await asyncio.to_thread(root.rename, away)
    assert (await trouble(fetcher, want)).trouble is StoreTrouble.FAILED
    await asyncio.to_thread(away.rename, root)
    assert await fetched(fetcher, want.uri) == CONTENT
    await fetcher.close()


async def test_a_storage_that_hangs_is_away(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that does not come back costs its time limit, not the caller."""
    end = threading.Event()
    monkeypatch.setattr(posix, "copy", lambda *_: end.wait())
    fetcher = _with(root, stall_s=0.05)
    error = await trouble(fetcher, Want(str(root / "night" / "a.fits")))
    assert error.trouble is StoreTrouble.TIMEOUT
    assert fetcher.in_flight_bytes == 0
    end.set()
    await fetcher.close()


async def test_a_file_that_changes_is_looked_at_again(
    root: Path, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changed once is read; one that changes all the time is its warp's fault."""
    uri = str(root / "night" / "a.fits")
    monkeypatch.setattr(posix, "copy", _failing(1, ChangedError))
    assert await fetched(fetcher, uri) == CONTENT
    monkeypatch.setattr(posix, "copy", _failing(2, ChangedError))
    assert await fault(fetcher, uri) is WarpFault.UNREADABLE


def test_a_file_that_changes_while_it_is_read_is_refused(root: Path) -> None:
    """A file that grew since it was found is another file."""
    path = root / "night" / "a.fits"
    found = locate(str(path), (root,))
    assert found is not None
    path.write_bytes(CONTENT * 2)
    with pytest.raises(ChangedError):
        copy(found, LandedFile(root / "landed", found.size), 1000)


# Bounds


async def test_bytes_in_flight_are_bounded(root: Path) -> None:
    """Files that are held leave room for others only up to the bound; then these wait."""
    fetcher = _with(root, in_flight_bytes=2 * len(CONTENT))
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
    fetcher = _with(root, in_flight_bytes=len(CONTENT) + 1)
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


async def test_a_file_larger_than_the_bound_is_read_alone(root: Path) -> None:
    """A bound smaller than a file holds it back until nothing else is in flight."""
    fetcher = _with(root, in_flight_bytes=1)
    uri = str(root / "night" / "a.fits")
    assert await asyncio.gather(*(fetched(fetcher, uri) for _ in range(3))) == [CONTENT] * 3
    await fetcher.close()


async def test_a_cancelled_fetch_gives_its_bytes_back(root: Path) -> None:
    """Whoever stops waiting, for room or for bytes, leaves no room taken."""
    fetcher = _with(root, in_flight_bytes=len(CONTENT))
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
    fetcher = _with(root, Hooks(on_read=lambda *read: told.append(read)))
    uri = str(root / "night" / "a.fits")
    await fetched(fetcher, uri)
    await fault(fetcher, uri, checksum="0" * 64)
    await fetcher.close()
    assert [read[:2] for read in told] == [("file", len(CONTENT))]
    assert told[0][2] >= 0


async def test_files_that_belong_together_are_borrowed_in_one_go(root: Path) -> None:
    """Jobs that each need two files never wait for each other with one in hand."""
    fetcher = _with(root, in_flight_bytes=3 * len(CONTENT))
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
    fetcher = _with(root, Hooks(on_fault=told.append))
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
    fetcher = _with(root, Hooks(on_fault=told.append))
    uri = str(root / "night" / "a.fits")
    await fault(fetcher, "http://host/a.fits")
    await fault(fetcher, uri, size=1)
    await fault(fetcher, uri, checksum="0" * 64)
    await fetched(fetcher, uri)
    await fetcher.close()
    assert told == [WarpFault.FORBIDDEN, WarpFault.CHECKSUM, WarpFault.CHECKSUM]


def _landed(held: Held) -> bytes:
    assert isinstance(held, Path)
    return held.read_bytes()


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
