"""What the embedded log promises beyond the seam: kills, locks, files that are not ours."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.log.embedded import EmbeddedOwner, EmbeddedPublisher, EmbeddedReader, create_topics
from stream.log.seam import LogRefusedError, LogUnavailableError, Outgoing
from stream.log.sqlite import FORMAT, LogFile, OwnerLock, translated
from stream.log.topics import Topics
from tests.stream.log.benches import (
    PARTITIONS,
    EmbeddedBench,
    activate,
    assignment,
    collect,
    everything,
    values,
)

ROOT = Path(__file__).resolve().parents[3]

_IN_MID_TRANSACTION = """
import sys, time
from pathlib import Path
from stream.log.seam import Outgoing
from stream.log.sqlite import LogFile, OwnerLock
path = Path(sys.argv[1])
lock = OwnerLock(path)
log = LogFile(path)
log.claim()
with log.transaction():
    log.append([Outgoing("evensky.state", 0, b"whole", b"v")])
with log.transaction():
    log.append([Outgoing("evensky.state", 0, b"%d" % n, b"x" * 500) for n in range(5000)])
    log.commit_position("evensky.warps", 0, 7)
    print("in mid-transaction", flush=True)
    time.sleep(60)
"""

_PUBLISHING = """
import asyncio, sys
from pathlib import Path
from stream.log.embedded import EmbeddedPublisher
from stream.log.seam import Outgoing
from stream.log.topics import Topics
async def main():
    publisher = EmbeddedPublisher(Path(sys.argv[1]), Topics())
    await publisher.start()
    for number in range(int(sys.argv[2])):
        await publisher.publish([Outgoing("evensky.warps", 0, b"k", b"%d" % number)])
        print(number, flush=True)
    await publisher.close()
asyncio.run(main())
"""


def _python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own words


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    yield from process.stdout


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _damage(path: Path) -> None:
    """Write noise over a third of the file, behind the pages that are read first."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 3)
        file.write(b"\xa5" * (size // 3))


async def test_a_kill_in_mid_transaction_leaves_nothing_of_it(embedded: EmbeddedBench) -> None:
    """SIGKILL between the writes and the commit: earlier commits stay, this one never was."""
    other = _python(_IN_MID_TRANSACTION, embedded.path)
    assert "in mid-transaction" in next(_lines(other))
    with pytest.raises(LogRefusedError, match=rf"process {other.pid}\).*night.db.owner"):
        await embedded.owner().start()
    _kill(other)
    owner = await embedded.started_owner()
    await assignment(owner)
    await owner.take(0)
    assert [record.key async for record in owner.changelog(0)] == [b"whole"]
    assert await embedded.committed(0) is None


async def test_a_killed_publisher_keeps_what_was_acknowledged(embedded: EmbeddedBench) -> None:
    """Whatever a publisher was told is durable is there after its SIGKILL, in order."""
    other = _python(_PUBLISHING, embedded.path, 100_000)
    lines = _lines(other)
    told = [int(next(lines)) for _ in range(50)][-1]
    _kill(other)
    reader = await embedded.started_reader()
    found = values(await everything(reader, embedded.topics.warps))
    assert len(found) > told
    assert found == [b"%d" % number for number in range(len(found))]


async def test_other_processes_publish_while_the_service_runs(embedded: EmbeddedBench) -> None:
    """Two processes and the owner write at once; nothing is lost and nothing waits for long."""
    owner = await embedded.started_owner()
    await assignment(owner)
    await activate(owner, 0)
    others = [_python(_PUBLISHING, embedded.path, 100) for _ in range(2)]
    for number in range(50):
        await owner.transact(0, [embedded.state(b"k", b"%d" % number)])
    found = values(await collect(owner, 200))
    for other in others:
        assert other.wait() == 0
        _kill(other)
    assert sorted(found) == sorted([b"%d" % number for number in range(100)] * 2)  # type: ignore[type-var]  # no value is a tombstone here


async def test_one_service_owns_a_file(embedded: EmbeddedBench) -> None:
    """A second owner is refused while the first has not closed, and not afterwards."""
    owner = await embedded.started_owner()
    second = embedded.owner()
    with pytest.raises(LogRefusedError, match="is owned by another service"):
        await second.start()
    await second.close()
    await owner.close()
    await second.start()
    await second.close()


async def test_an_owner_past_the_lock_is_refused(embedded: EmbeddedBench) -> None:
    """Should somebody remove the lock's file, the later claim wins and the earlier one stops."""
    owner = await embedded.started_owner()
    await assignment(owner)
    await activate(owner, 0)
    embedded.path.with_name("night.db.owner").unlink()
    await embedded.started_owner()
    with pytest.raises(LogRefusedError, match="past our lock"):
        await owner.transact(0, [embedded.state(b"k", b"v")])
    with pytest.raises(LogRefusedError, match="past our lock"):
        await owner.take(1)


async def test_the_partition_count_is_fixed_at_creation(tmp_path: Path) -> None:
    """A file keeps its number of partitions, whoever opens it with another; it says so."""
    path = tmp_path / "night.db"
    await create_topics(path, Topics().specs(5))
    for log in (EmbeddedOwner(path, Topics(), 8), EmbeddedPublisher(path, Topics(), 3)):
        await log.start()
        assert log.partitions == 5
        await log.close()
    with pytest.raises(LogRefusedError, match="another number of partitions"):
        await create_topics(path, Topics().specs(6))


async def test_a_publisher_makes_the_file(tmp_path: Path) -> None:
    """Announcing before the first start of the service loses nothing."""
    path = tmp_path / "night.db"
    publisher = EmbeddedPublisher(path, Topics(), 4)
    await publisher.start()
    await publisher.publish([Outgoing("evensky.warps", 3, b"k", b"v")])
    await publisher.close()
    owner = EmbeddedOwner(path, Topics())
    await owner.start()
    assert await assignment(owner) == frozenset(range(4))
    await activate(owner, 3)
    assert values(await collect(owner, 1, partition=3)) == [b"v"]
    await owner.close()


async def test_two_processes_may_make_the_file_at_once(tmp_path: Path) -> None:
    """Whoever is first makes it; the others find it made."""
    path = tmp_path / "night.db"
    await asyncio.gather(*(create_topics(path, Topics().specs(4)) for _ in range(8)))
    with LogFile(path) as log:
        assert set(log.topics().values()) == {4}


async def test_stamps_stand_still_while_the_clock_runs_backwards(tmp_path: Path) -> None:
    """A clock set back, or another process with a slower one, never takes the log's time back."""
    path = tmp_path / "night.db"
    ticking = iter([5000, 3000, 7000])
    fast = EmbeddedPublisher(path, Topics(), 1, clock=lambda: next(ticking))
    slow = EmbeddedPublisher(path, Topics(), 1, clock=lambda: 10)
    reader = EmbeddedReader(path)
    await fast.start()
    await slow.start()
    await reader.start()
    for publisher in (fast, fast, slow, fast):
        await publisher.publish([Outgoing("evensky.warps", 0, b"k", b"v")])
    found = await everything(reader, "evensky.warps")
    assert [record.timestamp for record in found] == [5000, 5000, 5000, 7000]
    for log in (fast, slow, reader):
        await log.close()


async def test_a_poll_is_bounded_in_bytes(embedded: EmbeddedBench) -> None:
    """A poll stops behind the record that reaches the bound, and brings at least one."""
    owner = EmbeddedOwner(embedded.path, embedded.topics, max_poll_bytes=2500)
    embedded.opened.append(owner)
    await owner.start()
    publisher = await embedded.started_publisher()
    big = [Outgoing(embedded.topics.warps, p, None, b"x" * 1000) for p in (0, 1) for _ in range(4)]
    await publisher.publish(big)
    await assignment(owner)
    await activate(owner, 0, 1)
    sizes = [sum(map(len, (await owner.poll(100, 0.1)).records.values())) for _ in range(4)]
    assert sizes == [3, 3, 2, 0]


async def test_readers_see_a_transaction_whole_or_not_at_all(embedded: EmbeddedBench) -> None:
    """While an owner commits models and their summary, no reader ever sees one without all."""
    owner = await embedded.started_owner()
    reader = await embedded.started_reader()
    await assignment(owner)
    await activate(owner, 0)
    topics = embedded.topics

    async def write() -> None:
        for number in range(30):
            models = [Outgoing(topics.models, 0, b"%d" % number, b"m") for _ in range(20)]
            await owner.transact(0, [*models, Outgoing(topics.groups, 0, b"g", b"s")])

    writing = asyncio.create_task(write())
    while not writing.done():
        found = await everything(reader, topics.models, topics.groups)
        summaries = sum(record.topic == topics.groups for record in found)
        assert len(found) == 21 * summaries
    await writing


async def test_files_that_are_not_ours_are_refused_and_left_alone(tmp_path: Path) -> None:
    """Another program's file is refused with its name, and not a byte of it changes."""
    text = tmp_path / "notes.txt"
    text.write_bytes(b"not a database, and long enough to be read as one" * 100)
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as sql:
        sql.execute("CREATE TABLE theirs (x)")
    sql.close()
    for path in (text, foreign):
        before = path.read_bytes()
        owner = EmbeddedOwner(path, Topics())
        with pytest.raises(LogRefusedError, match=rf"{path.name} is not a log of evensky"):
            await owner.start()
        assert path.read_bytes() == before


async def test_a_damaged_file_is_refused(embedded: EmbeddedBench) -> None:
    """Pages overwritten with noise are refused as damage when they are read, not passed on."""
    publisher = await embedded.started_publisher()
    await publisher.publish([embedded.warp(number) for number in range(5000)])
    await publisher.close()
    _damage(embedded.path)
    reader = await embedded.started_reader()
    with pytest.raises(LogRefusedError, match="is damaged"):
        await everything(reader, embedded.topics.warps)


async def test_a_newer_format_is_refused(embedded: EmbeddedBench) -> None:
    """A file written by a later version is refused, and both formats are named."""
    with sqlite3.connect(embedded.path) as sql:
        sql.execute(f"PRAGMA user_version = {FORMAT + 1}")
    sql.close()
    for log in (embedded.owner(), embedded.publisher(), embedded.reader()):
        with pytest.raises(LogRefusedError, match=f"format {FORMAT + 1}.* up to {FORMAT}"):
            await log.start()


async def test_a_file_that_is_not_there_is_refused_to_a_reader(tmp_path: Path) -> None:
    """A reader makes no file; it says what would."""
    reader = EmbeddedReader(tmp_path / "night.db")
    with pytest.raises(LogRefusedError, match=r"night.db is not there: start `evensky run"):
        await reader.start()
    assert not (tmp_path / "night.db").exists()


async def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """An owner makes no folders, since that would hide a typing error."""
    owner = EmbeddedOwner(tmp_path / "nowhere" / "night.db", Topics())
    with pytest.raises(LogRefusedError, match="its folder must be there"):
        await owner.start()


def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    """SQLite's refusal to write becomes ours, with the remedy."""
    path = tmp_path / "night.db"
    LogFile(path, 1).close()
    sql = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    with pytest.raises(LogRefusedError, match="change its permissions"), translated(path):
        sql.execute("PRAGMA user_version = 1")
    sql.close()


def test_a_locked_file_is_unavailable_not_refused(tmp_path: Path) -> None:
    """What may pass, such as a lock held too long, ends with 'try again' and not with 'never'."""
    path = tmp_path / "night.db"
    LogFile(path, 1).close()
    holder = sqlite3.connect(path, isolation_level=None)
    waiter = sqlite3.connect(path, isolation_level=None, timeout=0.05)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LogUnavailableError, match="locked"), translated(path):
        waiter.execute("BEGIN IMMEDIATE")
    holder.close()
    waiter.close()


def test_a_full_disk_undoes_the_transaction(tmp_path: Path) -> None:
    """When space runs out nothing of the transaction stays, and the file is usable."""
    path = tmp_path / "night.db"
    with LogFile(path, 1) as log:
        log.ensure_topics(["t"])
        log._sql.execute("PRAGMA max_page_count = 30")  # noqa: SLF001 - the only small disk at hand
        with pytest.raises(LogUnavailableError, match="full"), log.transaction():
            log.append([Outgoing("t", 0, None, b"x" * 1000) for _ in range(200)])
        assert log.bounds("t", 0) == (0, 0)
        with log.transaction():
            log.append([Outgoing("t", 0, None, b"small")])
        assert log.bounds("t", 0) == (0, 1)


def test_the_lock_is_not_inherited(tmp_path: Path) -> None:
    """A worker that outlives a killed service does not keep the next one out."""
    code = (
        "import os, sys, time; from pathlib import Path; from stream.log.sqlite import OwnerLock\n"
        "lock = OwnerLock(Path(sys.argv[1]))\n"
        "child = os.fork()\n"
        "if child == 0: time.sleep(30); os._exit(0)\n"
        "print(child, flush=True); time.sleep(60)"
    )
    path = tmp_path / "night.db"
    other = _python(code, path)
    worker = int(next(_lines(other)))
    with pytest.raises(LogRefusedError):
        OwnerLock(path)
    other.kill()
    other.wait()
    OwnerLock(path).release()
    os.kill(worker, signal.SIGTERM)
    _kill(other)


def test_durability_is_asked_for(tmp_path: Path) -> None:
    """Each commit is handed to the disk: WAL with synchronous=FULL."""
    with LogFile(tmp_path / "night.db", 1) as log:
        sql = log._sql  # noqa: SLF001 - the pragmas belong to the connection
        assert sql.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert sql.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_partitions_take_turns(embedded: EmbeddedBench) -> None:
    """A partition that is always full does not keep the others waiting."""
    owner = await embedded.started_owner()
    publisher = await embedded.started_publisher()
    await publisher.publish([embedded.warp(n, p) for p in range(PARTITIONS) for n in range(50)])
    await assignment(owner)
    await activate(owner, *range(PARTITIONS))
    polls = [await owner.poll(10, 0.1) for _ in range(PARTITIONS)]
    assert {partition for poll in polls for partition in poll.records} == set(range(PARTITIONS))


class _Overtaken(LogFile):
    """A connection that another one overtakes after its first look at the file."""

    def _one(self, query: str, *values: object) -> int:
        seen = super()._one(query, *values)
        if not self.path.with_suffix(".made").exists():
            self.path.with_suffix(".made").touch()
            LogFile(self.path, 3).close()
        return seen


def test_a_log_that_is_being_made_is_not_foreign(tmp_path: Path) -> None:
    """Whoever comes while another makes the file finds a log, and never a stranger's file."""
    with _Overtaken(tmp_path / "log.db", 3) as file:
        assert file.partitions == 3


def _fold(file: LogFile, topic: str) -> dict[bytes | None, bytes]:
    """Return the last value of each key, as a restore does."""
    found: dict[bytes | None, bytes] = {}
    for record in file.fetch(topic, 0, 0, max_records=1000, max_bytes=1 << 30):
        if record.value is None:
            found.pop(record.key, None)
        else:
            found[record.key] = record.value
    return found


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.binary(max_size=2)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_compaction_keeps_what_a_restore_sees(writes: list[tuple[str, bytes | None]]) -> None:
    """After compaction the fold is the same, nothing is there twice, and no offset comes again."""
    with TemporaryDirectory() as folder, LogFile(Path(folder) / "log.db", 1) as file:
        file.ensure_topics(["state", "other"])
        for key, value in writes:
            with file.transaction():
                file.append([Outgoing("state", 0, key.encode(), value)])
                file.append([Outgoing("other", 0, key.encode(), value)])
        before, end, last = _fold(file, "state"), file.bounds("state", 0)[1], file.last_place()
        file.compact("state")
        kept = file.fetch("state", 0, 0, max_records=1000, max_bytes=1 << 30)
        assert _fold(file, "state") == before
        assert len([one for one in kept if one.value is not None]) == len(before)
        assert (file.bounds("state", 0)[1], file.last_place()) == (end, last)
        assert len(file.fetch("other", 0, 0, max_records=99, max_bytes=1 << 30)) == len(writes)


def test_the_newest_record_stays(tmp_path: Path) -> None:
    """A tombstone that is the last record of all is kept, so that its place is not given again."""
    with LogFile(tmp_path / "log.db", 1) as file:
        file.ensure_topics(["state"])
        for value in (b"1", b"2", None):
            with file.transaction():
                file.append([Outgoing("state", 0, b"k", value)])
        assert file.compact("state") == 2
        place = file.last_place()
        with file.transaction():
            file.append([Outgoing("state", 0, b"k", b"3")])
        assert file.last_place() > place
        assert [one.offset for one in file.fetch("state", 0, 0, max_records=9, max_bytes=99)] == [
            2,
            3,
        ]
