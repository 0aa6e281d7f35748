"""Offsets that a reader starts at, held against what a log has."""

from __future__ import annotations

from collections.abc import Container

from stream.log.seam import LogRefusedError, Places

__all__ = ["passing_over", "refuse_beyond"]


def refuse_beyond(starts: Places, ends: Places, where: str) -> None:
    """Refuse to start behind the end: such an offset was noted of another log.

    Parameters
    ----------
    starts, ends : mapping of (str, int) to int
        A place without an end is not asked about.
    where : str
        What log this is, for the sentence.

    Raises
    ------
    LogRefusedError
    """
    for place in sorted(starts.keys() & ends.keys()):
        topic, partition = place
        if starts[place] > ends[place]:
            raise LogRefusedError(
                f"{where} holds {topic} [{partition}] to offset {ends[place]} only, and reading "
                f"should start at {starts[place]}: those positions are of another log"
            )


def passing_over(ends: Places, wanted: Container[int]) -> dict[tuple[str, int], int]:
    """Return the ends of all partitions but some, to start at: nothing of them is then read.

    Parameters
    ----------
    ends : mapping of (str, int) to int
    wanted : container of int
        The partitions that are to be read.
    """
    return {place: end for place, end in ends.items() if place[1] not in wanted}
