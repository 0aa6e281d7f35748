"""What decoding a warp costs beside one bare decode by astropy."""

from __future__ import annotations

import gzip
from functools import partial
from io import BytesIO
from typing import Any, Final

import numpy as np
from astropy.io import fits as astropy_fits

from ops.bench.clock import race
from ops.bench.planes import pair
from ops.bench.report import Row, Section
from stream import fits
from stream.fitswriter import Compression

__all__ = ["by_astropy", "decodes"]

_FORMS: Final[dict[str, Compression]] = {
    "GZIP_2, a row a tile": "gzip2",
    "Rice and GZIP_2": "rice",
    "gzip, the whole file": "gzip",
    "plain": None,
}
_TO_REACH: Final = {"GZIP_2, a row a tile": 0.3}
_PLANES: Final = ("IMAGE", "MASK", "VARIANCE")


def decodes(side: int, runs: int) -> Section:
    """Decode a warp in each form that surveys write, in turns with astropy.

    Parameters
    ----------
    side : int
        Width and height, pixels.
    runs : int
        Of each form.
    """
    warp, _ = pair(side)
    rows = [
        _row(name, fits.encode(warp, {}, compression=form), runs) for name, form in _FORMS.items()
    ]
    notes = [f"{side} x {side} pixels, three planes; shortest of {runs} runs."]
    return Section("Decoding a warp", rows, notes)


def _row(name: str, data: bytes, runs: int) -> Row:
    found = race(partial(by_astropy, data), {"ours": partial(fits.decode, data)}, runs)["ours"]
    values: dict[str, float | str] = {
        "MB": len(data) / 1e6,
        "astropy, s": min(found.floors),
        "ours, s": found.least,
        "ratio": found.ratio,
    }
    goal = _TO_REACH.get(name)
    if goal is None:
        return Row(name, values)
    return Row(name, values | {"to reach": goal}, found.ratio <= goal)


def by_astropy(data: bytes) -> None:
    """Decode a warp as a script would.

    Parameters
    ----------
    data : bytes
        The file.
    """
    packed = data.startswith(b"\x1f\x8b")  # astropy opens such files by name, and inflates them so
    opened: Any = astropy_fits.open(BytesIO(gzip.decompress(data) if packed else data))
    with opened as hdus:
        for plane in _PLANES:
            np.asarray(hdus[plane].data)
