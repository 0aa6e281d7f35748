"""Fetching bytes for URIs that may be an enemy's."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.faults import StoreTrouble, WarpError, WarpFault
from stream.fetch import Fetcher, Want, posix
from stream.fetch.landing import LandedFile
from stream.fetch.places import local_path
from stream.fetch.posix import ChangedError, copy, locate
from tests.stream.fetch.fetching import CONTENT, SHA, fault, fetched, over, quick, trouble

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
    fetcher = over(tmp_path / "data")
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
    found = locate(str(path), (str(root),))
    assert found is not None
    if race == "file":
        path.unlink()
        path.symlink_to(root.parent / "secret" / "key")
    else:
        (root / "night").rename(root / "day")
        (root.parent / "secret" / "a.fits").write_bytes(CONTENT)
        (root / "night").symlink_to(root.parent / "secret")
    with pytest.raises(OSError, match=r"."):
        copy(found, LandedFile(root, str(root / "landed"), found.size), 1000)


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
    fetcher = over(root, missing_grace_s=0.2)
    began = time.monotonic()
    assert await fault(fetcher, str(root / "late.fits")) is WarpFault.MISSING
    assert time.monotonic() - began >= 0.2
    await fetcher.close()


async def test_a_file_may_come_late(root: Path) -> None:
    """A file, and even its folder, that appears within the grace is read."""
    fetcher = over(root, missing_grace_s=10.0)
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
    fetcher = over(root)
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
    fetcher = over(root, stall_s=0.05)
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
    found = locate(str(path), (str(root),))
    assert found is not None
    path.write_bytes(CONTENT * 2)
    with pytest.raises(ChangedError):
        copy(found, LandedFile(root, str(root / "landed"), found.size), 1000)
