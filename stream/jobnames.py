"""The names of jobs: the same name, the same result, in any process and after any crash."""

from __future__ import annotations

from collections.abc import Sequence

import core
import schemas

__all__ = ["JobNames"]


class JobNames:
    """Names the jobs of one configuration.

    Parameters
    ----------
    config : MatchConfig
        How backgrounds are matched.
    numerics_version : str, optional
        Of the arithmetic; this version's, unless given.
    """

    def __init__(
        self, config: core.MatchConfig, numerics_version: str = core.NUMERICS_VERSION
    ) -> None:
        self._config_digest = schemas.config_digest(config.to_mapping())
        self._numerics_version = numerics_version

    def of(self, arrivals: Sequence[schemas.WarpArrived]) -> str:
        """Name a job by its warps: the reference, if it has one, then the warp itself.

        Parameters
        ----------
        arrivals : sequence of WarpArrived
            One to be measured, or two to be matched. Whose visits they are, and where their files
            lie, is no part of the name.
        """
        *reference, science = map(schemas.arrival_digest, arrivals)
        return schemas.job_id(
            "match" if reference else "measure",
            reference[0] if reference else None,
            science,
            self._config_digest,
            self._numerics_version,
        )
