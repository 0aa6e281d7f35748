"""The planes of one warp in one file: written by the worker that decoded them, mapped by others.

::

    fixed part   magic, length of the head, crc32 of what follows and of the head,
                 crc32 of the image, the mask and the variance; little-endian
    head         msgpack: rows and columns, origin, mask planes
    planes       float32, int32, float32 [y, x], native; each begins at a multiple of 4096

A file appears under its name when it is whole, so that one which a kill cut off is none. Its space
is allocated before anything is written: a full disk is an answer then, and not half a file. A file
that nobody needs any more is written over, if it has the size. Bytes are written, not mapped for
writing, and a file's size is looked at before it is mapped for reading, so that neither a full disk
nor a file that was cut off later can end a process by SIGBUS.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import struct
from collections import OrderedDict
from collections.abc import Mapping
from io import FileIO
from typing import Any, Final

import numpy as np
from isal import isal_zlib
from msgspec import Struct
from numpy.typing import NDArray

import core
import schemas
from stream import plainfiles
from stream.spool.place import Place, plane_bytes, unready, up

__all__ = ["DamagedError", "lay", "mapped"]

_MAGIC: Final = b"evnsky1\n"
_FIXED: Final = struct.Struct("<8sII3I")
_CHECKED_FROM: Final = struct.calcsize("<8sII")  # the checksum covers what stands behind itself
_DTYPES: Final = (np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.float32))
_MOST_SEEN: Final = 1024


class DamagedError(Exception):
    """A file is not there, or is not what was written."""


class _Head(Struct, frozen=True):
    shape: tuple[int, int]
    origin: tuple[int, int]
    planes: Mapping[str, int]


def lay(place: Place, exposure: core.MaskedImage) -> bool:
    """Write a warp's planes; tell whether they are there now.

    Parameters
    ----------
    place : Place
    exposure : core.MaskedImage
        Decoded and scaled.

    Returns
    -------
    bool
        False if it would have taken more room than it may, or the disk is full or failed.
    """
    planes = (exposure.image, exposure.mask, exposure.variance)
    start, head = _head(exposure, planes)
    size = start + 3 * plane_bytes(exposure.shape)
    if size > place.room:
        return False
    new = unready(place.path)
    try:
        plainfiles.remove(new)  # of an earlier try, whose worker died of it
        with _begun(new, place.old, size) as file:
            _allocate(file.fileno(), size)
            for number, plane in enumerate(planes):
                _write(file.fileno(), plane, start + number * plane_bytes(exposure.shape))
            _write(file.fileno(), np.frombuffer(head, np.uint8), 0)
        plainfiles.move(new, place.path)
    except OSError:
        with contextlib.suppress(OSError):
            plainfiles.remove(new)
        return False
    return True


def mapped(path: str) -> core.MaskedImage:
    """Return a warp whose planes lie in a file that is mapped, read-only, while they are in use.

    Parameters
    ----------
    path : str

    Raises
    ------
    DamagedError
        There is no such file, or it is not as it was written. A process looks at every byte the
        first time, and again when the file was written to since.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            status = os.fstat(descriptor)
            content = mmap.mmap(descriptor, status.st_size, flags=_MAPPING, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:  # a ValueError is mmap's word for an empty file
        raise DamagedError(f"it cannot be mapped: {error}") from error
    return _seen.checked(content, (status.st_ino, status.st_mtime_ns, status.st_size))


_MAPPING: Final = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)


def _head(exposure: core.MaskedImage, planes: tuple[NDArray[Any], ...]) -> tuple[int, bytes]:
    """Return where the planes begin, and all that stands before them."""
    body = schemas.pack_state(_Head(exposure.shape, exposure.origin, dict(exposure.planes)))
    rest = struct.pack("<3I", *map(_crc, planes)) + body
    fixed = struct.pack("<8sII", _MAGIC, len(body), isal_zlib.crc32(rest))
    return up(len(fixed) + len(rest)), fixed + rest


def _crc(plane: NDArray[Any]) -> int:
    return isal_zlib.crc32(_bytes_of(plane))


def _bytes_of(plane: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(plane).data.cast("B")


def _begun(path: str, old: str | None, size: int) -> FileIO:
    """Open a file to be written, if it can be one of the same size that is not needed any more.

    To give pages back and have others costs more than to write them, on a virtual machine several
    times as much. Nobody maps that file; it keeps its size, so that even who did would live.
    """
    if old is not None:
        with contextlib.suppress(OSError):
            if plainfiles.size_of(old) == size:
                plainfiles.move(old, path)
                return FileIO(path, "r+b")
            plainfiles.remove(old)  # there is no room for both
    return FileIO(path, "xb")


def _allocate(descriptor: int, size: int) -> None:
    allocate = getattr(os, "posix_fallocate", None)  # not everywhere; then a write fails instead
    if allocate is not None:
        allocate(descriptor, 0, size)


def _write(descriptor: int, plane: NDArray[Any], offset: int) -> None:
    left = _bytes_of(plane)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


class _Seen:
    """Which files this process found whole: a reference is mapped for each of its matches."""

    def __init__(self) -> None:
        self._whole: OrderedDict[tuple[int, int, int], None] = OrderedDict()

    def checked(self, content: mmap.mmap, stamp: tuple[int, int, int]) -> core.MaskedImage:
        """Return the planes; of a file that was found whole without looking at each byte again."""
        exposure = _exposure(content, trusted=stamp in self._whole)
        self._whole[stamp] = None
        self._whole.move_to_end(stamp)
        if len(self._whole) > _MOST_SEEN:
            self._whole.popitem(last=False)
        return exposure


_seen = _Seen()


def _exposure(content: mmap.mmap, *, trusted: bool) -> core.MaskedImage:
    if len(content) < _FIXED.size:
        raise DamagedError("it ends within its first bytes")
    magic, length, checksum, *checksums = _FIXED.unpack_from(content)
    end = _FIXED.size + length
    if magic != _MAGIC or end > len(content):
        raise DamagedError("it does not begin as a file of the spool")
    if isal_zlib.crc32(memoryview(content)[_CHECKED_FROM:end]) != checksum:
        raise DamagedError("its head is not as it was written")
    head = schemas.unpack_state(content[_FIXED.size : end], _Head)
    image, mask, variance = planes = _planes(content, head.shape, up(end))
    if not trusted and [_crc(plane) for plane in planes] != checksums:
        raise DamagedError("its planes are not as they were written")
    return core.MaskedImage(image, mask, variance, head.planes, head.origin)


def _planes(content: mmap.mmap, shape: tuple[int, int], start: int) -> tuple[NDArray[Any], ...]:
    step, count = plane_bytes(shape), math.prod(shape)
    if start + 3 * step > len(content):
        raise DamagedError("it was cut off")
    return tuple(
        np.frombuffer(content, dtype, count, start + number * step).reshape(shape)
        for number, dtype in enumerate(_DTYPES)
    )
