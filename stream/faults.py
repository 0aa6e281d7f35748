"""What can be wrong with one warp, as values: the warp fails alone, and its message says why."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["WarpError", "WarpFault"]

_LONGEST_MESSAGE = 300


class WarpFault(StrEnum):
    """Why a warp could not be used; the closed set that messages and metrics carry."""

    CHECKSUM = "checksum"
    """The bytes are not those that were announced."""
    FORBIDDEN = "forbidden"
    """The URI is not one that this service may read."""
    INTERNAL = "internal"
    """A fault of ours."""
    KILLED = "killed"
    """Each worker that took the job died of it."""
    MISSING = "missing"
    """There is no such file, and there was none for as long as the grace lasted."""
    NO_IMAGE = "no_image"
    """The file has no IMAGE, MASK or VARIANCE."""
    NOT_FITS = "not_fits"
    """The bytes are something else."""
    OUT_OF_MEMORY = "out_of_memory"
    """The job needed more than a worker may have."""
    SUPERSEDED = "superseded"
    """The warp was withdrawn or replaced after its revision was frozen."""
    TIMEOUT = "timeout"
    """The job or the store took longer than it may."""
    TOO_LARGE = "too_large"
    """A limit on bytes, pixels, headers or HDUs was passed."""
    TRUNCATED = "truncated"
    """The bytes end too early."""
    UNREADABLE = "unreadable"
    """The storage or the content made no sense."""
    WRONG_DTYPE = "wrong_dtype"
    """A plane is not float32 (image, variance) or int32 (mask)."""
    WRONG_SCALE = "wrong_scale"
    """The image cannot be multiplied with the announced scale in float32."""
    WRONG_SHAPE = "wrong_shape"
    """A plane has no area, is not two-dimensional, or does not fit the others."""
    WRONG_UNIT = "wrong_unit"
    """The image's unit is not the reference's."""


class WarpError(Exception):
    """One warp cannot be used.

    Parameters
    ----------
    reason : WarpFault
        Which fault it is.
    message : str
        One sentence for a person; cut at 300 characters, as it may quote a stranger's bytes.

    Attributes
    ----------
    reason, message
        As given.
    """

    def __init__(self, reason: WarpFault, message: str) -> None:
        message = _printable(message)
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.message}"


def _printable(message: str) -> str:
    """Return the message as one line without control characters, and not too long."""
    line = "".join(c if c.isprintable() else " " for c in message[: _LONGEST_MESSAGE + 1])
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}..."
