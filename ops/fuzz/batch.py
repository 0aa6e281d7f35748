"""One batch of damaged warps, in a process of its own."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path
from random import Random
from typing import Final
from unittest.mock import patch

from ops.fuzz.mutate import mutated, seeds
from stream import fits
from stream.decodelimits import DecodeLimits
from stream.faults import WarpError

__all__ = ["judged", "run"]

_DECODED: Final = "decoded"
_BATCH: Final = 200
_BATCH_S: Final = 300
_MEMORY: Final = 2 << 30
_LIMITS: Final = DecodeLimits(max_bytes=1 << 22, max_side=4096, max_pixels=1 << 18)


def run(seed: str, case: Path, told: Path) -> None:
    """Decode some hundred files; end the process at the first that is not as it should be.

    Parameters
    ----------
    seed : str
        Of all chance.
    case : Path
        Where each file is written before it is decoded.
    told : Path
        Where the outcomes are written in the end.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    signal.alarm(_BATCH_S)
    chance = Random(seed)  # noqa: S311 - chance that can be had again
    warps, outcomes = seeds(), []
    for _ in range(_BATCH):
        data = mutated(chance.choice(warps), chance)
        case.write_bytes(data)
        outcomes.append(judged(data))
    told.write_text("\n".join(outcomes), encoding="utf-8")


def judged(data: bytes) -> str:
    """Decode a file twice, the second time with astropy for all tiles; return what became of it.

    A card that has nothing to do with pixels can be too much for astropy; what our way reads then,
    it has held to sizes and checksums. But what astropy reads, we read, and to the bit.

    Raises
    ------
    SystemExit
        The file is not read, or refused, as by astropy.
    """
    ours = _outcome(data)
    with patch.multiple(
        fits, read_tiles=_nothing, read_rice_tiles=_nothing, check_gzip_tiles=_nothing
    ):
        theirs = _outcome(data)
    if ours == theirs:
        return ours[0]
    if ours[0] == _DECODED != theirs[0]:
        return "decoded_though_astropy_refuses"
    sys.exit(f"{ours[0]} where astropy has {theirs[0]}, or other pixels")


def _nothing(*_: object) -> None:
    """Leave all to astropy."""


def _outcome(data: bytes) -> tuple[str, bytes]:
    try:
        found = fits.decode(data, _LIMITS)
    except WarpError as error:
        return error.reason.value, b""
    return _DECODED, found.image.tobytes() + found.mask.tobytes() + found.variance.tobytes()
