"""Fetching bytes for URIs that may be an enemy's."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream import fetch
from stream.faults import WarpError, WarpFault
from stream.fetch import Fetcher, FetchLimits, Want, local_path

CONTENT = b"SIMPLE  =                    T" * 100
SHA = hashlib.sha256(CONTENT).hexdigest()
QUICK = FetchLimits(
    max_bytes=10_000,
    in_flight_bytes=10_000,
    timeout_s=5.0,
    missing_grace_s=0.0,
    pause_s=0.01,
    longest_pause_s=0.02,
)


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
    fetcher = Fetcher([root], QUICK)
    yield fetcher
    fetcher.close()


def _with(root: Path, **limits: Any) -> Fetcher:
    values = {name: getattr(QUICK, name) for name in QUICK.__slots__} | limits
    return Fetcher([root], FetchLimits(**values))


async def _fault(fetcher: Fetcher, uri: str, **facts: Any) -> WarpFault:
    """Return the fault that a fetch ends with, which must be soon."""
    with pytest.raises(WarpError) as caught:
        await asyncio.wait_for(fetcher.fetch(uri, **facts), 5)
    return caught.value.reason


# What may be read


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}", "file:{}"])
async def test_a_path_and_a_file_url_are_read(root: Path, fetcher: Fetcher, form: str) -> None:
    """An absolute path and each form of a file: URL give the file's bytes."""
    uri = form.format(root / "night" / "a.fits")
    assert await fetcher.fetch(uri, SHA, len(CONTENT)) == CONTENT


async def test_odd_names_are_names(root: Path, fetcher: Fetcher) -> None:
    """Brackets, spaces, percent signs and letters of any script are part of a name."""
    for name in ("a[1].fits", "a b.fits", "50%.fits", "été.fits", "a?b#c.fits"):
        (root / name).write_bytes(CONTENT)
        assert await fetcher.fetch(str(root / name)) == CONTENT
    assert await fetcher.fetch(f"file://{root}/a%5B1%5D.fits") == CONTENT


async def test_links_inside_the_roots_are_followed(root: Path, fetcher: Fetcher) -> None:
    """A link is as good as what it points to, as long as that is allowed."""
    (root / "link.fits").symlink_to(root / "night" / "a.fits")
    (root / "tonight").symlink_to(root / "night")
    assert await fetcher.fetch(str(root / "link.fits")) == CONTENT
    assert await fetcher.fetch(str(root / "tonight" / "a.fits")) == CONTENT


async def test_a_root_may_be_a_link_itself(root: Path, tmp_path: Path) -> None:
    """The operator's own links are trusted, when the fetcher is made."""
    (tmp_path / "data").symlink_to(root)
    fetcher = _with(tmp_path / "data")
    assert await fetcher.fetch(str(tmp_path / "data" / "night" / "a.fits")) == CONTENT
    fetcher.close()


async def test_an_empty_file_is_read(root: Path, fetcher: Fetcher) -> None:
    """No bytes are bytes; that they are no warp is the decoder's to say."""
    (root / "empty").touch()
    assert await fetcher.fetch(str(root / "empty"), size=0) == b""


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
    assert await _fault(fetcher, uri) is WarpFault.FORBIDDEN


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
    assert await _fault(fetcher, f"{root}{tail}") is WarpFault.MISSING
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
    assert await _fault(fetcher, uri.format(root=root, secret=secret)) is WarpFault.FORBIDDEN


async def test_what_exists_outside_is_not_told(root: Path, fetcher: Fetcher) -> None:
    """A file outside is refused in the same words whether it exists or not."""
    errors = []
    for name in ("key", "nothing"):
        with pytest.raises(WarpError) as caught:
            await fetcher.fetch(str(root.parent / "secret" / name))
        errors.append(caught.value.message.replace(name, ""))
    assert errors[0] == errors[1]


async def test_links_that_lead_out_are_refused(root: Path, fetcher: Fetcher) -> None:
    """A link to a file, to a folder, or to another link outside leads nowhere."""
    (root / "key").symlink_to(root.parent / "secret" / "key")
    (root / "folder").symlink_to(root.parent / "secret")
    (root / "again").symlink_to(root / "key")
    for path in ("key", "folder/key", "again"):
        assert await _fault(fetcher, str(root / path)) is WarpFault.FORBIDDEN


async def test_a_loop_of_links_ends(root: Path, fetcher: Fetcher) -> None:
    """A link to itself is no file."""
    (root / "loop").symlink_to(root / "loop")
    assert await _fault(fetcher, str(root / "loop")) is WarpFault.FORBIDDEN


@pytest.mark.parametrize("race", ["file", "folder"])
def test_a_link_put_in_between_is_not_followed(root: Path, race: str) -> None:
    """A path that was checked cannot be bent before it is opened."""
    path = root / "night" / "a.fits"
    found = fetch._locate(str(path), (root,))  # noqa: SLF001 - the race is between the two
    assert found is not None
    if race == "file":
        path.unlink()
        path.symlink_to(root.parent / "secret" / "key")
    else:
        (root / "night").rename(root / "day")
        (root.parent / "secret" / "a.fits").write_bytes(CONTENT)
        (root / "night").symlink_to(root.parent / "secret")
    with pytest.raises(OSError, match=r"."):
        fetch._read(found, None)  # noqa: SLF001 - see above


async def test_only_regular_files_are_read(root: Path, fetcher: Fetcher) -> None:
    """A folder, a FIFO without a writer and a socket are refused at once, without hanging."""
    os.mkfifo(root / "fifo")
    server = await asyncio.start_unix_server(lambda *_: None, root / "socket")
    for name in ("night", "fifo", "socket", "."):
        assert await _fault(fetcher, str(root / name)) is WarpFault.FORBIDDEN
    server.close()


async def test_without_roots_nothing_is_read(root: Path) -> None:
    """An empty list of roots allows nothing."""
    fetcher = Fetcher([], QUICK)
    assert await _fault(fetcher, str(root / "night" / "a.fits")) is WarpFault.FORBIDDEN
    fetcher.close()


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
    assert await _fault(fetcher, uri, checksum="0" * 64) is WarpFault.CHECKSUM


async def test_the_size_is_held(root: Path, fetcher: Fetcher) -> None:
    """A file of another size than announced is refused unread."""
    uri = str(root / "night" / "a.fits")
    assert await _fault(fetcher, uri, size=len(CONTENT) + 1) is WarpFault.CHECKSUM


async def test_a_file_has_a_limit(root: Path, fetcher: Fetcher) -> None:
    """A file beyond the limit is refused unread, be it a thousand times the machine's memory."""
    with (root / "huge").open("wb") as huge:
        huge.truncate(1 << 42)
    assert await _fault(fetcher, str(root / "huge")) is WarpFault.TOO_LARGE


# A store that is slow, late or failing


async def test_a_missing_file_is_missing_once_the_grace_is_over(root: Path) -> None:
    """A file that is not there is asked for until the grace is over."""
    fetcher = _with(root, missing_grace_s=0.2)
    began = time.monotonic()
    assert await _fault(fetcher, str(root / "late.fits")) is WarpFault.MISSING
    assert time.monotonic() - began >= 0.2
    fetcher.close()


async def test_a_file_may_come_late(root: Path) -> None:
    """A file, and even its folder, that appears within the grace is read."""
    fetcher = _with(root, missing_grace_s=10.0)
    job = asyncio.create_task(fetcher.fetch(str(root / "tomorrow" / "late.fits"), SHA))
    await asyncio.sleep(0.1)
    (root / "tomorrow").mkdir()
    partial = root / "tomorrow" / "late.part"
    partial.write_bytes(CONTENT)
    partial.rename(root / "tomorrow" / "late.fits")
    assert await asyncio.wait_for(job, 5) == CONTENT
    fetcher.close()


def _failing(times: int, error: Callable[[], Exception]) -> Callable[..., bytes]:
    """Return a reader that fails so often before it reads."""
    real, calls = fetch._read, iter(range(10**6))  # noqa: SLF001 - a storage that fails

    def read(*args: Any) -> bytes:
        if next(calls) < times:
            raise error()
        return real(*args)

    return read


async def test_a_storage_that_recovers_is_read(
    root: Path, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure of the storage is met with patience."""
    monkeypatch.setattr(fetch, "_read", _failing(3, lambda: OSError(5, "Input/output error")))
    assert await fetcher.fetch(str(root / "night" / "a.fits")) == CONTENT


async def test_a_storage_that_keeps_failing_is_given_up(
    root: Path, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its retries the failure is the warp's, in the storage's words."""
    monkeypatch.setattr(fetch, "_read", _failing(4, lambda: OSError(5, "Input/output error")))
    with pytest.raises(WarpError, match="Input/output error") as caught:
        await fetcher.fetch(str(root / "night" / "a.fits"))
    assert caught.value.reason is WarpFault.UNREADABLE


async def test_a_storage_that_hangs_times_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that does not come back costs its time limit, not the caller."""

    def hang(*_: Any) -> bytes:
        time.sleep(0.3)
        return b""

    monkeypatch.setattr(fetch, "_read", hang)
    fetcher = _with(root, timeout_s=0.05, retries=1)
    assert await _fault(fetcher, str(root / "night" / "a.fits")) is WarpFault.TIMEOUT
    assert fetcher.in_flight_bytes == 0
    fetcher.close()


def test_a_file_that_changes_while_it_is_read_is_refused(root: Path) -> None:
    """A file that grew since it was found is another file."""
    path = root / "night" / "a.fits"
    found = fetch._locate(str(path), (root,))  # noqa: SLF001 - the race is between the two
    assert found is not None
    path.write_bytes(CONTENT * 2)
    with pytest.raises(WarpError, match="changes while it is read"):
        fetch._read(found, None)  # noqa: SLF001 - see above


# Bounds


async def test_bytes_in_flight_are_bounded(root: Path) -> None:
    """Files that are held leave room for others only up to the bound; then these wait."""
    fetcher = _with(root, in_flight_bytes=2 * len(CONTENT))
    uri = str(root / "night" / "a.fits")
    async with fetcher.hold(Want(uri)), fetcher.hold(Want(uri)):
        assert fetcher.in_flight_bytes == 2 * len(CONTENT)
        waiting = asyncio.create_task(fetcher.fetch(uri))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert await asyncio.wait_for(waiting, 5) == CONTENT
    assert fetcher.in_flight_bytes == 0
    fetcher.close()


async def test_files_are_served_in_the_order_of_asking(root: Path) -> None:
    """A large file that waits is not overtaken for ever by small ones."""
    (root / "small").write_bytes(b"s")
    small = Want(str(root / "small"))
    fetcher = _with(root, in_flight_bytes=len(CONTENT) + 1)
    order: list[str] = []

    async def take(name: str) -> None:
        await fetcher.fetch(str(root / name))
        order.append(name)

    async with fetcher.hold(small), fetcher.hold(small):
        jobs = [asyncio.create_task(take("night/a.fits"))]
        await asyncio.sleep(0.05)
        jobs += [asyncio.create_task(take("small")) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert order == []
    await asyncio.gather(*jobs)
    assert len(order) == 4
    fetcher.close()


async def test_a_file_larger_than_the_bound_is_read_alone(root: Path) -> None:
    """A bound smaller than a file holds it back until nothing else is in flight."""
    fetcher = _with(root, in_flight_bytes=1)
    uri = str(root / "night" / "a.fits")
    assert await asyncio.gather(*(fetcher.fetch(uri) for _ in range(3))) == [CONTENT] * 3
    fetcher.close()


async def test_a_cancelled_fetch_gives_its_bytes_back(root: Path) -> None:
    """Whoever stops waiting, for room or for bytes, leaves no room taken."""
    fetcher = _with(root, in_flight_bytes=len(CONTENT))
    uri = str(root / "night" / "a.fits")
    async with fetcher.hold(Want(uri)):
        waiting = [asyncio.create_task(fetcher.fetch(uri)) for _ in range(2)]
        await asyncio.sleep(0.05)
        waiting[0].cancel()
        await asyncio.sleep(0)
    assert await asyncio.wait_for(waiting[1], 5) == CONTENT
    assert fetcher.in_flight_bytes == 0
    fetcher.close()


async def test_reads_are_told(root: Path) -> None:
    """Each file that was read is told with its bytes and seconds, one that was refused is not."""
    told: list[tuple[int, float]] = []
    fetcher = Fetcher([root], QUICK, lambda *read: told.append(read))
    uri = str(root / "night" / "a.fits")
    await fetcher.fetch(uri)
    await _fault(fetcher, uri, checksum="0" * 64)
    fetcher.close()
    assert [size for size, _ in told] == [len(CONTENT)]
    assert 0 <= told[0][1] < 5


async def test_files_that_belong_together_are_borrowed_in_one_go(root: Path) -> None:
    """Jobs that each need two files never wait for each other with one in hand."""
    fetcher = _with(root, in_flight_bytes=3 * len(CONTENT))
    pair = (Want(str(root / "night" / "a.fits")), Want(str(root / "night" / "a.fits"), SHA))
    most = 0

    async def job() -> None:
        nonlocal most
        async with fetcher.hold(*pair) as held:
            most = max(most, fetcher.in_flight_bytes)
            assert held == [CONTENT, CONTENT]
            await asyncio.sleep(0.01)

    await asyncio.wait_for(asyncio.gather(*(job() for _ in range(6))), 20)
    assert most == 2 * len(CONTENT)
    assert fetcher.in_flight_bytes == 0
    fetcher.close()


async def test_of_two_files_the_bad_one_is_told(root: Path) -> None:
    """A file that cannot be had is an error in its own place, and counts no bytes."""
    told: list[WarpFault] = []
    fetcher = Fetcher([root], QUICK, on_fault=told.append)
    good, gone = Want(str(root / "night" / "a.fits")), Want(str(root / "none.fits"))
    async with fetcher.hold(gone, good) as (first, second):
        assert isinstance(first, WarpError)
        assert first.reason is WarpFault.MISSING
        assert second == CONTENT
        assert fetcher.in_flight_bytes == len(CONTENT)
    assert told == [WarpFault.MISSING]
    fetcher.close()


async def test_faults_are_told_once(root: Path) -> None:
    """Each refusal and each failure of the storage is told by its name."""
    told: list[WarpFault] = []
    fetcher = Fetcher([root], QUICK, on_fault=told.append)
    uri = str(root / "night" / "a.fits")
    await _fault(fetcher, "http://host/a.fits")
    await _fault(fetcher, uri, size=1)
    await _fault(fetcher, uri, checksum="0" * 64)
    await fetcher.fetch(uri)
    fetcher.close()
    assert told == [WarpFault.FORBIDDEN, WarpFault.CHECKSUM, WarpFault.CHECKSUM]


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_descriptors_are_given_back(root: Path, fetcher: Fetcher) -> None:
    """Reading, and refusing to read, leaves no file open."""
    uri = str(root / "night" / "a.fits")
    await fetcher.fetch(uri)
    before = _open_files()
    for _ in range(20):
        await fetcher.fetch(uri)
        await _fault(fetcher, uri, checksum="0" * 64)
        await _fault(fetcher, str(root / "night"))
        await _fault(fetcher, uri + "/b")
    assert _open_files() == before
