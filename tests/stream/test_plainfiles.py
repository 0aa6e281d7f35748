"""Files whose names the interpreter does not keep."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import numpy as np
import pytest

import core
from stream import plainfiles
from stream.fetch import Fetcher, Want
from stream.results.local import LocalKeeper
from stream.spool import PlaneFiles, Spool
from stream.spool.files import lay, mapped
from tests.stream.fetch.fetching import CONTENT, quick

NAME = "a-name-of-its-own"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the texts that are put into the interpreter's table of names from now on."""
    texts: list[str] = []
    intern = sys.intern

    def noted(text: str, /) -> str:
        texts.append(text)
        return intern(text)

    monkeypatch.setattr(sys, "intern", noted)
    return texts


def test_a_path_object_keeps_its_names(kept: list[str]) -> None:
    """Else the tests below would show nothing."""
    assert str(Path("/somewhere") / NAME).endswith(NAME)
    assert NAME in kept


async def test_fetching_keeps_no_names(tmp_path: Path, kept: list[str]) -> None:
    """Neither of the file nor of where it lands."""
    (tmp_path / "warps").mkdir()
    warp = f"{tmp_path}/warps/{NAME}"
    with FileIO(warp, "xb") as file:
        file.write(CONTENT)
    fetcher = Fetcher([tmp_path / "warps"], tmp_path / "landing", quick())
    await fetcher.start()
    async with fetcher.hold(Want(warp)):
        pass
    kept.clear()
    async with fetcher.hold(Want(warp)) as (held,):
        assert isinstance(held, str)
    assert kept == []
    await fetcher.close()


async def test_results_keep_no_names(tmp_path: Path, kept: list[str]) -> None:
    """But for the folders that are made at first."""
    keeper = LocalKeeper(tmp_path / "results", 2**20)
    await keeper.put(NAME, b"1")
    kept.clear()
    await keeper.put(NAME, b"2")
    await keeper.put(f"{NAME}-2", b"3")
    assert await keeper.get(NAME) == b"2"
    await keeper.drop(NAME)
    assert kept == []
    keeper.close()


async def test_planes_keep_no_names(tmp_path: Path, kept: list[str]) -> None:
    """From where they are laid to where they are mapped and removed."""
    plane = np.zeros((4, 5), np.float32)
    exposure = core.MaskedImage(plane, plane.astype(np.int32), plane + 1, {})
    spool = Spool(PlaneFiles(tmp_path), 2**20, 2**16)
    async with spool.room("first") as place:
        assert place is not None
    kept.clear()
    async with spool.room(NAME) as place:
        assert place is not None
        assert lay(place, exposure)
    with spool.pinned(NAME) as path:
        assert path is not None
        assert mapped(path).shape == (4, 5)
        spool.drop(NAME, path)
    await spool.close()
    assert [text for text in kept if NAME in text or text.endswith(".new")] == []


@pytest.mark.parametrize("ask", [plainfiles.size_of, FileIO])
def test_what_is_not_there_is_an_error(tmp_path: Path, ask: Callable[[str], object]) -> None:
    """But for whoever wants it to be gone."""
    with pytest.raises(FileNotFoundError):
        ask(f"{tmp_path}/gone")
    plainfiles.remove(f"{tmp_path}/gone")


def test_a_file_is_moved_over_another(tmp_path: Path) -> None:
    """As a whole."""
    (tmp_path / "old").write_bytes(b"12")
    (tmp_path / "new").write_bytes(b"3")
    plainfiles.move(f"{tmp_path}/old", f"{tmp_path}/new")
    assert plainfiles.size_of(f"{tmp_path}/new") == 2
    assert [one.name for one in tmp_path.iterdir()] == ["new"]
