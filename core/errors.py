"""What can go wrong in the mathematics, sorted by what the catcher does about it.

::

    CoreError
    |-- ConfigError           (ValueError)                stop: no run makes sense with this setting
    |-- ImageError            (ValueError)                reject the exposure or model: it is none
    |   `-- ImageTypeError    (TypeError)                 the same, an array of another type
    |-- MissingExposureError  (RuntimeError)              skip: this exposure could not be had
    |-- ScalerError           (RuntimeError)              skip: this exposure could not be scaled
    |-- DimensionError        (RuntimeError)              reject the pair: two different boxes
    |-- BinSizeError          (ValueError)                reject the pair: smaller than a bin
    |-- OrderError            (ValueError)                reject the pair: order beyond the bins
    |-- NoOverlapError        (ValueError, RuntimeError)  reject the pair: no sky in common
    |-- InterpolationError    (RuntimeError)              reject the pair: too few bins with values
    |-- SingularFitError      (RuntimeError)              reject the pair: bins do not fix it
    |-- ModelOverflowError    (RuntimeError)              reject the pair: levels beyond float32
    |-- NoExposuresError      (ValueError, RuntimeError)  stop: there is nothing to choose from
    `-- NoReferenceError      (ValueError)                stop: no candidate can be the reference

Each is also the built-in exception that LSST's task raises in that place, so code written for the
task catches what it always caught. Errors carry the objects; ``str`` makes the sentence. All of
them survive pickling, since workers raise them.
"""

from __future__ import annotations

__all__ = [
    "BinSizeError",
    "ConfigError",
    "CoreError",
    "DimensionError",
    "ImageError",
    "ImageTypeError",
    "InterpolationError",
    "MissingExposureError",
    "ModelOverflowError",
    "NoExposuresError",
    "NoOverlapError",
    "NoReferenceError",
    "OrderError",
    "ScalerError",
    "SingularFitError",
]


class CoreError(Exception):
    """Anything that the mathematics refuses, for catching all of it at once."""


class ConfigError(CoreError, ValueError):
    """A setting of `core.MatchConfig` is unknown or impossible.

    Parameters
    ----------
    field : str
        Name of the setting.
    value : object
        What was asked for.
    expected : str
        What would have been right.
    """

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(field, value, expected)
        self.field = field
        self.value = value
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.field} = {self.value!r}: must be {self.expected}"


class ImageError(CoreError, ValueError):
    """An argument is not the array or value that it should be.

    Parameters
    ----------
    argument : str
        Name of the argument at fault.
    found : str
        What it is.
    expected : str
        What would have been right.
    """

    def __init__(self, argument: str, found: str, expected: str) -> None:
        super().__init__(argument, found, expected)
        self.argument = argument
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.argument} is {self.found}: must be {self.expected}"


class ImageTypeError(ImageError, TypeError):
    """An array is of another kind, dtype or byte order than it should be."""


class MissingExposureError(CoreError, RuntimeError):
    """An exposure of a run could not be had (MATCHING.md sections 1 and 9).

    Parameters
    ----------
    index : int
        Its place in the sequence of exposures.
    """

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index

    def __str__(self) -> str:
        return f"exposure {self.index} does not exist"


class ScalerError(CoreError, RuntimeError):
    """The photometric scaler of an exposure is none, or failed (MATCHING.md section 9).

    Parameters
    ----------
    which : str
        Whose scaler it is.
    problem : str
        What is the matter with it, and what would have been right.
    """

    def __init__(self, which: str, problem: str) -> None:
        super().__init__(which, problem)
        self.which = which
        self.problem = problem

    def __str__(self) -> str:
        return f"the scaler of {self.which} {self.problem}"


class DimensionError(CoreError, RuntimeError):
    """Two exposures of different size cannot be matched (MATCHING.md section 1, step 2).

    Parameters
    ----------
    science, reference : tuple of int
        Their shapes ``(height, width)`` in pixels.
    """

    def __init__(self, science: tuple[int, int], reference: tuple[int, int]) -> None:
        super().__init__(science, reference)
        self.science = science
        self.reference = reference

    def __str__(self) -> str:
        return (
            "exposures have different dimensions (height, width): "
            f"science {self.science}, reference {self.reference}"
        )


class BinSizeError(CoreError, ValueError):
    """The bins of a polynomial are larger than the exposure (MATCHING.md section 1, step 1).

    Parameters
    ----------
    bin_size : int
        Side of a bin in pixels.
    shorter : int
        The shorter side of the exposure in pixels.
    """

    def __init__(self, bin_size: int, shorter: int) -> None:
        super().__init__(bin_size, shorter)
        self.bin_size = bin_size
        self.shorter = shorter

    def __str__(self) -> str:
        return (
            f"bin_size = {self.bin_size} is more than the exposure's shorter side, "
            f"{self.shorter} pixels: a polynomial needs it to be at most that"
        )


class OrderError(CoreError, ValueError):
    """The order of a polynomial is too high for the bins (MATCHING.md sections 1 and 7).

    Parameters
    ----------
    order : int
        Order asked for.
    points : int
        How many bins there are along the shorter side.
    which : str
        Which bins count: all of them, or those with pixels.
    """

    def __init__(self, order: int, points: int, which: str) -> None:
        super().__init__(order, points, which)
        self.order = order
        self.points = points
        self.which = which

    def __str__(self) -> str:
        return (
            f"order = {self.order} needs at least {self.order + 1} {self.which} "
            f"along both sides, there are {self.points}: "
            "must be lower, or bin_size smaller"
        )


class NoOverlapError(CoreError, ValueError, RuntimeError):
    """No bin of the difference has a value (MATCHING.md sections 7 and 11): no sky to match.

    LSST raises `ValueError` here for polynomials and `RuntimeError` for splines that may not
    reduce their order; for splines that may, it returns a model of NaN, which would destroy the
    image that it is added to.
    """

    def __str__(self) -> str:
        return "no overlap with the reference: no bin of the difference has good pixels"


class InterpolationError(CoreError, RuntimeError):
    """The grid has too few values for a style that may not be reduced (MATCHING.md section 5).

    Parameters
    ----------
    style : str
        Interpolation style asked for.
    points, needed : int
        Values at hand and values that the style needs.
    line : str
        Which line of bins is too short.
    """

    def __init__(self, style: str, points: int, needed: int, line: str) -> None:
        super().__init__(style, points, needed, line)
        self.style = style
        self.points = points
        self.needed = needed
        self.line = line

    def __str__(self) -> str:
        return (
            f"{self.style} needs {self.needed} bins with a value along {self.line}, "
            f"there are {self.points}; undersample_style REDUCE_INTERP_ORDER allows fewer"
        )


class SingularFitError(CoreError, RuntimeError):
    """The bins do not determine the coefficients of a polynomial (MATCHING.md section 7).

    Parameters
    ----------
    order : int
        Order of the polynomial.
    reason : str
        What is the matter.
    """

    def __init__(self, order: int, reason: str) -> None:
        super().__init__(order, reason)
        self.order = order
        self.reason = reason

    def __str__(self) -> str:
        return f"no polynomial of order {self.order} can be fitted: {self.reason}"


class ModelOverflowError(CoreError, RuntimeError):
    """The interpolated model leaves the range of float32."""

    def __str__(self) -> str:
        return "the background model overflows float32: the difference has impossible levels"


class NoExposuresError(CoreError, ValueError, RuntimeError):
    """A reference was to be chosen from no exposures at all (MATCHING.md section 9)."""

    def __str__(self) -> str:
        return "no exposures: there is nothing to choose a reference from"


class NoReferenceError(CoreError, ValueError):
    """No exposure can be the reference (MATCHING.md sections 9 and 14).

    Parameters
    ----------
    reason : str
        Why not.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"no reference: {self.reason}"
