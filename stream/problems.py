"""What is wrong with settings, as an operator is told it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Problem", "SettingsError"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why settings are refused.

    Attributes
    ----------
    settings : tuple of str
        The settings at fault, as the operator wrote them (``job_timeout_s``, ``match.bin_size``).
    sentence : str
        What is wrong.
    remedy : str
        What would be right.
    origins : tuple of str
        Where each of them was given, in the order of `settings`; empty if nobody said.
    """

    settings: tuple[str, ...]
    sentence: str
    remedy: str
    origins: tuple[str, ...] = ()

    def __str__(self) -> str:
        places = self.origins or ("",) * len(self.settings)
        named = [
            f"{name} ({place})" if place else name
            for name, place in zip(self.settings, places, strict=True)
        ]
        return f"{', '.join(named)}: {self.sentence}; {self.remedy}"


class SettingsError(Exception):
    """Settings that cannot be: exit code 2, before anything starts.

    Parameters
    ----------
    problems : tuple of Problem
        Every one that was found, so that they can be mended in one go.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))
