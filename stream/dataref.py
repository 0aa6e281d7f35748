"""Data references: where a task gets its exposures from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from core import MaskedImage
from stream import fits
from stream.decodelimits import DecodeLimits
from stream.faults import WarpError, WarpFault

__all__ = ["DataRef", "FileDataRef"]


class DataRef(Protocol):
    """What `stream.task` asks of a data reference, as LSST's ButlerDataRef has it."""

    @property
    def dataId(self) -> Any:
        """Which exposure it is; equal for references to the same one."""
        ...

    def get(self, datasetType: str) -> MaskedImage:
        """Return the exposure."""
        ...

    def datasetExists(self, datasetType: str) -> bool:
        """Tell whether there is one."""
        ...


class FileDataRef:
    """A data reference to warps in files.

    Parameters
    ----------
    files : path or mapping of str to path
        One file, whatever dataset type is asked for, or a file by dataset type.
    dataId : mapping, optional
        Which exposure it is, for messages and to tell whether two are the same; by default the
        files themselves.
    limits : DecodeLimits, optional
        What a file may ask for.
    """

    def __init__(
        self,
        files: str | Path | Mapping[str, str | Path],
        dataId: Mapping[str, Any] | None = None,
        limits: DecodeLimits | None = None,
    ) -> None:
        self._one = None if isinstance(files, Mapping) else Path(files)
        by_type = files if isinstance(files, Mapping) else {"file": files}
        self._files = {name: Path(file) for name, file in by_type.items()}
        named = {name: str(file) for name, file in by_type.items()}
        self._data_id = dict(named if dataId is None else dataId)
        self._limits = limits or DecodeLimits()

    @property
    def dataId(self) -> dict[str, Any]:
        """Which exposure it is."""
        return self._data_id

    def datasetExists(self, datasetType: str) -> bool:
        """Tell whether there is a file; not whether it can be read.

        Parameters
        ----------
        datasetType : str
        """
        file = self._file(datasetType)
        return file is not None and file.is_file()

    def get(self, datasetType: str) -> MaskedImage:
        """Read a file, anew each time.

        Parameters
        ----------
        datasetType : str

        Returns
        -------
        core.MaskedImage
            As `stream.fits.decode` gives it.

        Raises
        ------
        WarpError
            If there is no file, or for whatever is wrong with it.
        """
        file = self._file(datasetType)
        if file is None:
            known = ", ".join(self._files) or "none"
            message = f"no dataset type {datasetType!r}; there is {known}"
            raise WarpError(WarpFault.MISSING, message)
        return fits.decode(_content(file, self._limits.max_bytes), self._limits)

    def _file(self, dataset_type: str) -> Path | None:
        return self._files.get(dataset_type) if self._one is None else self._one

    def __repr__(self) -> str:
        return f"FileDataRef({self._data_id})"


def _content(file: Path, most_bytes: int) -> bytes:
    try:
        if file.stat().st_size > most_bytes:
            raise WarpError(WarpFault.TOO_LARGE, f"{file} has more than {most_bytes} bytes")
        return file.read_bytes()
    except FileNotFoundError as error:
        raise WarpError(WarpFault.MISSING, f"there is no file {file}") from error
    except OSError as error:
        raise WarpError(WarpFault.UNREADABLE, f"{file}: {error.strerror}") from error
