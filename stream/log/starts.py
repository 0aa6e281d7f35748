"""Offsets that a reader starts at, held against what a log has."""

from __future__ import annotations

from stream.log.seam import LogRefusedError, Places

__all__ = ["refuse_beyond"]


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
