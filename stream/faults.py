"""What can be wrong with one warp, and what with a storage, as values and errors.

The one fails the warp alone, and its message says why; the other is nobody's fault, and is waited
out.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["NotThereError", "StoreAwayError", "StoreTrouble", "WarpError", "WarpFault"]

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
    """The job took longer than it may."""
    TOO_LARGE = "too_large"
    """A limit on bytes, pixels, headers or HDUs was passed."""
    TRUNCATED = "truncated"
    """The bytes end too early."""
    UNREADABLE = "unreadable"
    """The content made no sense, or the storage refuses this file alone."""
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


class StoreTrouble(StrEnum):
    """What a storage does instead of giving bytes; the closed set that metrics carry."""

    AWAY = "away"
    """It is not asked: it failed before, and its pause is not over."""
    FAILED = "failed"
    """It answered with an error of its own, or not at all."""
    FULL = "full"
    """There is no room to land bytes."""
    MISSING = "missing"
    """It has no such object yet."""
    REFUSED = "refused"
    """It does not take our credentials, or sends us elsewhere."""
    TIMEOUT = "timeout"
    """It stalled, or was slower than it may be."""
    TRUNCATED = "truncated"
    """The transfer was cut."""


class StoreAwayError(Exception):
    """A storage cannot be read now; no warp is to blame.

    Parameters
    ----------
    store : str
        Which one: a folder, or ``s3://BUCKET``.
    message : str
        One sentence for a person; cut like that of a `WarpError`.
    trouble : StoreTrouble
        What it does.
    pause_s : float
        Seconds for which whoever met it should not ask again.

    Attributes
    ----------
    store, message, trouble, pause_s
        As given.
    """

    def __init__(
        self, store: str, message: str, trouble: StoreTrouble, pause_s: float = 0.0
    ) -> None:
        message = _printable(message)
        super().__init__(store, message, trouble)
        self.store = store
        self.message = message
        self.trouble = trouble
        self.pause_s = pause_s

    def __str__(self) -> str:
        return f"{self.store}: {self.message}"


class NotThereError(StoreAwayError):
    """An object is not there yet, and may come: its storage works."""

    def __init__(self, store: str, pause_s: float = 0.0) -> None:
        super().__init__(store, "there is no such file", StoreTrouble.MISSING, pause_s)


def _printable(message: str) -> str:
    """Return the message as one line without control characters, and not too long."""
    line = "".join(c if c.isprintable() else " " for c in message[: _LONGEST_MESSAGE + 1])
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}..."
