"""Types are learnt by one thread at a time: msgspec crashes the process otherwise."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

_PROGRAM = dedent(
    """
    import sys
    import threading
    from msgspec import defstruct
    import schemas

    sys.setswitchinterval(1e-6)
    THREADS = 8


    def all_at_once(work):
        gate = threading.Barrier(THREADS)
        threads = [threading.Thread(target=lambda: (gate.wait(), work())) for _ in range(THREADS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()


    for number in range(40):
        inner = defstruct(f"Inner{number}", [("a", int), ("b", float), ("c", tuple[float, ...])])
        outer = defstruct(f"Outer{number}", [("x", inner), ("y", inner | None), ("z", str)])
        value = outer(inner(1, 2.0, (1.0, 2.0)), None, "z")
        data = schemas.pack_state(value)
        found = []
        all_at_once(lambda: found.append(schemas.unpack_state(data, outer)))
        assert found == [value] * THREADS, found
    """
)


def test_a_type_that_many_threads_meet_at_once_is_learnt_whole() -> None:
    """Threads that decode a new type in the same moment all get the value, and nobody dies."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
