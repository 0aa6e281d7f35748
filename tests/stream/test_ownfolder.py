"""Folders of one process each, below one that they share."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from stream.ownfolder import OwnFolder

KILLED = """
import fcntl, os, signal, sys
from pathlib import Path
from stream.ownfolder import OwnFolder
if sys.argv[2] == "new":
    fcntl.flock = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
(OwnFolder(Path(sys.argv[1])).open() / "file").write_bytes(b"x")
os.kill(os.getpid(), signal.SIGKILL)
"""


def _opened(above: Path) -> OwnFolder:
    folder = OwnFolder(above)
    folder.open()
    return folder


@pytest.mark.parametrize("when", ["new", "of"])
def test_what_the_dead_left_is_removed(tmp_path: Path, when: str) -> None:
    """Whenever they died; what lives beside it, and what is not ours, stays."""
    above = tmp_path / "a" / "b"
    living = _opened(above)
    (above / "theirs").mkdir()
    done = subprocess.run([sys.executable, "-c", KILLED, str(above), when], check=False)  # noqa: S603 - our own code
    assert done.returncode == -signal.SIGKILL
    assert [one.name.startswith(when) for one in above.iterdir() if one != living.path].count(True)
    ours = _opened(above)
    assert {one.name for one in above.iterdir()} == {"theirs", living.path.name, ours.path.name}
    ours.close()
    living.close()
    assert [one.name for one in above.iterdir()] == ["theirs"]


def test_closing_again_does_nothing(tmp_path: Path) -> None:
    """Nor does it close a descriptor that is somebody else's by now."""
    one = _opened(tmp_path)
    one.close()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    one.close()
    os.fstat(descriptor)
    os.close(descriptor)


def test_nobody_else_may_look_into_it(tmp_path: Path) -> None:
    """Pixels may be nobody's business but the survey's."""
    one = _opened(tmp_path / "above")
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "above", one.path)] == [0o700] * 2
    one.close()


def test_a_disk_without_locks_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again for each job: neither folders nor descriptors may pile up."""

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = psutil.Process().num_fds()
    for _ in range(3):
        with pytest.raises(OSError, match="no locks"):
            OwnFolder(tmp_path).open()
    assert psutil.Process().num_fds() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lasting", [False, True])
def test_a_folder_that_another_start_takes_for_dead_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, lasting: bool
) -> None:
    """Between its making and its lock it looks like one; for ever it is an error."""
    lock, taken = fcntl.flock, list[Path]()

    def late(descriptor: int, how: int) -> None:
        lock(descriptor, how)
        for one in tmp_path.glob("new-*"):
            if lasting or not taken:
                taken.append(one)
                one.rmdir()

    monkeypatch.setattr(fcntl, "flock", late)
    if lasting:
        with pytest.raises(FileNotFoundError, match="stays there"):
            OwnFolder(tmp_path).open()
        return
    one = _opened(tmp_path)
    assert (len(taken), list(tmp_path.iterdir())) == (1, [one.path])
    one.close()


def test_it_is_made_once(tmp_path: Path) -> None:
    """Threads that open it at the same time get the same one; it is not made before."""
    one = OwnFolder(tmp_path / "above")
    with pytest.raises(RuntimeError, match="not open"):
        _ = one.path
    assert not (tmp_path / "above").exists()
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: one.open(), range(64)))
    assert found == {one.path}
    assert list((tmp_path / "above").iterdir()) == [one.path]
    one.close()


def test_what_was_closed_is_not_made_again(tmp_path: Path) -> None:
    """A thread that comes late would leave a folder that nobody removes."""
    one = OwnFolder(tmp_path / "above")
    one.close()
    with pytest.raises(FileNotFoundError, match="was closed"):
        one.open()
    assert not (tmp_path / "above").exists()
