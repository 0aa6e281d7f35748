"""Small warps for the tests: planted pixels, and FITS files written card by card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

import core
from stream import fits, jobs
from stream.hdus import BLOCK

__all__ = ["HEADER", "PLANES", "assert_same", "checksum", "hdu", "plain_file", "planted", "warp"]

PLANES = {"BAD": 0, "SAT": 1, "CR": 3, "EDGE": 4, "DETECTED": 5, "DETECTED_NEGATIVE": 6}
HEADER: dict[str, str | int | float | bool | None] = {
    "VISIT": 4192,
    "SKYMAP": "rings",
    "TRACT": 9813,
    "PATCH": 42,
    "BAND": "g",
    "MJD": 52931.25,
    "BUNIT": "nJy",
    "FWHM": 3.5,
    "SKYSUB": False,
}


def planted(
    shape: tuple[int, int] = (40, 30), *, seed: int = 1, origin: tuple[int, int] = (400, -20)
) -> core.MaskedImage:
    """Return noise with NaN pixels, infinite variances and every mask plane somewhere set."""
    random = np.random.default_rng(seed)
    image = random.normal(100.0, 5.0, shape).astype(np.float32)
    image[2:5, 3:9] = np.nan
    mask = random.choice([0, *(1 << bit for bit in PLANES.values())], shape).astype(np.int32)
    variance = random.normal(25.0, 0.5, shape).astype(np.float32)
    variance[0, 0], variance[1, 1] = np.inf, np.nan
    return core.MaskedImage(image, mask, variance, PLANES, origin)


def assert_same(left: core.MaskedImage, right: core.MaskedImage) -> None:
    """Assert that two exposures are the same to the bit."""
    for name in ("image", "mask", "variance"):
        a, b = getattr(left, name), getattr(right, name)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes(), name
    assert dict(left.planes) == dict(right.planes)
    assert left.origin == right.origin


def checksum(data: bytes) -> str:
    """Return the sha256 that an event carries."""
    return hashlib.sha256(data).hexdigest()


def warp(image: core.MaskedImage, visit: int = 1, scale: float = 1.0) -> jobs.WarpInput:
    """Return an exposure as a worker gets it."""
    data = fits.encode(image, {"VISIT": visit})
    return jobs.WarpInput(visit, checksum(data), data, scale)


def hdu(cards: Mapping[str, object], data: bytes = b"") -> bytes:
    """Return one HDU, written without a library, so that it may say anything."""
    text = "".join(_card(key, value) for key, value in cards.items()) + "END".ljust(80)
    head = text.encode("ascii")
    return head + b" " * (-len(head) % BLOCK) + data + bytes(-len(data) % BLOCK)


def _card(key: str, value: object) -> str:
    if isinstance(value, bool):
        shown = "T" if value else "F"
    elif isinstance(value, str):
        shown = f"'{value:8}'"
    else:
        shown = str(value)
    name = f"{key:8}" if len(key) <= 8 else f"HIERARCH {key} "
    return f"{name}= {shown:>20}".ljust(80)[:80]


def plane_cards(name: str, plane: NDArray[np.generic], **changes: object) -> dict[str, object]:
    """Return the cards of a plane's HDU, some of them changed; None takes a card away."""
    cards: dict[str, object] = {
        "XTENSION": "IMAGE",
        "BITPIX": 32 if plane.dtype.kind == "i" else -32,
        "NAXIS": 2,
        "NAXIS1": plane.shape[1],
        "NAXIS2": plane.shape[0],
        "PCOUNT": 0,
        "GCOUNT": 1,
        "EXTTYPE": name,
    }
    return {key: value for key, value in (cards | changes).items() if value is not None}


def plain_file(image: core.MaskedImage, **changes: Mapping[str, object]) -> bytes:
    """Return a plain warp file; `changes` maps a plane's name to cards that lie."""
    out = hdu({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0})
    for name in ("IMAGE", "MASK", "VARIANCE"):
        plane = getattr(image, name.lower())
        cards = plane_cards(name, plane, **changes.get(name, {}))
        out += hdu(cards, plane.astype(plane.dtype.newbyteorder(">")).tobytes())
    return out
