"""The simulation of owners over a log: that it holds, and that it finds what is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.groups import Event, Group, Outcome, Partition, Policy, Transition, Withdrawn, apply, step
from ops.proof.simulation import Failure, failure, main, schedule, simulate
from ops.proof.simulation_log import Log
from ops.proof.simulation_steps import POLICIES, Step

_KINDS = (
    "a stale owner's commit was refused",
    "a commit's outcome was unknown: lost",
    "a commit's outcome was unknown: unknown",
    "compacted",
    "crashed",
    "forgotten",
    "frozen as incomplete",
    "frozen as retraction",
    "frozen by sealed",
    "kept the pinned reference",
    "left the pinned reference",
    "outcome refused",
    "outcome reopened",
    "published after a lag",
    "published with others in line",
    "rebalanced",
    "said again",
    "said poison",
    "sent failed, given up",
    "sent failed, unreadable",
    "sent not again",
    "sent withdrawn",
    "stamped too early",
    "ticked",
    "ticked too early",
)


def test_owners_that_crash_and_lose_their_partitions_tell_what_the_log_says() -> None:
    """Through crashes, fences, lost answers and rebalances all that is held and written is true."""
    told = simulate(15_000, seed=21)
    assert told.failure is None, str(told.failure)
    assert told.steps == 15_000
    assert [kind for kind in _KINDS if not told.counts[kind]] == []


def _loses_withdrawals(group: Group, event: Event, policy: Policy) -> Transition:
    if isinstance(event, Withdrawn):
        return Transition(Outcome.DUPLICATE)
    return step(group, event, policy)


def _keeps_released(group: Group, put: Transition) -> None:
    apply(group, Transition(put.outcome, header=put.header, members=put.members, frozen=put.frozen))


def _never_fences(self: Log, partition: int) -> int:
    return self.shelves[partition].epoch


_BUGS: dict[str, tuple[Any, str, Callable[..., object]]] = {
    "lost event": ("core.groups.partition", "step", _loses_withdrawals),
    "fold without release": ("core.groups.partition", "apply", _keeps_released),
    "reopening by memory": ("core.groups.intake", "is_over", lambda header, *_: header.forgotten),
    "clock not read back": (Partition, "load_clock", lambda *_: None),
    "no fence": (Log, "fence", _never_fences),
}


@pytest.mark.parametrize("bug", _BUGS)
def test_planted_bug_is_found_and_made_small(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is broken on purpose is found, by a few steps that hold once it is whole again."""
    place, name, broken = _BUGS[bug]
    target = place if isinstance(place, type) else __import__(place, fromlist=[name])
    with monkeypatch.context() as planted:
        planted.setattr(target, name, broken)
        found = simulate(20_000, seed=5).failure
        assert found is not None
        assert found.why == failure(found.policy, found.steps)
    assert len(found.steps) <= 8
    assert failure(found.policy, found.steps) is None


def test_failure_is_written_so_that_it_can_be_pasted() -> None:
    """What is printed of a schedule, run as a program, is the same schedule."""
    policy, steps = schedule(3, episode=1, steps=20)
    text = str(Failure(policy, steps, "why"))
    told: list[tuple[Policy, list[Step]]] = []
    words = {"POLICIES": POLICIES, "Step": Step, "replay": lambda *given: told.append(given)}
    exec(text.split("\n", 1)[1], words)  # noqa: S102 - it is our own text, and that it runs is the law
    assert told == [(POLICIES[policy], list(steps))]


def test_schedule_is_drawn_from_its_numbers() -> None:
    """The same seed and episode give the same steps, others give others."""
    assert schedule(1, episode=2) == schedule(1, episode=2)
    assert schedule(1, episode=2) != schedule(1, episode=3)
    assert schedule(1, episode=2) != schedule(2, episode=2)


def test_command_says_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints its seed, its speed and what happened; it fails if something broke."""
    assert main(["--steps", "300", "--seed", "8"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("seed 8: 300 steps in ")
    assert "said arrived" in told
    assert told.endswith("all held\n")


def test_command_prints_what_broke(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A violation is printed with its seed and its smallest schedule, and the command fails."""
    monkeypatch.setattr("core.groups.partition.step", _loses_withdrawals)
    assert main(["--steps", "2000", "--seed", "8"]) == 1
    assert "seed 8, episode 0 breaks\n" in (told := capsys.readouterr().out)
    assert 'Step(kind="withdrawn"' in told
