"""The spool sorts rows into groups, however little memory it has."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.audit.facts import Role, Row
from stream.audit.spool import Spool
from stream.log.seam import LogUnavailableError

_ROWS = st.lists(
    st.builds(
        Row,
        group=st.sampled_from([b"", b"a", b"b", b"\xff"]),
        role=st.sampled_from(Role),
        partition=st.integers(0, 2),
        offset=st.integers(0, 5),
        timestamp=st.just(0),
        data=st.binary(max_size=3),
    ),
    max_size=30,
)


def _order(row: Row) -> tuple[bytes, int, int, int, int]:
    """Sort state, then what was published, then input records, each behind its letters."""
    return row.group, min(row.role, Role.LETTER), row.partition, row.offset, row.role


@given(_ROWS)
def test_rows_come_group_by_group(rows: list[Row]) -> None:
    """What was put comes out sorted; equals stay in their order."""
    with Spool(1) as spool:
        for row in rows:
            spool.put(row)
        found = [(key, list(group)) for key, group in spool.groups()]
    assert [row for _, group in found for row in group] == sorted(rows, key=_order)
    assert [key for key, _ in found] == sorted({row.group for row in rows})


def test_the_file_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a spool stays behind."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Spool(1) as spool:
        spool.put(Row(b"a", Role.INPUT, 0, 0, 0, b"data"))
        assert list(spool.groups())
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def _filled(spool: Spool) -> None:
    for offset in range(2000):
        spool.put(Row(b"a", Role.INPUT, 0, offset, 0, 100 * b"data"))


def test_a_full_disk_is_told() -> None:
    """A temporary file that has no room ends the audit with a sentence that names TMPDIR."""
    with Spool(1) as spool:
        spool._sql.execute("PRAGMA max_page_count = 4")  # noqa: SLF001 - a disk that is full soon
        with pytest.raises(LogUnavailableError, match="TMPDIR"):
            _filled(spool)
