"""An allowed folder, and a fetcher that may read it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.fetch import Fetcher
from tests.stream.fetch.fetching import CONTENT, over


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
    fetcher = over(root)
    yield fetcher
    asyncio.run(fetcher.close())
