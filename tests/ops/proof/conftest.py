"""What the quick forms of the rows run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.broker.broker import Cluster
from ops.proof.row import Context


@pytest.fixture
def context(tmp_path: Path, cluster: Cluster) -> Context:
    """Scratch, and the session's broker."""
    return Context(tmp_path, cluster.bootstrap, broker=cluster)
