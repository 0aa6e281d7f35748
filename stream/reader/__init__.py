"""Whole revisions for those who coadd, from either log.

::

    async with RevisionReader(EmbeddedReader(path), start=saved) as reader:
        async for revision in reader:
            ...  # revision.summary, revision.models[visit]
            ...  # store the result and reader.positions, in one step

What is promised: each revision that is yielded is whole, its models are those that its summary
names; within a group revisions ascend, and none comes twice in a run; the newest of each group
comes in the end. Not every revision comes: one that was superseded before it could be read is
passed over. `stream.reader.gathering` says how this is known, `stream.reader.shelf` where it is
remembered. ``ops/guide/reading.md`` is the page for users.
"""

from stream.reader.intake import BadRecord
from stream.reader.positions import PositionsError
from stream.reader.reader import ReaderOptions, RevisionReader
from stream.reader.revision import Models, Revision, StaleRevisionError
from stream.reader.shelf import ShelfError

__all__ = [
    "BadRecord",
    "Models",
    "PositionsError",
    "ReaderOptions",
    "Revision",
    "RevisionReader",
    "ShelfError",
    "StaleRevisionError",
]
