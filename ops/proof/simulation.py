"""RELIABILITY row 21: the pure core in simulation; ``python -m ops.proof.simulation``.

A run is cut into episodes, each a fresh world with a schedule of its own, so that a violation is
found again, and made small, from its episode alone.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import count
from typing import Any

from ops.proof.simulation_steps import PARTITIONS, POLICIES, READ_ALL, Step, draw
from ops.proof.simulation_world import replay

__all__ = ["Failure", "Simulation", "failure", "main", "minimised", "schedule", "simulate"]

EPISODE = 500
"""Steps of one world."""

_BROKEN = (AssertionError, LookupError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True)
class Failure:
    """A schedule that breaks something.

    Attributes
    ----------
    policy : str
        Name of its policy.
    steps : tuple of Step
    why : str
    episode : int
    """

    policy: str
    steps: tuple[Step, ...]
    why: str
    episode: int = 0

    def __str__(self) -> str:
        """Write it so that it can be pasted into a test."""
        lines = "".join(f"        {step!r},\n" for step in self.steps)
        return f'{self.why}\nreplay(\n    POLICIES["{self.policy}"],\n    [\n{lines}    ],\n)\n'


@dataclass
class Simulation:
    """What a simulation has shown.

    Attributes
    ----------
    steps : int
        Steps done.
    counts : Counter of str
        What happened, by its name.
    failure : Failure or None
        The first violation, minimised.
    """

    steps: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failure: Failure | None = None


def schedule(seed: int, episode: int, steps: int = EPISODE) -> tuple[str, tuple[Step, ...]]:
    """Draw the policy and the steps of an episode; the same for the same numbers, always."""
    chance = random.Random(f"{seed} {episode}")  # noqa: S311 - a schedule, not a secret
    policy = tuple(POLICIES)[episode % len(POLICIES)]
    return policy, tuple(draw(chance, place) for place in range(steps))


def failure(policy: str, steps: Sequence[Step], counts: Counter[str] | None = None) -> str | None:
    """Run a schedule to its end and tell what breaks, if anything does."""
    try:
        world = replay(POLICIES[policy], steps)
    except _BROKEN as error:
        return f"{type(error).__name__}: {error}"
    if counts is not None:
        counts.update(world.counts)
    return None


def simulate(
    steps: int, seed: int, say: Callable[[Simulation], None] = lambda _: None
) -> Simulation:
    """Run episodes until so many steps are done or something breaks.

    Parameters
    ----------
    steps : int
    seed : int
        All is drawn from it.
    say : callable
        Told after each episode how far it is.
    """
    told = Simulation()
    for episode in count():
        if told.steps >= steps or told.failure is not None:
            return told
        policy, drawn = schedule(seed, episode, min(EPISODE, steps - told.steps))
        if failure(policy, drawn, told.counts) is not None:
            told.failure = replace(minimised(policy, drawn), episode=episode)
        told.steps += len(drawn)
        say(told)
    raise AssertionError


def minimised(policy: str, steps: Sequence[Step]) -> Failure:
    """Make a schedule that breaks as small as it gets, by delta debugging.

    Chunks of steps are left out as long as something still breaks, then each step's numbers, its
    time among them, are put to nothing where they do not matter, and so on until neither helps. The
    same schedule gives the same small one.
    """
    kept, before = tuple(steps), None
    while kept != before:
        before = kept
        kept = _simplified(policy, _shortened(policy, kept))
    return Failure(policy, kept, failure(policy, kept) or "nothing breaks")


def _simplified(policy: str, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    for place in range(len(steps)):
        for change in _simpler(steps[place]):
            simpler = replace(steps[place], **change)
            tried = (*steps[:place], simpler, *steps[place + 1 :])
            if simpler != steps[place] and failure(policy, tried) is not None:
                steps = tried
    return steps


def _simpler(step: Step) -> Iterator[dict[str, Any]]:
    """Put a number to nothing; who reads reads all, however much there is."""
    for one in fields(step)[1:]:
        if (step.kind, one.name) != ("read", "number"):
            yield {one.name: one.default}
            if one.name in {"group", "number"}:
                yield {one.name: getattr(step, one.name) % PARTITIONS}
    if step.kind == "read":
        yield {"number": READ_ALL + step.number % PARTITIONS}


def _shortened(policy: str, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    size = max(1, len(steps) // 2)
    while True:
        shorter = next((s for s in _without(steps, size) if failure(policy, s) is not None), None)
        if shorter is not None:
            steps = shorter
        elif size == 1:
            return steps
        else:
            size //= 2


def _without(steps: tuple[Step, ...], size: int) -> Iterator[tuple[Step, ...]]:
    """Leave out each chunk of a size in turn, the last first; its time passes all the same."""
    for start in range((len(steps) - 1) // size * size, -1, -size):
        gone, rest = steps[start : start + size], steps[start + size :]
        if rest and rest[0].wait >= 0:
            passed = sum(max(0, step.wait) for step in gone)
            rest = (replace(rest[0], wait=rest[0].wait + passed), *rest[1:])
        yield steps[:start] + rest


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate as the command line says; print what happened, or what broke.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command's words; those of this process if not given.

    Returns
    -------
    int
        0 if all held, 1 if not.
    """
    parser = argparse.ArgumentParser(prog="python -m ops.proof.simulation", description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    started = time.perf_counter()
    told = simulate(asked.steps, asked.seed, _progress)
    seconds = time.perf_counter() - started
    _say(f"seed {asked.seed}: {told.steps} steps in {seconds:.1f} s, {told.steps / seconds:.0f}/s")
    for what, number in sorted(told.counts.items()):
        _say(f"{number:10d}  {what}")
    if told.failure is None:
        _say("all held")
        return 0
    _say(f"seed {asked.seed}, episode {told.failure.episode} breaks\n{told.failure}")
    return 1


def _progress(told: Simulation) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{told.steps} steps")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
