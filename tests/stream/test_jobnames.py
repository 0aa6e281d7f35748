"""A job's name says what is computed, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import core
import schemas
from stream.jobnames import JobNames
from tests.schemas import examples

CONFIG = core.MatchConfig(bin_size=64)


def arrived(checksum: str = "ab", **changes: Any) -> schemas.WarpArrived:
    """Return an arrival of a file with a checksum."""
    return msgspec.structs.replace(examples.arrived(), checksum=checksum * 32, **changes)


@pytest.mark.parametrize(
    "changes", [{"visit": 77}, {"uri": "/elsewhere.fits"}, {"version": 9}, {"patch": 5}]
)
def test_whose_warp_it_is_does_not_matter(changes: dict[str, Any]) -> None:
    """The same file asks for the same job, whatever visit, place or group it is announced as."""
    names = JobNames(CONFIG)
    assert names.of([arrived(**changes)]) == names.of([arrived()])
    pair = names.of([arrived("cd"), arrived(**changes)])
    assert pair == names.of([arrived("cd"), arrived()])


@pytest.mark.parametrize(
    "changes", [{"checksum": "ef"}, {"scale": 1.5}, {"unit": "adu"}, {"sky": "subtracted"}]
)
def test_what_a_warp_puts_in_matters(changes: dict[str, Any]) -> None:
    """Another input of either warp, and the two changed over, are other jobs."""
    names = JobNames(CONFIG)
    other = arrived(**changes)
    first = arrived("cd")
    found = [names.of(one) for one in ([arrived()], [other], [first, arrived()], [first, other])]
    assert len({*found, names.of([other, first]), names.of([arrived(), first])}) == 6


def test_how_it_is_computed_matters() -> None:
    """Another configuration, and another arithmetic, make every name another."""
    ways = JobNames(CONFIG), JobNames(core.MatchConfig(bin_size=32)), JobNames(CONFIG, "next")
    assert len({names.of([arrived()]) for names in ways}) == 3
