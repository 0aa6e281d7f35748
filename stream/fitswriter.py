"""Warps written in the layout of LSST's ExposureF, the same bytes each time.

A header-only primary HDU with what identifies the warp, then IMAGE, MASK and VARIANCE, each named
by EXTTYPE and EXTNAME, the mask's planes as MP_ cards, the patch's origin as the trivial WCS "A"
and as LTV.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, Literal

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from core import MaskedImage
from stream.hdus import quiet

__all__ = ["Card", "Compression", "encode"]

Card = str | int | float | bool | None
Compression = Literal["gzip", "gzip2", "rice"] | None

_IDENTITY = ("VISIT", "SKYMAP", "TRACT", "PATCH", "BAND", "MJD", "BUNIT", "FWHM", "SKYSUB")
_KEYWORD = 8
_GZIP_WINDOW = 31
_GZIP_TIME = slice(4, 8)
_QUANTIZE = {"IMAGE": 8.0, "VARIANCE": 4.0}
"""Quantisation steps per noise, the usual ones: they cost well under 1 % of the noise."""


def encode(
    image: MaskedImage,
    header: Mapping[str, Card],
    *,
    compression: Compression = None,
    wcs: Mapping[str, Card] | None = None,
) -> bytes:
    """Return a warp as the bytes of a FITS file.

    Parameters
    ----------
    image : core.MaskedImage
        The planes, ``[y, x]``.
    header : mapping
        Cards of the primary header. VISIT, SKYMAP, TRACT, PATCH, BAND, MJD (days), BUNIT, FWHM
        (pixels) and SKYSUB identify a warp and come first; others follow in their order. None
        leaves a card out.
    compression : {None, "gzip", "gzip2", "rice"}
        None: plain. "gzip": the whole file. "gzip2": lossless tiles of one row, the stack's
        default. "rice": quantised floats with subtractive dithering; the mask, and a
        plane with infinite pixels, lossless.
    wcs : mapping, optional
        Cards of the sky's WCS, for each of the three planes.

    Returns
    -------
    bytes
        The same for the same arguments: no dates, and dithering seeded by the pixels.
    """
    unit = header.get("BUNIT")
    cards = {**(wcs or {}), **_origin_cards(image)}
    hdus = [fits.PrimaryHDU(header=_header(_identity_first(header)))]
    hdus += [_plane_hdu(name, plane, compression) for name, plane in _named_planes(image)]
    for hdu in hdus[1:]:
        hdu.header.update(_header(cards))
    hdus[1].header.update(_header({"BUNIT": unit}))
    hdus[2].header.update(_header(_mask_cards(image)))
    content = _written(hdus)
    if compression == "gzip":
        packer = zlib.compressobj(wbits=_GZIP_WINDOW)
        return packer.compress(content) + packer.flush()
    return content if compression is None else _without_times(content)


def _named_planes(image: MaskedImage) -> Iterator[tuple[str, NDArray[np.generic]]]:
    yield "IMAGE", image.image
    yield "MASK", image.mask
    yield "VARIANCE", image.variance


def _identity_first(header: Mapping[str, Card]) -> dict[str, Card]:
    first = {key: header[key] for key in _IDENTITY if key in header}
    return {**first, **header}


def _header(cards: Mapping[str, Card]) -> fits.Header:
    with quiet():
        return fits.Header(
            [
                (key if len(key) <= _KEYWORD else f"HIERARCH {key}", value)
                for key, value in cards.items()
                if value is not None
            ]
        )


def _origin_cards(image: MaskedImage) -> dict[str, Card]:
    """Return the trivial WCS "A" that LSST keeps XY0 in, and its IRAF twin."""
    cards: dict[str, Card] = {}
    for axis, start in enumerate(image.origin, start=1):
        cards |= {
            f"CTYPE{axis}A": "LINEAR",
            f"CUNIT{axis}A": "PIXEL",
            f"CRPIX{axis}A": 1.0,
            f"CRVAL{axis}A": float(start),
            f"LTV{axis}": float(-start),
        }
    return cards


def _mask_cards(image: MaskedImage) -> dict[str, Card]:
    return {f"MP_{name}": bit for name, bit in image.planes.items()}


def _plane_hdu(
    name: str, plane: NDArray[np.generic], compression: Compression
) -> fits.ImageHDU | fits.CompImageHDU:
    header = _header({"EXTTYPE": name})
    if compression in (None, "gzip"):
        return fits.ImageHDU(plane, header=header, name=name)
    if compression == "rice" and name in _QUANTIZE and not np.isinf(plane).any():
        return fits.CompImageHDU(
            plane,
            header=header,
            name=name,
            compression_type="RICE_1",
            quantize_level=_QUANTIZE[name],
            quantize_method=fits.hdu.compressed.SUBTRACTIVE_DITHER_1,
            dither_seed=fits.hdu.compressed.DITHER_SEED_CHECKSUM,
        )
    row = (1, plane.shape[1])
    return fits.CompImageHDU(
        plane,
        header=header,
        name=name,
        compression_type="GZIP_2",
        tile_shape=row,
        quantize_level=0.0,
    )


def _written(hdus: list[fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU]) -> bytes:
    out = BytesIO()
    with quiet():
        fits.HDUList(hdus).writeto(out)
    return out.getvalue()


def _without_times(content: bytes) -> bytes:
    """Set the time of day that each gzip tile carries to zero."""
    out = bytearray(content)
    opened: Any = fits.open(BytesIO(content), disable_image_compression=True)
    with quiet(), opened as hdus:
        for hdu in hdus[1:]:
            for start in _gzip_tiles(hdu, content):
                out[start + _GZIP_TIME.start : start + _GZIP_TIME.stop] = bytes(4)
    return bytes(out)


def _gzip_tiles(hdu: Any, content: bytes) -> Iterator[int]:
    """Yield the byte at which each gzip stream of a tile table begins."""
    count, width = hdu.header["NAXIS2"], hdu.header["NAXIS1"]
    data = hdu.fileinfo()["datLoc"]
    stored = hdu.columns.dtype.newbyteorder(">")
    table: Any = np.frombuffer(content, dtype=stored, count=count, offset=data)
    names = ["GZIP_COMPRESSED_DATA"]
    if hdu.header["ZCMPTYPE"].startswith("GZIP"):
        names.append("COMPRESSED_DATA")
    for name in set(names) & set(table.dtype.names or ()):
        for length, offset in table[name].tolist():
            if length:
                yield data + hdu.header.get("THEAP", count * width) + offset
