"""Who a message is about, the key that says so, and the partition the key belongs to."""

from __future__ import annotations

import re
from functools import lru_cache
from struct import iter_unpack
from typing import Final, TypedDict

from msgspec import Struct

from schemas.errors import DeadReason, SchemaError
from schemas.fields import MAX_INTEGER

__all__ = [
    "GroupId",
    "IdentityFields",
    "check_partition",
    "model_key",
    "parse_model_key",
    "partition_of",
]

# Surrogates are no text; the line separators and control characters would forge lines of a log.
_PART: Final = re.compile(r"[^/\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,64}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_SHAPE: Final = "campaign/skymap/tract/patch/band"

_LONGEST_REMEMBERED: Final = 256  # bytes of a key; strangers' keys must not fill the memory
_SEED: Final = 0x9747B28C
_MIX: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


class IdentityFields(TypedDict):
    """The identity as the flat fields of a message: ``WarpArrived(**group.fields, ...)``."""

    campaign: str
    skymap: str
    tract: int
    patch: int
    band: str


class GroupId(Struct, frozen=True, order=True):
    """The identity of a group: what one set of warps has in common.

    Attributes
    ----------
    campaign, skymap : str
        Release run or template epoch, and name of the sky map; 1 to 64 characters, without ``/``
        and control characters.
    tract, patch : int
        From 0 to 2**63 - 1.
    band : str
        Name of the filter, as `campaign`.

    Raises
    ------
    SchemaError
        ``bad_identity``, naming the part and the rule.
    """

    campaign: str
    skymap: str
    tract: int
    patch: int
    band: str

    def __post_init__(self) -> None:
        _check_name("campaign", self.campaign)
        _check_name("skymap", self.skymap)
        _check_number("tract", self.tract)
        _check_number("patch", self.patch)
        _check_name("band", self.band)

    @property
    def key(self) -> str:
        """The record key, ``campaign/skymap/tract/patch/band`` (DESIGN.md section 4)."""
        return f"{self.campaign}/{self.skymap}/{self.tract}/{self.patch}/{self.band}"

    @property
    def fields(self) -> IdentityFields:
        """The parts by name, to make a message with."""
        return IdentityFields(
            campaign=self.campaign,
            skymap=self.skymap,
            tract=self.tract,
            patch=self.patch,
            band=self.band,
        )

    @classmethod
    def parse(cls, key: str) -> GroupId:
        """Read a key back; the inverse of `key`.

        Raises
        ------
        SchemaError
            ``bad_identity``: not five parts, or a part that no group can have.
        """
        parts = key.split("/")
        if len(parts) != len(cls.__struct_fields__):
            raise _bad_identity(f"a group is named {_SHAPE}, not {key[:400]!r}")
        campaign, skymap, tract, patch, band = parts
        return cls(campaign, skymap, _number("tract", tract), _number("patch", patch), band)

    def __str__(self) -> str:
        return self.key


def model_key(group: GroupId, visit: int) -> str:
    """Return the key of a model: its group's with the visit behind it."""
    return f"{group.key}/{visit}"


def parse_model_key(key: str) -> tuple[GroupId, int]:
    """Read a model's key back; the inverse of `model_key`.

    Raises
    ------
    SchemaError
        ``bad_identity``.
    """
    group, _, visit = key.rpartition("/")
    return GroupId.parse(group), _number("visit", visit)


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's own clients choose for a key.

    Parameters
    ----------
    key : bytes
    partitions : int
        Number of partitions of the topic, at least 1.

    Returns
    -------
    int
        MurmurHash2 (seed 0x9747b28c) without its sign bit, modulo `partitions`: the default
        partitioner of the Java client. librdkafka's default is CRC32 and differs.
    """
    if partitions < 1:
        raise ValueError(f"a topic has at least 1 partition, not {partitions}")
    hashed = _murmur2(key) if len(key) > _LONGEST_REMEMBERED else _remembered_hash(key)
    return (hashed & 0x7FFFFFFF) % partitions


def check_partition(key: bytes, partition: int, partitions: int) -> None:
    """Refuse a record that stands in a partition where its key does not belong.

    Raises
    ------
    SchemaError
        ``misrouted``.
    """
    right = partition_of(key, partitions)
    if partition != right:
        sentence = (
            f"the key {key[:400]!r} stands in partition {partition} but belongs to {right}: "
            "the producer must partition by murmur2 (librdkafka: partitioner=murmur2_random)"
        )
        raise SchemaError(DeadReason.MISROUTED, sentence)


@lru_cache(maxsize=8192)
def _remembered_hash(key: bytes) -> int:
    """Hash the key of a group once, although each of its events has it."""
    return _murmur2(key)


def _murmur2(data: bytes) -> int:
    """Hash as Austin Appleby's MurmurHash2, 32 bits, words little-endian."""
    body, tail = len(data) & ~3, len(data) & 3
    state = _SEED ^ len(data)
    for (word,) in iter_unpack("<I", data[:body]):
        mixed = word * _MIX & _MASK
        mixed = (mixed ^ mixed >> 24) * _MIX & _MASK
        state = (state * _MIX & _MASK) ^ mixed
    if tail:
        state = (state ^ int.from_bytes(data[body:], "little")) * _MIX & _MASK
    state = (state ^ state >> 13) * _MIX & _MASK
    return state ^ state >> 15


def _check_name(part: str, value: str) -> None:
    if not isinstance(value, str) or _PART.fullmatch(value) is None:
        raise _bad_identity(
            f"{part} must be 1 to 64 characters without '/' and control characters, "
            f"not {_shown(value)}"
        )


def _check_number(part: str, value: int) -> None:
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        raise _bad_identity(f"{part} must be an integer from 0 to 2**63 - 1, not {_shown(value)}")


def _number(part: str, text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise _bad_identity(f"{part} must be a plain decimal number, not {_shown(text)}")
    return int(text)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - a line of a terminal


def _bad_identity(sentence: str) -> SchemaError:
    return SchemaError(DeadReason.BAD_IDENTITY, sentence)
