"""Objects of one bucket, from any endpoint that speaks S3.

obstore finds endpoint, region and keys, and signs; what it would do with an answer is not left to
it, for it follows redirects to any host. So requests are made here: no redirect is followed, and
nothing is decoded on the way.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError

from stream.faults import NotThereError, StoreAwayError, StoreTrouble, WarpError, WarpFault
from stream.fetch.landing import LandedFile, Landing
from stream.fetch.limits import FetchLimits
from stream.fetch.pace import Pace, in_pace
from stream.fetch.posix import ChangedError
from stream.s3 import open_bucket

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from obstore.store import S3Store

__all__ = ["BucketObjects", "FoundObject"]

_SIGNED_FOR: Final = timedelta(minutes=15)
_ERROR_BYTES: Final = 4096
_CODE: Final = re.compile(rb"<Code>(\w{1,64})</Code>")
_TOTAL: Final = re.compile(r"bytes [\d*-]+/(\d{1,18})")
_OF_THE_OBJECT: Final = ("InvalidObjectState", "KeyTooLongError")
_PLAIN: Final = {"Accept-Encoding": "identity"}
_OK, _PARTIAL, _REDIRECTS, _NOT_FOUND = 200, 206, range(300, 400), 404
_CHANGED, _NO_RANGE, _BUSY, _SERVERS_FAULT = 412, 416, (408, 425, 429), 500


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object.

    Attributes
    ----------
    key : str
    size : int
        Bytes.
    etag : str or None
        Of the content that was found, if it was asked for.
    """

    key: str
    size: int
    etag: str | None = None


class BucketObjects:
    """Reads the objects of a bucket.

    Parameters
    ----------
    bucket : str
    limits : FetchLimits
    landing : Landing
        In whose threads is written.
    """

    def __init__(self, bucket: str, limits: FetchLimits, landing: Landing) -> None:
        self.store = f"s3://{bucket}"
        self._limits = limits
        self._landing = landing
        self._bucket: S3Store | None = None
        self._session: ClientSession | None = None
        self._readable: str | None = None

    async def find(self, key: str, size: int | None) -> FoundObject:
        """Find an object; of one whose size is known nothing is asked before it is read.

        Raises
        ------
        WarpError, StoreAwayError
        """
        if size is not None:
            return FoundObject(key, size)
        async with self._asked(key, {"Range": "bytes=0-0"}) as (response, _):
            if response.status == _NO_RANGE:  # only an object without a byte has no first one
                return FoundObject(key, 0)
            total = _TOTAL.fullmatch(response.headers.get("Content-Range", ""))
            found = int(total[1]) if total else response.content_length
            if found is None:
                raise self._away("an answer does not say how long it is", StoreTrouble.FAILED)
            return FoundObject(key, found, response.headers.get("ETag"))

    async def land(self, found: FoundObject, file: LandedFile) -> None:
        """Read an object.

        Raises
        ------
        WarpError, StoreAwayError, ChangedError
        """
        headers = {"If-Match": found.etag} if found.etag else {}
        async with self._asked(found.key, headers) as (response, pace):
            if response.content_length != found.size:
                raise self._other_size(found, response.content_length)
            await self._stream(response, file, pace)
        self._readable = found.key

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()

    async def _stream(self, response: ClientResponse, file: LandedFile, pace: Pace) -> None:
        """Write while the next bytes come in."""
        chunks: list[bytes] = []
        gathered = 0
        while chunk := await response.content.readany():
            chunks.append(chunk)
            gathered += len(chunk)
            pace.came(len(chunk))
            if gathered >= self._limits.chunk_bytes:
                await self._landing.run(partial(file.write, *chunks))
                chunks, gathered = [], 0
        await self._landing.run(partial(file.write, *chunks))

    @asynccontextmanager
    async def _asked(
        self, key: str, headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[ClientResponse, Pace]]:
        """Give the answer to a request for an object, if it is a good one."""
        from aiohttp import ClientError, ClientPayloadError  # noqa: PLC0415 - only S3 needs it

        try:
            async with in_pace(self._limits) as pace, self._get(key, headers) as response:
                await self._check(response, key)
                yield response, pace
        except TimeoutError as error:
            message = "it stalls, or is slower than it may be"
            raise self._away(message, StoreTrouble.TIMEOUT) from error
        except ClientPayloadError as error:
            raise self._away("a transfer was cut", StoreTrouble.TRUNCATED) from error
        except (ClientError, BaseError, OSError) as error:
            first, *_ = f"{type(error).__name__}: {error}".splitlines()
            raise self._away(f"no answer: {first}", StoreTrouble.FAILED) from error

    @asynccontextmanager
    async def _get(self, key: str, headers: Mapping[str, str]) -> AsyncIterator[ClientResponse]:
        from yarl import URL  # noqa: PLC0415 - it comes with aiohttp

        if self._bucket is None:
            patience = timedelta(seconds=self._limits.connect_s)
            self._bucket = await asyncio.to_thread(open_bucket, self.store, patience)
        signed = await obstore.sign_async(self._bucket, "GET", key, _SIGNED_FOR)
        session = self._opened()
        url, sent = URL(signed, encoded=True), {**_PLAIN, **headers}
        async with session.get(url, headers=sent, allow_redirects=False) as response:
            yield response

    def _opened(self) -> ClientSession:
        import aiohttp  # noqa: PLC0415 - a third of the start; only S3 needs it

        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                read_bufsize=self._limits.chunk_bytes,
                connector=aiohttp.TCPConnector(limit=self._limits.readers),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect_s),
            )
        return self._session

    async def _check(self, response: ClientResponse, key: str) -> None:
        """Raise what an answer means that brings no content."""
        status = response.status
        if status in (_OK, _PARTIAL, _NO_RANGE):
            return
        if status == _CHANGED:
            raise ChangedError
        if status in _REDIRECTS:
            message = "it sends us to another host or region, where we do not go; check AWS_REGION"
            raise self._away(message, StoreTrouble.REFUSED)
        code = await _code(response)
        if status == _NOT_FOUND and code != "NoSuchBucket":
            raise NotThereError(self.store)
        words = f"{status} {code}".rstrip()
        if status in _BUSY or status >= _SERVERS_FAULT:
            raise self._away(f"it answers {words}", StoreTrouble.FAILED)
        if status != _NOT_FOUND and (code in _OF_THE_OBJECT or await self._refused_alone(key)):
            raise WarpError(WarpFault.UNREADABLE, f"the store refuses this object alone: {words}")
        raise self._away(f"it answers {words}", StoreTrouble.REFUSED)

    async def _refused_alone(self, key: str) -> bool:
        """Tell whether an object that could be read before still can: then our keys are good.

        Else a message that names one object which we may not read, or whose name this store does
        not like, would hold up all others.
        """
        if self._readable is None or self._readable == key:
            return False
        async with self._get(self._readable, {"Range": "bytes=0-0"}) as response:
            return response.status in (_OK, _PARTIAL, _NO_RANGE, _NOT_FOUND)

    def _other_size(self, found: FoundObject, size: int | None) -> Exception:
        if found.etag:
            return ChangedError()
        if size is None:
            return self._away("an answer does not say how long it is", StoreTrouble.FAILED)
        message = f"the file has {size} bytes, {found.size} were announced"
        return WarpError(WarpFault.CHECKSUM, message)

    def _away(self, message: str, trouble: StoreTrouble) -> StoreAwayError:
        return StoreAwayError(self.store, message, trouble)


async def _code(response: ClientResponse) -> str:
    """Return what S3 calls an error, if the answer says."""
    found = _CODE.search(await response.content.read(_ERROR_BYTES))
    return found[1].decode() if found else ""
