"""Row 18: the former release, this one, and back."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from ops.proof.fleet import STARTED, Fleet
from ops.proof.judge import Progress, judge
from ops.proof.load import Load, Said, records, wanted
from ops.proof.processes import ProofError
from ops.proof.row import Context, Row, RowResult, Terms

__all__ = ["ROW", "former_release"]

_PARTITIONS: Final = 4
_GROUPS: Final = 50
_MEMBERS: Final = 8
_PATIENCE_S: Final = 900.0
_OLD_FORMAT: Final = "1"
_OPTIONS: Final = ("--update-quiet-s", "1", "--update-max-s", "3", "--session-timeout-s", "6")
_COPIES: Final = ("one", "two")
_ROOT: Final = Path(__file__).resolve().parents[3]


def former_release(folder: Path) -> Path:
    """Unpack the last tree that knew no other format of the state than the first.

    Raises
    ------
    ProofError
        The history is not at hand.
    """
    words = ["log", "-S", "state_format:", "--format=%H", "--reverse", "--", "stream/settings.py"]
    first = _git(*words).decode().split()
    if not first:
        raise ProofError("git has no tree from before there were two formats of the state")
    archive = _git("archive", f"{first[0]}^")
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")
    return folder


def _git(*words: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            ["/usr/bin/env", "git", *words], capture_output=True, check=True, cwd=_ROOT
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ProofError(f"git cannot show the former release: {error}") from error
    return done.stdout


def run(terms: Terms, context: Context) -> RowResult:
    """Replace two copies one after the other, there and back, and there for good."""
    old = former_release(context.folder / "old")
    with (
        context.kafka(_PARTITIONS, *_OPTIONS) as place,
        Fleet(place, context.folder) as fleet,
    ):
        way = _Way(terms, context, fleet)
        for _ in range(terms.rounds):
            way.replace(old)
            way.replace(None, "--state-format", _OLD_FORMAT)
        way.replace(old)
        way.replace(None, "--state-format", _OLD_FORMAT)
        way.replace(None, "--state-format", "2")
        violations = [*judge(place).violations, *fleet.complaints()]
        fleet.stop("one")
        late = fleet.start("one", None, tree=old)
        late.until_it_says_or_ends("partition restored", _PATIENCE_S)
        if late.alive or late.process.returncode != 2:  # noqa: PLR2004 - refused
            violations.append(f"the former release did not refuse the state: {late.text()[-500:]}")
        fleet.copies["one"].kept_up = False
    figures = {"updates and roll-backs": way.changes, "groups": way.load.groups * way.changes}
    return RowResult(figures, tuple(violations))


class _Way:
    """A fleet on its way from release to release, with work all the time."""

    def __init__(self, terms: Terms, context: Context, fleet: Fleet) -> None:
        self.load = Load(context.warps, terms.load(_GROUPS, 4), _MEMBERS, terms.seed)
        self.changes = 0
        self._terms, self._context, self._fleet = terms, context, fleet
        self._said: list[Said] = []

    def replace(self, tree: Path | None, *options: str) -> None:
        """Announce anew, and replace one copy after the other while they work."""
        self.changes += 1
        place = self._fleet.place
        self.load.campaign = f"change{self.changes}"
        new = self.load.troubled()
        place.publish(records(new, place.topics, _PARTITIONS))
        self._said += new
        for name in _COPIES:
            if name in self._fleet.copies and self._fleet[name].alive:
                self._fleet.stop(name)
            self._fleet.start(name, None, *options, tree=tree).until_it_says(STARTED, 600)
        due = wanted((one.message, one.time_us) for one in self._said)
        self._fleet.until(Progress(place, due).done, _PATIENCE_S, 0.5)
        self._context.say(f"change {self.changes}")


ROW: Final = Row(
    number=18,
    title="rolling update and back",
    hold="the former release and this one take turns, copy by copy, before state_format is "
    "raised: no violation; after it the former one refuses the state",
    rounds=3,
    counted="times there and back",
    run=run,
)
