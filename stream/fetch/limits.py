"""What is wanted, and what fetching it may use."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FetchLimits", "Want"]


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one fetcher may use.

    Attributes
    ----------
    max_bytes : int
        Bytes of one file.
    in_flight_bytes : int
        Bytes of all files that are being read or held at once.
    readers : int
        Files read at once from one storage.
    chunk_bytes : int
        Bytes of a file that are in memory at once.
    stall_s : float
        Seconds without a byte after which a storage counts as away.
    least_bytes_per_s : float
        A storage slower than this for `stall_s` counts as away, too; bytes per second.
    connect_s : float
        Seconds that a connection may take.
    retries : int
        How often a transfer that failed is tried again at once.
    missing_grace_s : float
        Seconds for which a file that is not there is asked for again.
    failing_grace_s : float
        Seconds for which a file is asked for again that fails while its storage gives others.
    pause_s, longest_pause_s : float
        The first pause of a job between its tries, in seconds, and what doubling it may grow to.
    away_after : int
        Failures of a storage one after the other after which it is away.
    away_s, longest_away_s : float
        The first time for which a storage that is away is not asked, in seconds, and what doubling
        it may grow to.
    """

    max_bytes: int = 1 << 29
    in_flight_bytes: int = 1 << 30
    readers: int = 4
    chunk_bytes: int = 1 << 20
    stall_s: float = 20.0
    least_bytes_per_s: float = 50_000.0
    connect_s: float = 5.0
    retries: int = 1
    missing_grace_s: float = 30.0
    failing_grace_s: float = 600.0
    pause_s: float = 0.1
    longest_pause_s: float = 5.0
    away_after: int = 3
    away_s: float = 1.0
    longest_away_s: float = 60.0

    @property
    def least_bytes(self) -> float:
        """Bytes that must come within `stall_s`, if so many are left."""
        return self.least_bytes_per_s * self.stall_s


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Want:
    """A file that is wanted; ask again with the same one, for its grace counts from the first time.

    Attributes
    ----------
    uri : str
        An absolute path, a ``file:`` URL of this host, or ``s3://BUCKET/KEY``.
    checksum : str or None
        sha256 of the file, lower-case hex.
    size : int or None
        Bytes that the file must have.
    """

    uri: str
    checksum: str | None = None
    size: int | None = None
