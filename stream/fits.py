"""Warps as FITS bytes: decode three planes, identify from headers, encode in LSST's layout.

Files come from strangers. Nothing is opened by name, only the IMAGE, MASK and VARIANCE planes are
read, each declared shape is checked before anything is allocated for it, and whatever goes wrong
is a `WarpError` with its reason. The layout is that of LSST's ExposureF: a header-only primary
HDU, then the planes, each named by EXTTYPE (or EXTNAME in newer files).
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from mmap import mmap
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from core import MaskedImage
from stream.decodelimits import DecodeLimits
from stream.faults import WarpError, WarpFault
from stream.fitswriter import encode
from stream.hdus import BLOCK, Hdu, Header, guarded, inflate, integer, walk
from stream.ricetiles import read_rice_tiles
from stream.tilechecks import check_gzip_tiles, check_table
from stream.tiles import read_tiles
from stream.tiletable import tile_shape

__all__ = ["DecodeLimits", "WarpError", "WarpFault", "WarpHeader", "decode", "encode", "identify"]

Shape = tuple[int, int]

_PLANES = ("IMAGE", "MASK", "VARIANCE")
_BITPIX = {"IMAGE": -32, "MASK": 32, "VARIANCE": -32}
_DTYPE = {-32: np.dtype(np.float32), 32: np.dtype(np.int32)}
_TILINGS = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "PLIO_1", "NOCOMPRESS")
"""What the stack writes. HCOMPRESS is refused: it never does, and its decoder is the riskiest."""

_AXES = 2
_MASK_BITS = 32
_FURTHEST_ORIGIN = 2**31
_HEAD_BYTES = 1 << 20
_PRIMARY = fits.PrimaryHDU().header.tostring().encode("ascii")


@dataclass(frozen=True, slots=True)
class WarpHeader:
    """What the headers of a warp say of it; None where they say nothing usable.

    Attributes
    ----------
    campaign, skymap, band : str or None
        Cards CAMPAIGN, SKYMAP, and BAND or FILTER.
    tract, patch, visit : int or None
        Cards TRACT, PATCH and VISIT.
    mjd : float or None
        Card MJD, days.
    unit : str or None
        Card BUNIT, the unit of the image.
    psf_fwhm : float or None
        Card FWHM, pixels.
    sky : str
        From SKYSUB: "intact", "subtracted", or "unknown" if it is absent.
    shape : (int, int) or None
        Rows and columns of the image; None if its header is too far into the file to look for.
    """

    campaign: str | None
    skymap: str | None
    tract: int | None
    patch: int | None
    band: str | None
    visit: int | None
    mjd: float | None
    unit: str | None
    psf_fwhm: float | None
    sky: str
    shape: Shape | None


def decode(data: bytes | mmap, limits: DecodeLimits | None = None) -> MaskedImage:
    """Return the planes of a warp.

    Parameters
    ----------
    data : bytes or mmap
        A whole file: plain FITS, gzipped FITS, or FITS with tile-compressed planes.
    limits : DecodeLimits, optional
        What the file may ask for.

    Returns
    -------
    core.MaskedImage
        Native, C-contiguous float32, int32, float32 ``[y, x]``; mask planes by name to bit number
        (cards ``MP_<NAME>``); origin from the WCS "A", or else from LTV.

    Raises
    ------
    WarpError
        For whatever is wrong with the file.
    """
    limits = limits or DecodeLimits()
    with guarded():
        content = inflate(data, limits)
        hdus = _find_planes(content, limits)
        shape = _common_shape(hdus, limits)
        image, mask, variance = (_read_plane(content, hdus[name], shape) for name in _PLANES)
        planes = _mask_planes(hdus["MASK"].header)
        origin = _origin(hdus["IMAGE"].header)
        return MaskedImage(image, mask, variance, planes, origin)


def identify(data: bytes, limits: DecodeLimits | None = None) -> WarpHeader:
    """Return what the primary header and the image's header say, without decoding pixels.

    Parameters
    ----------
    data : bytes
        A whole file, or its first MB.
    limits : DecodeLimits, optional
        What the file may ask for.

    Raises
    ------
    WarpError
        If the bytes are not FITS, or their first header is damaged.
    """
    limits = limits or DecodeLimits()
    with guarded():
        headers = _leading_headers(inflate(data, limits, enough=_HEAD_BYTES), limits)
        return WarpHeader(
            campaign=_text(headers, "CAMPAIGN"),
            skymap=_text(headers, "SKYMAP"),
            tract=_whole(headers, "TRACT"),
            patch=_whole(headers, "PATCH"),
            band=_text(headers, "BAND") or _text(headers, "FILTER"),
            visit=_whole(headers, "VISIT"),
            mjd=_number(headers, "MJD"),
            unit=_text(headers, "BUNIT"),
            psf_fwhm=_number(headers, "FWHM"),
            sky=_sky_state(headers),
            shape=_image_shape(headers[-1]),
        )


# Finding the planes


def _plane_name(header: Header) -> str | None:
    """Return which plane an HDU holds: EXTTYPE decides, EXTNAME where there is none."""
    name = header.get("EXTTYPE", header.get("EXTNAME"))
    image = header.get("XTENSION", "IMAGE") == "IMAGE" or _is_tiled(header)
    if not image or not isinstance(name, str):
        return None
    return name.strip().upper() if name.strip().upper() in _PLANES else None


def _is_tiled(header: Header) -> bool:
    return header.get("XTENSION") == "BINTABLE" and header.get("ZIMAGE") is True


def _find_planes(content: memoryview, limits: DecodeLimits) -> dict[str, Hdu]:
    """Return the first HDU of each plane, checked as far as its header goes."""
    found: dict[str, Hdu] = {}
    for hdu in walk(content, limits):
        name = _plane_name(hdu.header)
        if name is None or name in found:
            continue
        _shape(hdu.header, limits)
        _check_dtype(hdu.header, name)
        hdu.check_whole(content)
        found[name] = hdu
        if len(found) == len(_PLANES):
            return found
    absent = ", ".join(name for name in _PLANES if name not in found)
    raise WarpError(WarpFault.NO_IMAGE, f"the file has no {absent}")


def _shape(header: Header, limits: DecodeLimits) -> Shape:
    """Return (rows, columns) of a plane that is two-dimensional and not too large."""
    z = "Z" if _is_tiled(header) else ""
    axes = integer(header, f"{z}NAXIS")
    if axes != _AXES:
        raise WarpError(WarpFault.WRONG_SHAPE, f"a plane has {axes} axes, not 2")
    columns, rows = integer(header, f"{z}NAXIS1"), integer(header, f"{z}NAXIS2")
    if rows * columns == 0:
        raise WarpError(WarpFault.WRONG_SHAPE, f"a plane of {columns} x {rows} has no pixels")
    if max(rows, columns) > limits.max_side or rows * columns > limits.max_pixels:
        msg = f"{columns} x {rows} pixels; {limits.max_side} a side, {limits.max_pixels} in all"
        raise WarpError(WarpFault.TOO_LARGE, f"a plane has {msg} are allowed")
    return rows, columns


def _check_dtype(header: Header, name: str) -> None:
    bitpix = integer(header, "ZBITPIX" if _is_tiled(header) else "BITPIX")
    scaling = (header.get("BSCALE", 1), header.get("BZERO", 0))
    if bitpix != _BITPIX[name] or scaling != (1, 0):
        msg = f"{name} has BITPIX {bitpix}, BSCALE and BZERO {scaling}; {_BITPIX[name]} is needed"
        raise WarpError(WarpFault.WRONG_DTYPE, msg)


def _common_shape(hdus: dict[str, Hdu], limits: DecodeLimits) -> Shape:
    shapes = [_shape(hdus[name].header, limits) for name in _PLANES]
    if len(set(shapes)) != 1:
        raise WarpError(WarpFault.WRONG_SHAPE, f"IMAGE, MASK, VARIANCE are {shapes}")
    return shapes[0]


# Reading one plane


def _read_plane(content: memoryview, hdu: Hdu, shape: Shape) -> NDArray[Any]:
    """Return one plane in native byte order."""
    if _is_tiled(hdu.header):
        return _read_tiles(content, hdu, shape)
    dtype = _DTYPE[integer(hdu.header, "BITPIX")]
    stored = dtype.newbyteorder(">")
    plane = np.frombuffer(content, dtype=stored, count=math.prod(shape), offset=hdu.data)
    return plane.reshape(shape).astype(dtype, order="C")


def _read_tiles(content: memoryview, hdu: Hdu, shape: Shape) -> NDArray[Any]:
    """Return a tile-compressed plane: some kinds at once, all else as astropy decodes it."""
    tile = _check_tiles(hdu.header, shape)
    check_table(content, hdu, math.prod(shape))
    dtype = _DTYPE[integer(hdu.header, "ZBITPIX")]
    bits = _read_some_kinds(content, hdu, shape)
    if bits is not None:
        return bits.view(dtype)
    check_gzip_tiles(content, hdu, math.prod(tile))
    return _read_by_astropy(content, hdu, shape)


def _read_some_kinds(content: memoryview, hdu: Hdu, shape: Shape) -> NDArray[Any] | None:
    """Return a plane of a kind that is read here; what a damaged card means, astropy knows."""
    for read in (read_tiles, read_rice_tiles):
        with suppress(fits.VerifyError):
            bits = read(content, hdu, shape)
            if bits is not None:
                return bits
    return None


def _read_by_astropy(content: memoryview, hdu: Hdu, shape: Shape) -> NDArray[Any]:
    """Return a tile-compressed plane as astropy decodes it, seeing this one HDU alone."""
    body = content[hdu.start : hdu.end]
    padding = bytes(-len(body) % BLOCK)
    opened: Any = fits.open(BytesIO(b"".join((_PRIMARY, body, padding))), memmap=False)
    with opened as hdus:
        plane = np.asarray(hdus[1].data)
    dtype = _DTYPE[integer(hdu.header, "ZBITPIX")]
    if plane.shape != shape or (plane.dtype.kind, plane.dtype.itemsize) != (dtype.kind, 4):
        msg = f"tiles make {plane.dtype} {plane.shape} where the header has {dtype} {shape}"
        raise WarpError(WarpFault.UNREADABLE, msg)
    return np.ascontiguousarray(plane, dtype=dtype)


def _check_tiles(header: Header, shape: Shape) -> Shape:
    """Return the tiles' shape; refuse a tiling that does not belong to the plane."""
    if header.get("ZCMPTYPE") not in _TILINGS:
        msg = f"the compression {header.get('ZCMPTYPE')!r} is none of {', '.join(_TILINGS)}"
        raise WarpError(WarpFault.UNREADABLE, msg)
    (rows, columns), (height, width) = shape, tile_shape(header, shape)
    if not (0 < width <= columns and 0 < height <= rows):
        raise WarpError(WarpFault.UNREADABLE, f"tiles of {width} x {height} in {columns} x {rows}")
    if integer(header, "NAXIS2") != -(-rows // height) * -(-columns // width):
        raise WarpError(WarpFault.UNREADABLE, f"{header['NAXIS2']} tiles do not make the plane")
    return height, width


def _mask_planes(header: Header) -> dict[str, int]:
    """Return the file's own dictionary of mask planes, name to bit number."""
    planes = {key[3:]: integer(header, key) for key in header if key.startswith("MP_")}
    if any(bit >= _MASK_BITS for bit in planes.values()):
        raise WarpError(WarpFault.UNREADABLE, f"a mask plane has no bit in int32: {planes}")
    return planes


def _origin(header: Header) -> tuple[int, int]:
    """Return the patch's (x0, y0) in its tract, pixels."""
    if "CRVAL1A" in header and "CRVAL2A" in header:
        x, y = (header[f"CRVAL{n}A"] - (header.get(f"CRPIX{n}A", 1) - 1) for n in (1, 2))
    else:
        x, y = -header.get("LTV1", 0), -header.get("LTV2", 0)
    if not all(math.isfinite(v) and abs(v) < _FURTHEST_ORIGIN for v in (x, y)):
        raise WarpError(WarpFault.UNREADABLE, f"the origin ({x}, {y}) is no pixel")
    return round(x), round(y)


# Header facts


def _leading_headers(content: memoryview, limits: DecodeLimits) -> list[Header]:
    """Return the primary header and, if it is the image's or is followed by it, that one."""
    headers: list[Header] = []
    try:
        for hdu in walk(content, limits):
            headers.append(hdu.header)
            if _plane_name(hdu.header) == "IMAGE":
                return [headers[0], hdu.header]
    except WarpError:
        if not headers:
            raise
    return [headers[0]] if headers else []


def _card(headers: list[Header], name: str) -> object:
    return next((header[name] for header in headers if name in header), None)


def _text(headers: list[Header], name: str) -> str | None:
    value = _card(headers, name)
    return value.strip() or None if isinstance(value, str) else None


def _whole(headers: list[Header], name: str) -> int | None:
    value = _card(headers, name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(headers: list[Header], name: str) -> float | None:
    value = _card(headers, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _sky_state(headers: list[Header]) -> str:
    value = _card(headers, "SKYSUB")
    if not isinstance(value, bool):
        return "unknown"
    return "subtracted" if value else "intact"


def _image_shape(header: Header) -> Shape | None:
    if _plane_name(header) != "IMAGE":
        return None
    z = "Z" if _is_tiled(header) else ""
    if integer(header, f"{z}NAXIS") != _AXES:
        return None
    return integer(header, f"{z}NAXIS2"), integer(header, f"{z}NAXIS1")
