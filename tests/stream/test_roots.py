"""Folders that were announced, remembered beside the log."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.faults import WarpError, WarpFault
from stream.fetch import Fetcher, FetchLimits
from stream.roots import recall, remember
from tests.stream.fetch.fetching import fetched

CONTENT = b"pixels" * 100
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return where a log would be, in a folder of its own."""
    (tmp_path / "service").mkdir()
    return tmp_path / "service" / "evensky.db"


@pytest.fixture
def store(log: Path) -> Iterator[Fetcher]:
    """Give a fetcher that may read the log's own folder, and what is remembered beside the log."""
    store = _store(log)
    yield store
    asyncio.run(store.close())


def _store(log: Path) -> Fetcher:
    limits, landing = FetchLimits(missing_grace_s=0.01), log.with_name("landing")
    return Fetcher([log.parent], landing, limits, recall=partial(recall, log))


def _warps(folder: Path, count: int = 1) -> list[str]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.fits" for number in range(count)]
    for path in paths:
        path.write_bytes(CONTENT)
    return [path.as_uri() for path in paths]


def test_what_is_remembered_is_recalled_once(log: Path, tmp_path: Path) -> None:
    """Folders come back as real paths, each once, however often they were remembered."""
    assert recall(log) == ()
    for _ in range(3):
        remember(log, [tmp_path / "b", tmp_path / "service" / ".." / "a"])
    remember(log, [tmp_path / "c"])
    assert recall(log) == (tmp_path / "a", tmp_path / "b", tmp_path / "c")


@given(noise=st.binary(max_size=200))
def test_damage_allows_nothing(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    """Whatever stands in the file, only absolute paths written as announced come out of it."""
    log = tmp_path_factory.mktemp("damaged") / "evensky.db"
    good = json.dumps("/survey").encode()
    log.with_name("evensky.db.roots").write_bytes(noise + b"\n" + good + b"\n")
    found = recall(log)
    assert Path("/survey") in found
    assert all(folder.is_absolute() for folder in found)


@pytest.mark.parametrize("line", ["3", "null", '"relative"', "[]", "{", '"/cut'])
def test_a_line_that_is_no_folder(log: Path, line: str) -> None:
    """A line that is no absolute path counts for nothing."""
    log.with_name("evensky.db.roots").write_text(line + "\n", encoding="utf-8")
    assert recall(log) == ()


async def test_forbidden_until_announced(store: Fetcher, log: Path, tmp_path: Path) -> None:
    """A folder may be read from the moment it is remembered, and not before."""
    (uri,) = _warps(tmp_path / "survey")
    with pytest.raises(WarpError) as caught:
        await fetched(store, uri, SHA, None)
    assert caught.value.reason is WarpFault.FORBIDDEN
    remember(log, [tmp_path / "survey"])
    assert await fetched(store, uri, SHA, None) == CONTENT


async def test_a_whole_group_from_a_new_folder(store: Fetcher, log: Path, tmp_path: Path) -> None:
    """Of warps fetched at the same moment from a folder just remembered, none is refused."""
    uris = _warps(tmp_path / "survey", 8)
    remember(log, [tmp_path / "survey"])
    found = await asyncio.gather(*(fetched(store, uri, SHA, None) for uri in uris))
    assert found == [CONTENT] * 8


async def test_remembered_over_a_restart(log: Path, tmp_path: Path) -> None:
    """A store that is made later may read what was announced before."""
    (uri,) = _warps(tmp_path / "survey")
    remember(log, [tmp_path / "survey"])
    store = _store(log)
    assert await fetched(store, uri, SHA, None) == CONTENT
    await store.close()


async def test_beside_an_announced_folder(store: Fetcher, log: Path, tmp_path: Path) -> None:
    """A folder whose name only begins like an announced one stays forbidden."""
    (uri,) = _warps(tmp_path / "survey-secret")
    remember(log, [tmp_path / "survey"])
    with pytest.raises(WarpError) as caught:
        await fetched(store, uri, SHA, None)
    assert caught.value.reason is WarpFault.FORBIDDEN
