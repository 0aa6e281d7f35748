"""How long it takes until a process, and the service's workers, have all machine code in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ops.bench.report import Row, Section

__all__ = ["starts"]

_ROOT = Path(__file__).resolve().parents[2]

_WARM_UP = """
import json, time
began = time.perf_counter()
from core.warm import warm_up
imported = time.perf_counter()
report = warm_up()
took = time.perf_counter() - imported
told = {"imports, s": imported - began, "warm-up, s": took}
print(json.dumps({**told, "compiled": report.compiled, "loaded": report.loaded}))
"""

_POOL = """
import asyncio, json, time
from stream.pool import WorkerPool

async def main():
    pool = WorkerPool(2, 60.0, 1 << 30)
    began = time.perf_counter()
    warmth = await pool.start()
    ready = time.perf_counter() - began
    await pool.close(0)
    told = {"warm-up, s": warmth.seconds, "until ready, s": ready}
    print(json.dumps({**told, "compiled": warmth.compiled, "loaded": warmth.loaded}))

if __name__ == "__main__":
    asyncio.run(main())
"""


def starts() -> Section:
    """Time the warm-up in a new process with no machine code at hand, then with all of it."""
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for name, script in (
            ("a process, for the first time", _WARM_UP),
            ("a process, from the cache", _WARM_UP),
            ("two workers, from the cache", _POOL),
        ):
            rows.append(Row(name, _told(script, cache)))
    notes = ["For the first time: once on a machine; the image brings its machine code along."]
    return Section("Until all machine code is in memory", rows, notes)


def _told(script: str, cache: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        # a file, since workers import the main script again
        path = Path(folder, "script.py")
        path.write_text(script)
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, path],
            env={**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(_ROOT)},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    told: dict[str, Any] = json.loads(done.stdout)
    return told
