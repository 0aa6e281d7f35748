"""A spool over files in memory, for tests of its index."""

from __future__ import annotations

from stream.spool import Place, Spool
from stream.spool.place import laid_bytes

__all__ = ["SIZE", "Files", "drop", "laid", "name_of", "spool"]

SIZE = laid_bytes((1, 1))


class Files:
    """Files in memory: sizes by name."""

    def __init__(self, *, broken: bool = False) -> None:
        self.sizes: dict[str, int] = {}
        self.broken = broken

    @property
    def keys(self) -> set[str]:
        """Return the keys of what is there."""
        return {name.partition("-")[0] for name in self.sizes}

    def lay(self, place: Place, size: int = SIZE) -> None:
        """Have a file, as a worker would: instead of one that it may write over."""
        self.sizes[name_of(place)] = size
        if place.old is not None:
            del self.sizes[place.old.rpartition("/")[2]]

    def open(self) -> None:
        """Fail, if the disk does."""
        if self.broken:
            raise OSError("the disk is gone")

    def close(self) -> None:
        """Forget all."""
        self.sizes.clear()

    def path(self, name: str) -> str:
        """Return a path."""
        return f"/spool/{name}"

    def size(self, name: str) -> int | None:
        """Return what was laid."""
        return self.sizes.get(name)

    def remove(self, name: str) -> None:
        """Forget one."""
        self.sizes.pop(name, None)


def name_of(place: Place) -> str:
    """Return the name of a file in memory."""
    return place.path.rpartition("/")[2]


def spool(files: Files, most: int = 4) -> Spool:
    """Return a spool of so many warps of one pixel."""
    made = Spool(files, most * SIZE, SIZE)
    made.learn((1, 1))
    return made


async def laid(one: Spool, files: Files, *keys: str) -> None:
    """Lay planes of keys, one after the other."""
    for key in keys:
        async with one.room(key) as place:
            assert place is not None
            assert place.room == SIZE
            files.lay(place)


def drop(one: Spool, key: str) -> None:
    """Find planes damaged that are there now, if they are."""
    with one.pinned(key) as path:
        if path is not None:
            one.drop(key, path)
