"""What a service does with a warp besides decoding, measuring and matching it, piece by piece."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import core
from ops.bench.pipeline.price import kernels, processor_s
from ops.bench.pipeline.warps import FORMS, Form, Stock, path_of
from ops.bench.report import Row, Section
from stream import fits
from stream.fetch.landing import LandedFile
from stream.fetch.limits import FetchLimits
from stream.fetch.posix import copy, locate
from stream.spool.files import lay, mapped
from stream.spool.place import Place, laid_bytes

__all__ = ["Pieces", "pieces", "told"]


@dataclass(slots=True)
class Pieces:
    """Processor time of each piece, run by run, in seconds.

    Attributes
    ----------
    kernels : list of float
        Decoding, measuring and matching.
    sha256 : list of float
        Of the file's bytes, which are at hand.
    copying : list of float
        Of the file, its checksum taken on the way; and its removal.
    laying : list of float
        Of the planes in the spool, and their removal.
    mapping : list of float
        Of the planes, every byte looked at.
    """

    kernels: list[float] = field(default_factory=list)
    sha256: list[float] = field(default_factory=list)
    copying: list[float] = field(default_factory=list)
    laying: list[float] = field(default_factory=list)
    mapping: list[float] = field(default_factory=list)

    @property
    def least(self) -> float:
        """What the service adds at least, over the kernels."""
        parts = (self.copying, self.laying, self.mapping)
        return sum(map(median, parts)) / median(self.kernels)


def pieces(side: int, runs: int) -> Section:
    """Measure each piece alone, in this process, one after the other.

    Parameters
    ----------
    side : int
        Width and height, pixels.
    runs : int
        Of each form.
    """
    found: dict[Form, Pieces] = {}
    for form in FORMS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            stock = Stock.pair(folder / "warps", side, form)
            files = [path_of(stock.made(number)) for number in (1, 2)]
            found[form] = _found(folder, files, runs)
    return told(side, runs, found)


def told(side: int, runs: int, found: dict[Form, Pieces]) -> Section:
    """Return the table of what was found."""
    rows = [_row(FORMS[form], one) for form, one in found.items()]
    notes = [
        f"{side} x {side} pixels, processor time of this process alone, medians of {runs} runs.",
        "Besides there are the messages, the jobs' way to a worker and back, and the event loop.",
    ]
    return Section("What a service does with a warp besides", rows, notes)


def _row(name: str, found: Pieces) -> Row:
    values: dict[str, float | str] = {
        "kernels, s": median(found.kernels),
        "sha256 alone, s": median(found.sha256),
        "copy and sha256, s": median(found.copying),
        "lay, s": median(found.laying),
        "map, s": median(found.mapping),
        "of the kernels": found.least,
    }
    return Row(name, values)


def _found(folder: Path, files: list[Path], runs: int) -> Pieces:
    found, (_, file) = Pieces(), files
    content = file.read_bytes()
    warp = fits.decode(content)
    kernels(files)  # its machine code is loaded then
    for number in range(runs):
        planes = folder / f"planes-{number}"
        found.kernels.append(_of_one(files))
        found.sha256.append(processor_s(partial(hashlib.sha256, content)))
        found.copying.append(processor_s(partial(_copy, file, folder)))
        laid = processor_s(partial(_lay, warp, planes))
        found.mapping.append(processor_s(partial(mapped, str(planes))))
        found.laying.append(laid + processor_s(planes.unlink))
    return found


def _of_one(files: list[Path]) -> float:
    """Return what the second of two warps costs, which is matched to the first."""
    return processor_s(partial(kernels, files)) - processor_s(partial(kernels, files[:1]))


def _copy(file: Path, folder: Path) -> None:
    source = locate(str(file), [str(file.parent)])
    if source is None:
        raise FileNotFoundError(file)
    landed = LandedFile(folder, str(folder / "landed"), source.size)
    landed.open()
    copy(source, landed, FetchLimits().chunk_bytes)
    landed.finish()
    landed.discard()


def _lay(warp: core.MaskedImage, path: Path) -> None:
    if not lay(Place(str(path), 2 * laid_bytes(warp.shape)), warp):
        raise OSError(f"there is no room for {path}")
