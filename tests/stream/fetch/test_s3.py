"""Objects from a real server that speaks S3, with trouble in front of it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from ops.store.proxy import Asked, Proxy, Trouble, proxied
from ops.store.server import KEYS, Server
from stream.faults import StoreTrouble, WarpFault
from stream.fetch import Bucket, Fetcher, Hooks, Want
from tests.stream.fetch.fetching import CONTENT, SHA, fault, fetched, quick, trouble

BUCKET = "s3://sky"
ALLOWED = Bucket("sky", ("night",))
URI = "s3://sky/night/a.fits"
SIZE = len(CONTENT)


@pytest.fixture(scope="module")
def warps(s3: Server) -> Server:
    """Return the server with a warp below the allowed prefix, and one beside it."""
    s3.put("night/a.fits", CONTENT)
    s3.put("night/deep/b.fits", CONTENT)
    s3.put("night/empty", b"")
    s3.put("nightly/a.fits", CONTENT)
    s3.put("secret", CONTENT)
    return s3


@pytest.fixture
def proxy(warps: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Give a proxy before the server, where clients look for it."""
    with proxied(warps.port) as proxy:
        for variable, value in {**KEYS, "AWS_ENDPOINT_URL": proxy.address}.items():
            monkeypatch.setenv(variable, value)
        yield proxy


@pytest.fixture
def make(proxy: Proxy, tmp_path: Path) -> Callable[..., Any]:
    """Return what makes a fetcher for the time of a context."""

    @asynccontextmanager
    async def making(hooks: Hooks | None = None, **limits: Any) -> AsyncIterator[Fetcher]:
        assert proxy.port
        fetcher = Fetcher([ALLOWED], tmp_path / "landing", quick(**limits), hooks)
        try:
            yield fetcher
            assert fetcher.in_flight_bytes == 0
            assert not await asyncio.to_thread(_files, tmp_path / "landing")
        finally:
            await fetcher.close()

    return making


def first(*troubles: Trouble) -> Callable[[Asked], Trouble | None]:
    """Return what makes trouble of the first requests from now on, one each."""
    left = iter(troubles)
    return lambda _: next(left, None)


def _files(folder: Path) -> list[Path]:
    return list(folder.glob("*/*"))


async def until(holds: Callable[[], object]) -> None:
    """Wait until the proxy, in its own thread, has come so far."""
    while not holds():  # noqa: ASYNC110 - an event of another thread cannot be awaited
        await asyncio.sleep(0.01)


# What may be read


@pytest.mark.parametrize("size", [None, SIZE])
async def test_an_object_is_read(make: Any, proxy: Proxy, size: int | None) -> None:
    """An object lands whole, in one request if its size was announced."""
    async with make() as fetcher:
        assert await fetched(fetcher, URI, SHA, size) == CONTENT
        assert await fetched(fetcher, "s3://sky/night/deep/b.fits", SHA, size) == CONTENT
    assert len(proxy.asked) == (2 if size else 4)


async def test_an_empty_object_is_read(make: Any) -> None:
    """No bytes are bytes, whether announced or not."""
    async with make() as fetcher:
        for size in (None, 0):
            assert await fetched(fetcher, "s3://sky/night/empty", None, size) == b""


@pytest.mark.parametrize(
    "uri",
    [
        "s3://sky/nightly/a.fits",
        "s3://sky/night",
        "s3://sky/secret",
        "s3://sky/night/../secret",
        "s3://sky/night/%2e%2e/secret",
        "s3://other/night/a.fits",
        "s3://key:word@sky/night/a.fits",
        "s3://sky:443/night/a.fits",
        "http://sky/night/a.fits",
    ],
)
async def test_nothing_else_is_asked_for(make: Any, proxy: Proxy, uri: str) -> None:
    """What is not below the prefix is refused before anything is sent."""
    async with make() as fetcher:
        assert await fault(fetcher, uri) is WarpFault.FORBIDDEN
    assert proxy.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("size", [None, SIZE])
async def test_no_redirect_is_followed(
    make: Any, proxy: Proxy, warps: Server, status: int, size: int | None
) -> None:
    """An endpoint that sends us elsewhere is away: nobody else is asked for the bytes."""
    with proxied(warps.port) as elsewhere:
        proxy.troubles = lambda _: Trouble(status, "", f"{elsewhere.address}/sky/night/a.fits")
        async with make() as fetcher:
            error = await trouble(fetcher, Want(URI, SHA, size))
        assert (error.store, error.trouble) == (BUCKET, StoreTrouble.REFUSED)
        assert elsewhere.asked == []


# What was announced


async def test_checksum_and_size_are_held(make: Any, proxy: Proxy) -> None:
    """Other bytes than announced are their warp's fault, after one request."""
    async with make() as fetcher:
        assert await fault(fetcher, URI, checksum="0" * 64, size=SIZE) is WarpFault.CHECKSUM
        assert await fault(fetcher, URI, checksum=SHA, size=SIZE - 1) is WarpFault.CHECKSUM
        assert len(proxy.asked) == 2
        assert await fault(fetcher, URI, size=10_001) is WarpFault.TOO_LARGE
        assert len(proxy.asked) == 2


async def test_an_object_that_changes_is_looked_at_again(
    make: Any, proxy: Proxy, warps: Server
) -> None:
    """An object that is another one when it is read is found anew; but not again and again."""
    other = b"another" * 100
    swaps = iter((other, CONTENT, other, CONTENT))

    def swap(asked: Asked) -> None:
        if asked.number % 2:  # between the look and the read
            warps.put("night/changing", next(swaps))

    warps.put("night/changing", CONTENT)
    proxy.troubles = swap
    async with make() as fetcher:
        assert await fault(fetcher, "s3://sky/night/changing") is WarpFault.UNREADABLE
        proxy.troubles = lambda asked: swap(asked) if asked.number == 5 else None
        assert await fetched(fetcher, "s3://sky/night/changing") == other


async def test_a_missing_object_may_come(make: Any, warps: Server) -> None:
    """An object that is not there is asked for within the grace, with no byte in flight."""
    want = Want("s3://sky/night/late", None, SIZE)
    async with make(missing_grace_s=60.0) as fetcher:
        error = await trouble(fetcher, want)
        assert error.trouble is StoreTrouble.MISSING
        assert fetcher.in_flight_bytes == 0
        await asyncio.to_thread(warps.put, "night/late", CONTENT)
        await fetcher.available(error)
        async with fetcher.hold(want) as (held,):
            assert isinstance(held, str)
    async with make() as fetcher:
        assert await fault(fetcher, "s3://sky/night/never") is WarpFault.MISSING


# A store that is slow or failing

STALLED = {"stall_s": 0.2, "least_bytes_per_s": 1000.0}


@pytest.mark.parametrize(
    ("made", "limits", "kind"),
    [
        (Trouble(bytes_per_s=20), STALLED, StoreTrouble.TIMEOUT),
        (Trouble(stall_after=100, stall_s=60), STALLED, StoreTrouble.TIMEOUT),
        (Trouble(cut_after=100), {}, StoreTrouble.TRUNCATED),
        (Trouble(cut_after=0), {}, StoreTrouble.TRUNCATED),
        (Trouble(500, "InternalError"), {}, StoreTrouble.FAILED),
        (Trouble(503, "SlowDown"), {}, StoreTrouble.FAILED),
        (Trouble(429), {}, StoreTrouble.FAILED),
        (Trouble(403, "ExpiredToken"), {}, StoreTrouble.REFUSED),
        (Trouble(400, "ExpiredToken"), {}, StoreTrouble.REFUSED),
        (Trouble(403, "AccessDenied"), {}, StoreTrouble.REFUSED),
        (Trouble(401), {}, StoreTrouble.REFUSED),
        (Trouble(404, "NoSuchBucket"), {}, StoreTrouble.REFUSED),
    ],
)
async def test_what_a_storage_does_is_nobodys_fault(
    make: Any, proxy: Proxy, made: Trouble, limits: Any, kind: StoreTrouble
) -> None:
    """Slow, stalled, cut, failing or refusing: the bucket is away, and later it is read."""
    proxy.troubles = lambda _: made
    want = Want(URI, SHA, SIZE)
    told: list[StoreTrouble] = []
    async with make(Hooks(on_trouble=told.append), **limits) as fetcher:
        error = await trouble(fetcher, want)
        assert (error.store, error.trouble) == (BUCKET, kind)
        assert fetcher.in_flight_bytes == 0
        proxy.troubles = lambda _: None
        assert await fetched(fetcher, URI, SHA, SIZE) == CONTENT
    assert told == [kind]


@pytest.mark.parametrize("made", [Trouble(503, "SlowDown"), Trouble(cut_after=100)])
async def test_one_failure_is_tried_again_at_once(make: Any, proxy: Proxy, made: Trouble) -> None:
    """A transfer that fails once is nothing to speak of."""
    proxy.troubles = first(made)
    async with make() as fetcher, fetcher.hold(Want(URI, SHA, SIZE)) as (held,):
        assert isinstance(held, str)
        assert await asyncio.to_thread(Path(held).read_bytes) == CONTENT
    assert proxy.made[made] == 1


@pytest.mark.parametrize(
    "made", [Trouble(403, "AccessDenied"), Trouble(400, "InvalidName"), Trouble(403)]
)
async def test_an_object_that_is_refused_alone_is_its_warps_fault(
    make: Any, proxy: Proxy, made: Trouble
) -> None:
    """While others can be read, one that we may not read holds up nobody."""
    proxy.troubles = lambda asked: made if asked.path.endswith("b.fits") else None
    bad = "s3://sky/night/deep/b.fits"
    async with make() as fetcher:
        assert (await trouble(fetcher, Want(bad))).trouble is StoreTrouble.REFUSED
        assert await fetched(fetcher, URI, SHA, SIZE) == CONTENT
        assert await fault(fetcher, bad) is WarpFault.UNREADABLE
        proxy.troubles = lambda _: made
        assert (await trouble(fetcher, Want(bad))).trouble is StoreTrouble.REFUSED


async def test_an_object_that_always_fails_is_its_warps_fault(make: Any, proxy: Proxy) -> None:
    """A group would wait for it for ever, while its storage serves all others."""
    proxy.troubles = lambda asked: Trouble(500) if asked.path.endswith("b.fits") else None
    async with make(failing_grace_s=0.05) as fetcher:
        others = asyncio.create_task(_again_and_again(fetcher))
        assert await fault(fetcher, "s3://sky/night/deep/b.fits") is WarpFault.UNREADABLE
        others.cancel()
        await asyncio.wait({others})


async def _again_and_again(fetcher: Fetcher) -> None:
    while True:
        await fetched(fetcher, URI, SHA, SIZE)


async def test_an_object_of_a_class_that_is_not_at_hand(make: Any, proxy: Proxy) -> None:
    """An object that was moved to an archive is its warp's fault from the first."""
    proxy.troubles = lambda _: Trouble(403, "InvalidObjectState")
    async with make() as fetcher:
        assert await fault(fetcher, URI) is WarpFault.UNREADABLE


async def test_a_server_that_is_away(make: Any, proxy: Proxy, monkeypatch: Any) -> None:
    """An endpoint where nobody listens is away, and is told once, and once when it is back."""
    told: list[tuple[str, int]] = []
    proxy.troubles = lambda _: Trouble(503, "SlowDown")
    hooks = Hooks(on_away=lambda *now: told.append(now))
    with capture_logs() as logs:
        async with make(hooks, retries=0) as fetcher:
            reads = [asyncio.create_task(fetched(fetcher, URI, SHA, SIZE)) for _ in range(10)]
            await until(lambda: proxy.made.total() >= 8)
            assert told == [("s3", 1)]
            proxy.troubles = lambda _: None
            assert await asyncio.gather(*reads) == [CONTENT] * 10
    assert told == [("s3", 1), ("s3", -1)]
    events = [(one["event"], one["store"]) for one in logs]
    assert events == [("storage is away", BUCKET), ("storage is back", BUCKET)]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens there
    async with make() as fetcher:
        assert (await trouble(fetcher, Want(URI))).trouble is StoreTrouble.FAILED


async def test_a_cancelled_read_leaves_nothing(make: Any, proxy: Proxy) -> None:
    """Whoever stops waiting for a stalled object leaves no file and no bytes in flight."""
    stall = Trouble(stall_after=1500, stall_s=60)
    proxy.troubles = lambda _: stall
    async with make() as fetcher:
        read = asyncio.create_task(fetched(fetcher, URI, SHA, SIZE))
        await until(lambda: proxy.made[stall])
        assert fetcher.in_flight_bytes == SIZE
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read


async def test_reads_are_told(make: Any) -> None:
    """A read from S3 is told as one."""
    told: list[tuple[str, int, float]] = []
    async with make(Hooks(on_read=lambda *read: told.append(read))) as fetcher:
        await fetched(fetcher, URI, SHA, SIZE)
    assert [read[:2] for read in told] == [("s3", SIZE)]


async def test_bytes_are_not_decoded_on_the_way(make: Any, warps: Server) -> None:
    """What is stored is what lands, whatever its name or content claims to be."""
    data = b"\x1f\x8b" + CONTENT
    warps.put("night/a.fits.gz", data)
    async with make() as fetcher:
        sha = hashlib.sha256(data).hexdigest()
        assert await fetched(fetcher, "s3://sky/night/a.fits.gz", sha, len(data)) == data
