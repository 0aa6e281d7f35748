"""The prefix that copies share: a folder, and a real server that speaks S3."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from ops.store.server import KEYS, Server, running
from stream.results import Results, SharedKeeper, Shelf, shared_place
from tests.schemas import examples
from tests.stream.results.test_keep import RESULT
from tests.stream.results.test_record import NAME

MOST = 10_000


@pytest.fixture
def bucket(s3: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a prefix in the bucket, with keys and endpoint where S3's clients look for them."""
    for variable, value in {**KEYS, "AWS_ENDPOINT_URL": s3.address}.items():
        monkeypatch.setenv(variable, value)
    return "s3://sky/results/of-tests"


@pytest.fixture(params=["folder", "s3"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], SharedKeeper]:
    """Return what makes keepers of one place."""
    place = request.getfixturevalue("bucket") if request.param == "s3" else str(tmp_path / "new")
    return lambda: SharedKeeper(shared_place(place), MOST)


async def test_copies_share(make: Callable[[], SharedKeeper]) -> None:
    """What one copy keeps another finds, replaces and drops."""
    one, other = make(), make()
    assert await one.get(NAME) is None
    await one.put(NAME, b"one")
    assert await other.get(NAME) == b"one"
    await other.put(NAME, b"uno")
    assert await one.get(NAME) == b"uno"
    await one.drop(NAME)
    await one.drop(NAME)
    assert await other.get(NAME) is None


async def test_a_large_object_is_not_ours(make: Callable[[], SharedKeeper]) -> None:
    """What is larger than any result is not read into memory: it comes out as damaged."""
    keeper = make()
    await keeper.put(NAME, b"x" * (MOST + 1))
    assert await keeper.get(NAME) == b""
    await keeper.put(NAME, b"x" * MOST)
    assert await keeper.get(NAME) == b"x" * MOST
    await keeper.drop(NAME)


async def test_another_copys_result_is_reused(make: Callable[[], SharedKeeper]) -> None:
    """Through the whole way: kept by one copy, found by another; what is damaged is replaced."""
    told: list[str] = []
    one, other = Results([Shelf("shared", make())]), Results([Shelf("shared", make())], told.append)
    arrivals = [examples.arrived()]
    await one.keep(NAME, RESULT)
    await one.close()
    assert await other.find(NAME, arrivals) == RESULT
    await make().put(NAME, b"noise")
    assert await other.find(NAME, arrivals) is None
    await other.close()
    assert await make().get(NAME) is None
    assert told == ["shared"]


async def test_the_prefix_is_kept_to(bucket: str) -> None:
    """Objects lie below the prefix and nowhere else."""
    keeper = SharedKeeper(shared_place(bucket), MOST)
    await keeper.put(NAME, b"one")
    whole = S3Store("sky", client_options={"allow_http": True})
    listed = [
        meta["path"]
        for batch in obstore.list(whole)
        for meta in batch
        if meta["path"].startswith("results/")
    ]
    assert listed == [f"results/of-tests/{NAME[:2]}/{NAME}"]
    await keeper.drop(NAME)


async def test_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that stopped answering, or has died, is an OSError within the time limit."""
    with running() as server:
        process = server.process
        for variable, value in {**KEYS, "AWS_ENDPOINT_URL": server.address}.items():
            monkeypatch.setenv(variable, value)
        keeper = SharedKeeper("s3://nowhere/results", MOST)
        with pytest.raises(OSError, match="Error"):  # there is no bucket
            await keeper.put(NAME, b"one")
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await keeper.get(NAME)
        process.kill()
        process.wait()
        with pytest.raises(OSError, match="Error"):
            await keeper.get(NAME)


async def test_a_disk_that_is_away(tmp_path: Path) -> None:
    """A shared folder that cannot be made is an OSError when it is used, not before."""
    (tmp_path / "file").write_text("in the way")
    keeper = SharedKeeper(tmp_path / "file" / "results", MOST)
    with pytest.raises(OSError, match="Not a directory"):
        await keeper.put(NAME, b"one")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "results",
        "./results",
        "s3://",
        "s3://b",
        "S3://bucket/x",
        "gs://bucket/x",
        "/a\nb",
        "s3://bucket/a?b=c",
        "s3://key:word@bucket/a",
        "https://bucket.s3.amazonaws.com/x",
    ],
)
def test_other_places_are_refused(text: str) -> None:
    """A place is a bucket with a prefix, without keys in it, or an absolute path."""
    with pytest.raises(ValueError, match="neither"):
        shared_place(text)


def test_places() -> None:
    """Both kinds of places are told apart."""
    assert shared_place("/mnt/results") == Path("/mnt/results")
    assert shared_place("s3://sky-1/a/b/") == "s3://sky-1/a/b"
    assert shared_place("s3://sky") == "s3://sky"
