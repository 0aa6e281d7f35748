"""Results under a prefix that all copies share: a bucket of S3, or a folder on a shared disk."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from stream.s3 import is_place, open_bucket

__all__ = ["SharedKeeper", "shared_place"]

_PATIENCE: Final = timedelta(seconds=5)


def shared_place(text: str) -> str | Path:
    """Tell where shared results are kept.

    Parameters
    ----------
    text : str
        ``s3://BUCKET/PREFIX``, or an absolute path.

    Returns
    -------
    str or Path
        The URL, or the folder.

    Raises
    ------
    ValueError
        It is neither.
    """
    if is_place(text):
        return text.rstrip("/")
    if text.startswith("/") and text.isprintable():
        return Path(text)
    raise ValueError(f"{text!r} is neither s3://BUCKET/PREFIX nor the absolute path of a folder")


class SharedKeeper:
    """Keeps bytes where all copies find them; nothing is ever removed but what is damaged.

    Parameters
    ----------
    place : str or Path
        As `shared_place` gives it. Keys, region and endpoint of S3 come from the environment's
        ``AWS_`` variables, or from the machine's role, as for other S3 clients.
    most_bytes : int
        Larger objects, which we did not write, are not read.
    """

    def __init__(self, place: str | Path, most_bytes: int) -> None:
        self._place = place
        self._most_bytes = most_bytes
        self._store: LocalStore | S3Store | None = None

    async def get(self, name: str) -> bytes | None:
        """Return what is kept under a name; None if nothing is.

        Raises
        ------
        OSError
        """
        try:
            found = await obstore.get_async(await self._opened(), _path(name))
            if found.meta["size"] > self._most_bytes:
                return b""  # which is damaged, and dropped
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise _failed(error) from error

    async def put(self, name: str, data: bytes) -> None:
        """Keep bytes.

        Raises
        ------
        OSError
        """
        try:
            await obstore.put_async(await self._opened(), _path(name), data)
        except BaseError as error:
            raise _failed(error) from error

    async def drop(self, name: str) -> None:
        """Keep nothing under a name any more.

        Raises
        ------
        OSError
        """
        try:
            await obstore.delete_async(await self._opened(), _path(name))
        except FileNotFoundError:
            return
        except BaseError as error:
            raise _failed(error) from error

    def close(self) -> None:
        """Do nothing: connections end with the process."""

    async def _opened(self) -> LocalStore | S3Store:
        """Return the store; a disk that is away must not keep the service from starting."""
        if self._store is None:
            self._store = await asyncio.to_thread(_store, self._place)
        return self._store


def _store(place: str | Path) -> LocalStore | S3Store:
    if isinstance(place, Path):
        return LocalStore(place, mkdir=True)
    return open_bucket(place, _PATIENCE)


def _path(name: str) -> str:
    return f"{name[:2]}/{name}"


def _failed(error: BaseError) -> OSError:
    """Return the first line of an error, without what a server answered at length."""
    first, *_ = f"{error}".splitlines()
    return OSError(f"{type(error).__name__}: {first[:200]}")
