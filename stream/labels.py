"""The closed sets that metric labels come from.

A label from an open set, such as a visit or a text of a message, would let anybody who can publish
grow the metrics without bound. What is not in its set is counted as ``other``.
"""

from __future__ import annotations

__all__ = ["OTHER", "Bands", "Labels"]

OTHER = "other"
"""What a value outside its set is counted as."""


class Labels:
    """A closed set of label values.

    Parameters
    ----------
    *values : str
        The set; `OTHER` belongs to it as well.
    """

    def __init__(self, *values: str) -> None:
        self._values = tuple(dict.fromkeys([*map(str, values), OTHER]))

    def __call__(self, value: str) -> str:
        """Return the value if it is one of ours, `OTHER` if not."""
        return str(value) if value in self._values else OTHER

    @property
    def all(self) -> tuple[str, ...]:
        """Every value that can come out."""
        return self._values


class Bands:
    """The bands of the survey, as they turn up, up to a bound.

    Nobody lists a survey's bands beforehand, but they are few; behind the first `most` all others
    are `OTHER`.

    Parameters
    ----------
    most : int
        How many bands get a label of their own.
    """

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._seen: set[str] = set()

    def __call__(self, band: str) -> str:
        """Return the band's label."""
        if band not in self._seen and len(self._seen) < self._most:
            self._seen.add(band)
        return band if band in self._seen else OTHER
