"""What URIs name, and what of it is allowed. They may have been written by an enemy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from stream.faults import WarpError, WarpFault
from stream.s3 import is_place

__all__ = ["Bucket", "Object", "allowed_place", "local_path", "object_of"]

_LONGEST_URI: Final = 2048
_LONGEST_KEY: Final = 1024
_S3: Final = "s3://"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ODD: Final = frozenset("%?#\\")
"""What some reader of URIs decodes or takes for the end of the key; here it is refused."""
_NO_NAMES: Final = frozenset(("", ".", ".."))


@dataclass(frozen=True, slots=True)
class Bucket:
    """Objects that may be read: all of a bucket, or those below a prefix.

    Attributes
    ----------
    name : str
    prefix : tuple of str
        Components that a key must begin with; a component counts as a whole.
    """

    name: str
    prefix: tuple[str, ...] = ()

    def __str__(self) -> str:
        return _S3 + "/".join((self.name, *self.prefix))


@dataclass(frozen=True, slots=True)
class Object:
    """An object of S3.

    Attributes
    ----------
    bucket, key : str
    """

    bucket: str
    key: str

    def within(self, buckets: Iterable[Bucket]) -> bool:
        """Tell whether one of these allows it to be read."""
        *above, _ = self.key.split("/")
        return any(
            one.name == self.bucket and tuple(above[: len(one.prefix)]) == one.prefix
            for one in buckets
        )


def allowed_place(text: str | Path | Bucket) -> Path | Bucket:
    """Return the folder or the bucket that an operator allows to be read.

    Raises
    ------
    ValueError
        It begins like S3 and is not ``s3://BUCKET[/PREFIX]``.
    """
    if not isinstance(text, str):
        return text
    if not text.lower().startswith(("s3:", "s3a:")):
        return Path(text)
    if not is_place(text):
        raise ValueError(f"{text!r} is not s3://BUCKET or s3://BUCKET/PREFIX")
    name, *prefix = text.removeprefix(_S3).rstrip("/").split("/")
    return Bucket(name, tuple(prefix))


def object_of(uri: str) -> Object | None:
    """Return the object that a URI names; None if it is no URI of S3.

    A key is what stands there, character by character. What another reader might read otherwise
    is refused: escapes, queries, fragments, empty or dotted components.

    Raises
    ------
    WarpError
        `forbidden`.
    """
    if not uri.startswith(_S3):
        return None
    _check_text(uri)
    bucket, _, key = uri.removeprefix(_S3).partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise _forbidden(f"{uri!r} names no bucket, or more than one: no user, no port, no host")
    if not _ODD.isdisjoint(key) or not _NO_NAMES.isdisjoint(key.split("/")):
        raise _forbidden(f"{uri!r}: keys have no escapes, queries, empty or dotted components")
    if len(key.encode()) > _LONGEST_KEY:
        raise _forbidden(f"keys of S3 have {_LONGEST_KEY} bytes at most")
    return Object(bucket, key)


def local_path(uri: str) -> str:
    """Return the absolute path that a URI names, or refuse it.

    Raises
    ------
    WarpError
        `forbidden` for another scheme or host, a relative path, a query, or odd characters.
    """
    _check_text(uri)
    path = uri if uri.startswith("/") else _path_of_url(uri)
    if not path.startswith("/") or not path.isprintable():
        raise _forbidden(f"{uri!r} is not an absolute path, a file: URL or s3://BUCKET/KEY")
    return path


def _check_text(uri: str) -> None:
    if len(uri) > _LONGEST_URI or not uri.isprintable():
        raise _forbidden("the URI is too long or has control characters")


def _path_of_url(uri: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise _forbidden(f"{uri!r} is no URL: {error}") from error
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or "?" in uri or "#" in uri:
        msg = f"{uri!r}: only absolute paths, file: URLs of this host and s3:// are read"
        raise _forbidden(msg)
    return unquote(parts.path, errors="surrogateescape")


def _forbidden(message: str) -> WarpError:
    return WarpError(WarpFault.FORBIDDEN, message)
