"""Planes in files: what is laid is mapped bit for bit, what is damaged is never taken for it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import core
from stream.spool.files import DamagedError, lay, mapped
from stream.spool.place import Place, PlaneFiles, laid_bytes

ROOM = 10**7
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))
NAMES = st.text(min_size=1, max_size=20)


@st.composite
def exposures(draw: st.DrawFn) -> core.MaskedImage:
    """Draw any exposure: all bit patterns, NaN with their payloads among them."""
    shape = draw(SHAPES)
    bits = [
        draw(arrays(np.int32, shape, elements=st.integers(-(2**31), 2**31 - 1), fill=st.just(7)))
        for _ in range(3)
    ]
    image, mask, variance = bits[0].view(np.float32), bits[1], bits[2].view(np.float32)
    planes = draw(st.dictionaries(NAMES, st.integers(0, 31), max_size=40))
    origin = draw(st.tuples(st.integers(-(2**31), 2**31), st.integers(-(2**31), 2**31)))
    return core.MaskedImage(image, mask, variance, planes, origin)


def plain(shape: tuple[int, int] = (30, 20), seed: int = 1) -> core.MaskedImage:
    """Return some exposure."""
    random = np.random.default_rng(seed)
    image, variance = (random.normal(size=shape).astype(np.float32) for _ in range(2))
    return core.MaskedImage(image, np.full(shape, 5, np.int32), variance, {"BAD": 0}, (3, -4))


def laid(folder: Path, exposure: core.MaskedImage | None = None) -> Path:
    """Lay an exposure."""
    path = folder / "planes"
    assert lay(Place(str(path), ROOM), exposure or plain())
    return path


@given(exposures())
@settings(deadline=None)
def test_what_is_laid_is_mapped(tmp_path_factory: pytest.TempPathFactory, one: object) -> None:
    """Each bit of each plane, the mask's names and the origin come back; no side is writable."""
    assert isinstance(one, core.MaskedImage)
    found = mapped(str(laid(tmp_path_factory.mktemp("spool"), one)))
    for name in ("image", "mask", "variance"):
        plane = getattr(found, name)
        assert plane.tobytes() == getattr(one, name).tobytes()
        assert plane.flags.aligned
        assert not plane.flags.writeable
    assert (dict(found.planes), found.origin, found.shape) == (
        dict(one.planes),
        one.origin,
        one.shape,
    )


@given(exposures())
@settings(deadline=None)
def test_the_room_that_is_reckoned_with_is_enough(
    tmp_path_factory: pytest.TempPathFactory, one: object
) -> None:
    """A file is no larger than its shape lets expect, whatever its mask planes are called."""
    assert isinstance(one, core.MaskedImage)
    size = laid(tmp_path_factory.mktemp("spool"), one).stat().st_size
    assert size <= laid_bytes(one.shape)


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_a_byte_that_changed_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Wherever a byte that says something is another, the file is damaged."""
    path = laid(tmp_path_factory.mktemp("spool"), plain((5, 7)))
    mapped(str(path))
    content = bytearray(path.read_bytes())
    at = data.draw(st.sampled_from([n for n, byte in enumerate(content) if byte]))
    content[at] ^= data.draw(st.integers(1, 255))
    rewritten(path, bytes(content))
    with pytest.raises(DamagedError):
        mapped(str(path))


@given(st.data())
@settings(deadline=None)
def test_a_file_that_was_cut_off_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """It is an error before a pixel is looked at, never the end of the process."""
    path = laid(tmp_path_factory.mktemp("spool"), plain((5, 7)))
    content = path.read_bytes()
    rewritten(path, content[: data.draw(st.integers(0, len(content) - 4096))])
    with pytest.raises(DamagedError):
        mapped(str(path))


def rewritten(path: Path, content: bytes) -> None:
    """Write a file anew, with a stamp of its own even where the system's clock is coarse."""
    before = path.stat().st_mtime_ns
    while path.stat().st_mtime_ns == before:
        path.write_bytes(content)
        time.sleep(0.001)


def test_what_is_not_there_is_found(tmp_path: Path) -> None:
    """No file, a folder, and a link to one are as good as a damaged one."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(laid(tmp_path))
    for name in ("none", "folder", "link"):
        with pytest.raises(DamagedError):
            mapped(str(tmp_path / name))


def test_a_mapping_outlives_its_file(tmp_path: Path) -> None:
    """Who has mapped planes keeps them, however soon they have to leave the spool."""
    path = laid(tmp_path)
    found = mapped(str(path))
    path.unlink()
    assert found.image.tobytes() == plain().image.tobytes()


def test_room_that_is_too_small_leaves_nothing(tmp_path: Path) -> None:
    """Planes need all of their room."""
    size = laid(tmp_path).stat().st_size
    (tmp_path / "planes").unlink()
    assert not lay(Place(str(tmp_path / "planes"), size - 1), plain())
    assert list(tmp_path.iterdir()) == []
    assert lay(Place(str(tmp_path / "planes"), size), plain())


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """What the system does not take is not laid, and the process lives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
        assert not lay(Place(str(tmp_path / "planes"), ROOM), plain((200, 200)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from stream.spool import files
from stream.spool.place import Place
from tests.stream.spool.test_files import plain
write, left = files._write, [int(sys.argv[2])]
def counted(*args):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    write(*args)
files._write = counted
files.lay(Place(sys.argv[1], 10**7), plain())
"""


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_worker_that_is_killed_leaves_no_planes(tmp_path: Path, writes: int) -> None:
    """After however many of the four writes it is killed, nothing is there for others."""
    files = PlaneFiles(tmp_path / "spool")
    files.open()
    command = [sys.executable, "-c", KILLED, files.path("key"), str(writes)]
    done = subprocess.run(command, check=False)  # noqa: S603 - our own code
    assert done.returncode == -signal.SIGKILL
    assert len(list(Path(files.path("key")).parent.iterdir())) == 1
    assert lay(Place(files.path("key"), ROOM), plain()), "the next try is not kept from laying"
    assert mapped(files.path("key")).image.tobytes() == plain().image.tobytes()
    files.remove("key")
    subprocess.run(command, check=False)  # noqa: S603 - our own code
    assert files.size("key") is None
    assert list(Path(files.path("key")).parent.iterdir()) == []


def test_files_of_the_dead_are_cleared_away(tmp_path: Path) -> None:
    """A start removes what killed processes left, and nothing of those that live."""
    dead = (
        "import os, sys; from pathlib import Path; from stream.spool.place import PlaneFiles;"
        "f = PlaneFiles(Path(sys.argv[1])); f.open();"
        "Path(f.path('x')).write_bytes(b'x'); os._exit(9)"
    )
    command = [sys.executable, "-c", dead, str(tmp_path)]
    subprocess.run(command, check=False)  # noqa: S603 - our own code
    assert len(list(tmp_path.iterdir())) == 1
    living, ours = PlaneFiles(tmp_path), PlaneFiles(tmp_path)
    living.open()
    Path(living.path("x")).write_bytes(b"x")
    ours.open()
    assert living.size("x") == 1
    ours.close()
    assert [one.name for one in tmp_path.iterdir()] == [Path(living.path("x")).parent.name]
    living.close()
    assert list(tmp_path.iterdir()) == []


def test_one_folder_however_often_it_is_opened(tmp_path: Path) -> None:
    """A job that was called off while it opened has left a thread in it, and another may open."""
    files = PlaneFiles(tmp_path)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: files.open(), range(4)))
    assert len(list(tmp_path.iterdir())) == 1
    files.close()
    with pytest.raises(OSError, match="closed"):
        files.open()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("same", [True, False], ids=["same size", "another size"])
def test_a_file_that_is_not_needed_is_written_over(tmp_path: Path, same: bool) -> None:
    """Of the same size it becomes the new one; else there is no room for both, and it goes."""
    old, new = tmp_path / "old", tmp_path / "new"
    assert lay(Place(str(old), ROOM), plain((4, 5) if same else (200, 200)))
    number = old.stat().st_ino
    wanted = plain((4, 5))
    wanted = replace(wanted, image=wanted.image + np.float32(1))
    assert lay(Place(str(new), ROOM, str(old)), wanted)
    found = mapped(str(new))
    np.testing.assert_array_equal(found.image, wanted.image)
    np.testing.assert_array_equal(found.mask, wanted.mask)
    assert new.stat().st_ino == number or not same  # a system gives numbers anew
    assert [one.name for one in tmp_path.iterdir()] == ["new"]


def test_a_file_that_is_gone_already_is_none_to_write_over(tmp_path: Path) -> None:
    """Then a new one is written, as if there had been none."""
    new = tmp_path / "new"
    assert lay(Place(str(new), ROOM, str(tmp_path / "gone")), plain())
    np.testing.assert_array_equal(mapped(str(new)).image, plain().image)
    assert [one.name for one in tmp_path.iterdir()] == ["new"]


def test_what_was_seen_whole_is_looked_at_again_once_it_was_written_over(tmp_path: Path) -> None:
    """A process that trusts a file does not trust what is written into it later."""
    old, new = tmp_path / "old", tmp_path / "new"
    assert lay(Place(str(old), ROOM), plain())
    mapped(str(old))
    time.sleep(0.02)  # the system's clock for files is coarse
    assert lay(Place(str(new), ROOM, str(old)), plain())
    with new.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(b"\x01")
    with pytest.raises(DamagedError, match="as they were written"):
        mapped(str(new))
