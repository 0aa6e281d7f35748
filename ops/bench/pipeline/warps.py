"""Files to be served: a few that are encoded, and as many made of them as one likes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from astropy.io import fits as astropy_fits

import schemas
from core import MaskedImage
from ops.bench.planes import pair
from ops.store.rewriting import Base
from stream import fits
from stream.describe import Described, Override, describe
from stream.hdus import quiet

__all__ = ["FORMS", "Form", "Stock", "encoded", "manifest", "path_of"]

Form = Literal["gzip2", "rice", "plain"]

FORMS: Final[dict[Form, str]] = {
    "gzip2": "GZIP_2, a row a tile",
    "rice": "Rice, 256 x 256 tiles",
    "plain": "uncompressed",
}

_FIRST: Final = 1_000_000_000
_TILE: Final = (256, 256)
_STEPS: Final = {"IMAGE": 8.0, "VARIANCE": 4.0}
_DITHERED: Final = {"quantize_method": 1, "dither_seed": 1}
_IDENTITY: Final[dict[str, str | int]] = {
    "VISIT": _FIRST, "SKYMAP": "bench", "TRACT": 1, "PATCH": 1, "BAND": "r",
    "BUNIT": "nJy", "SKYSUB": "intact",
}  # fmt: skip


def encoded(warp: MaskedImage, form: Form) -> bytes:
    """Return a warp as a file.

    Parameters
    ----------
    warp : core.MaskedImage
    form : str
        One of `FORMS`.
    """
    if form == "gzip2":
        return fits.encode(warp, _IDENTITY, compression="gzip2")
    plain = fits.encode(warp, _IDENTITY)
    return plain if form == "plain" else _in_tiles(plain)


def _in_tiles(plain: bytes) -> bytes:
    """Write planes in square tiles: floats quantised with dithering, the mask without loss."""
    out = BytesIO()
    opened: Any = astropy_fits.open(BytesIO(plain))
    with quiet(), opened as hdus:
        tiled: list[Any] = [hdus[0].copy()]
        for hdu in hdus[1:]:
            step = _STEPS.get(hdu.name)
            lossy = {} if step is None else {"quantize_level": step, **_DITHERED}
            tiled.append(
                astropy_fits.CompImageHDU(
                    hdu.data,
                    hdu.header,
                    name=hdu.name,
                    compression_type="RICE_1",
                    tile_shape=tuple(map(min, _TILE, hdu.data.shape)),
                    **lossy,
                )
            )
        astropy_fits.HDUList(tiled).writeto(out)
    return out.getvalue()


@dataclass(frozen=True)
class Stock:
    """Files of which others are made.

    Attributes
    ----------
    folder : Path
        Where they are written.
    bases : sequence of Base
    described : sequence of WarpArrived
        What announces each.
    """

    folder: Path
    bases: Sequence[Base]
    described: Sequence[schemas.WarpArrived]

    @classmethod
    def of(cls, folder: Path, contents: Sequence[bytes]) -> Stock:
        """Return the stock of some files' contents."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"base-{number}.fits" for number in range(len(contents))]
        found = []
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
            found.append(describe(path, Override()))
        described = [one.message for one in found if isinstance(one, Described)]
        return cls(folder, [Base(content) for content in contents], described)

    @classmethod
    def pair(cls, folder: Path, side: int, form: Form) -> Stock:
        """Return a stock of two skies."""
        return cls.of(folder, [encoded(one, form) for one in pair(side)])

    @property
    def files(self) -> list[Path]:
        """The files, in order."""
        return [self.folder / f"base-{number}.fits" for number in range(len(self.bases))]

    def made(self, number: int, patch: int = 1, base: int | None = None) -> schemas.WarpArrived:
        """Write a warp, and return its arrival.

        Parameters
        ----------
        number : int
            Its visit, with which nothing else is the same.
        patch : int
            Of its group.
        base : int, optional
            Of which file it is made; they take turns otherwise.
        """
        content = self._base(number, base).warp(number)
        path = self.folder / f"{number}.fits"
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return self._arrival(number, patch, path.resolve().as_uri(), digest, base)

    def elsewhere(self, number: int, patch: int, bucket: str) -> schemas.WarpArrived:
        """Return the arrival of a warp that a server makes, as an object of a bucket."""
        base, digest = self._base(number), hashlib.sha256()
        for piece in base.pieces(number, 0, len(base.content)):
            digest.update(piece)
        return self._arrival(number, patch, f"s3://{bucket}/{number}.fits", digest.hexdigest())

    def _base(self, number: int, base: int | None = None) -> Base:
        return self.bases[number % len(self.bases) if base is None else base]

    def _arrival(
        self, number: int, patch: int, uri: str, checksum: str, base: int | None = None
    ) -> schemas.WarpArrived:
        like = self.described[number % len(self.bases) if base is None else base]
        return msgspec.structs.replace(like, visit=number, patch=patch, uri=uri, checksum=checksum)


def manifest(
    arrivals: Sequence[schemas.WarpArrived], reference: int | None = None, version: int = 0
) -> schemas.GroupManifest:
    """Return the exact set of a group.

    Parameters
    ----------
    arrivals : sequence of WarpArrived
        All of the group.
    reference : int, optional
        The visit that must be the reference.
    version : int
    """
    visits = tuple(sorted(one.visit for one in arrivals))
    fields = arrivals[0].group.fields
    return schemas.GroupManifest(**fields, visits=visits, reference=reference, version=version)


def path_of(arrival: schemas.WarpArrived) -> Path:
    """Return the file of a warp that `Stock.made` has written."""
    return Path(arrival.uri.removeprefix("file://"))
