"""The file of a reader: what it refuses, and what it holds after any kill."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from stream.reader.gathering import Held
from stream.reader.shelf import ShelfError, SqliteShelf

TOPIC = "evensky.models"


def opened(path: Path, topic: str = TOPIC, partitions: int = 2) -> SqliteShelf:
    """Return a shelf on a file."""
    return SqliteShelf(path, topic, partitions, cache_bytes=2**20)


def fill(shelf: SqliteShelf, visits: int) -> None:
    """Hold some models, and keep them."""
    for visit in range(visits):
        shelf.hold("group", visit, Held(1, f"id {visit}"), b"value %d" % visit)
    shelf.keep([visits, 0])


def test_what_is_kept_is_there_again(tmp_path: Path) -> None:
    """Models and how far they were read survive; groups are of a run."""
    shelf = opened(tmp_path / "models.db")
    fill(shelf, 3)
    shelf.settle("group", 7)
    shelf.commit()
    shelf.close()
    again = opened(tmp_path / "models.db")
    assert again.models_at == [3, 0]
    assert again.held("group", 2) == Held(1, "id 2")
    assert again.value("group", 2, "id 2") == b"value 2"
    assert again.value("group", 2, "another id") is None
    assert again.seen("group") is None
    again.close()


def test_what_was_not_kept_is_not_there(tmp_path: Path) -> None:
    """Models without their position would be models that nobody reads again."""
    shelf = opened(tmp_path / "models.db")
    fill(shelf, 2)
    shelf.hold("group", 1, Held(2, "later"), b"later")
    shelf.let_go("group", 0)
    shelf.close()
    again = opened(tmp_path / "models.db")
    assert again.held_ids("group") == {0: "id 0", 1: "id 1"}
    again.close()


_ENDLESS = """
import sys
from pathlib import Path
from stream.reader.gathering import Held
from stream.reader.shelf import SqliteShelf
shelf = SqliteShelf(Path(sys.argv[1]), "evensky.models", 2, cache_bytes=65536)
at = shelf.models_at[0]
while True:
    for at in range(at, at + 50):
        shelf.hold("group", at, Held(1, str(at)), b"x" * 5000)
    at += 1
    shelf.keep([at, 0])
    print(at, flush=True)
"""


def test_a_kill_leaves_models_and_position_agreed(tmp_path: Path) -> None:
    """Killed while it writes, the file has exactly the models before its position, and opens."""
    path = tmp_path / "models.db"
    for _ in range(4):
        writing = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-c", _ENDLESS, path], stdout=subprocess.PIPE
        )
        assert writing.stdout is not None
        said = [int(writing.stdout.readline()) for _ in range(5)]
        writing.send_signal(signal.SIGKILL)
        writing.stdout.close()
        writing.wait()
        shelf = opened(path)
        (at, _) = shelf.models_at
        assert at >= said[-1]
        assert set(shelf.held_ids("group")) == set(range(at))
        shelf.close()


def test_a_foreign_file_stays_as_it_is(tmp_path: Path) -> None:
    """A database of somebody else, or no database, is refused and not touched."""
    theirs = tmp_path / "theirs.db"
    sql = sqlite3.connect(theirs)
    sql.execute("CREATE TABLE precious (thing)")
    sql.close()
    text = tmp_path / "text.db"
    text.write_text("no database " * 100)
    for path in (theirs, text):
        before = path.read_bytes()
        with pytest.raises(ShelfError, match="is no file of a reader; give another folder"):
            opened(path)
        assert path.read_bytes() == before


def test_a_shelf_belongs_to_its_topic(tmp_path: Path) -> None:
    """Models of another topic, or of another number of partitions, are refused by name."""
    opened(tmp_path / "models.db").close()
    for topic, partitions in (("else.models", 2), (TOPIC, 3)):
        with pytest.raises(ShelfError, match=f"models of {TOPIC} with 2 .*not.* {topic}"):
            opened(tmp_path / "models.db", topic, partitions)


def test_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    """The sentence says what is wrong with the place."""
    with pytest.raises(ShelfError, match="its folder must be there"):
        opened(tmp_path / "nowhere" / "models.db")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    """The sentence says that nothing is lost with it."""
    path = tmp_path / "models.db"
    shelf = opened(path)
    fill(shelf, 500)
    shelf.close()
    content = bytearray(path.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    path.write_bytes(content)
    with pytest.raises(ShelfError, match="is damaged; delete it"):
        opened(path)


def test_a_closed_shelf_says_so(tmp_path: Path) -> None:
    """Whoever keeps a revision longer than its reader gets an error of ours."""
    shelf = opened(tmp_path / "models.db")
    shelf.close()
    with pytest.raises(ShelfError, match="closed"):
        shelf.value("group", 1, "id")
