"""The audit as one call."""

from __future__ import annotations

import asyncio
from typing import Final

from stream.audit.case import gather
from stream.audit.judging import Judge
from stream.audit.reading import Reading
from stream.audit.report import Findings, Report
from stream.audit.spool import Spool
from stream.audit.terms import Terms
from stream.log.seam import ReaderLog

__all__ = ["audit"]

_BREATH: Final = 100


async def audit(log: ReaderLog, terms: Terms) -> Report:
    """Audit a log.

    What could come of a transaction whose end is late in some topic, as it is while brokers are in
    trouble, is looked for a second time, and only what is found then is told.

    Parameters
    ----------
    log : ReaderLog
        Started.
    terms : Terms
        `Terms.of` the settings of its service.

    Raises
    ------
    LogError
        The log is refused or stayed away, or there is no room for the temporary file.
    """
    report = await _audit(log, terms)
    if report.maybe_late and not terms.gapless:
        await asyncio.sleep(terms.again_s)
        report = await _audit(log, terms)
    return report


async def _audit(log: ReaderLog, terms: Terms) -> Report:
    findings = Findings(terms.most)
    with Spool(terms.memory_bytes) as spool:
        reading = Reading(log, terms, spool, findings)
        await reading.read()
        judge = Judge(reading.lines, terms, findings)
        for number, (key, rows) in enumerate(spool.groups()):
            judge.judge(await gather(key, rows, reading.lines, terms))
            if number % _BREATH == 0:
                await asyncio.sleep(0)
    return findings.report(reading.horizon())
