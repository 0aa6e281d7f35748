"""Matches as tests compare them: to the bit, or by the kind of their error."""

from __future__ import annotations

from typing import Any

import numpy as np

from core import CoreError, Match, MatchConfig, match_background
from tests.core.exposures import Pair

__all__ = ["Outcome", "assert_same", "config_with", "figures", "matched"]

Outcome = Match | type[CoreError]


def config_with(**values: Any) -> MatchConfig:
    """Return settings, choices as strings."""
    return MatchConfig.from_mapping(values)


def matched(pair: Pair, config: MatchConfig) -> Outcome:
    """Return the match, or the kind of error that it ended in."""
    try:
        return match_background(*pair, config)
    except CoreError as error:
        return type(error)


def figures(match: Match) -> list[float]:
    """Return the three figures of a match."""
    return [match.fit_rms, match.matched_mse, match.diff_im_var]


def assert_same(ours: Outcome, theirs: Outcome) -> None:
    """Require the same bits, or the same kind of error."""
    if isinstance(ours, Match) and isinstance(theirs, Match):
        assert ours.model == theirs.model
        np.testing.assert_equal(figures(ours), figures(theirs))
    else:
        assert ours == theirs
