"""Proving from a log that nothing was lost or doubled.

An audit reads the input, what was published, and the state, and holds them against each other
(`Law`, `KINDS`): it folds the input anew with the service's own code and the service's settings,
group by group, and compares the state and every revision with what comes of it. What jobs decide
(measurements, what a match says, which members failed) it does not judge; the names of models it
does.

It costs one reading of all six topics, a temporary file of about the size of the input and the
state (twice, while it is sorted), and of one core a tenth of a second per thousand records, models
of tens of kB more. On Kafka a second reading follows where the first shows what may only be late.
Memory is bounded by `memory_bytes` and the largest single group, not by the log. The service is not
disturbed: an audit writes nothing, and joins no consumer group.

What it cannot see: on Kafka, where offsets have gaps for other reasons, an input record that was
taken out before a service read it, or whose event changed nothing, such as a redelivery; a summary
or model that compaction may have taken; and what is older than the horizon that it names.
"""

from stream.audit.auditing import audit
from stream.audit.report import KINDS, Findings, Horizon, Kind, Law, Place, Report, Violation
from stream.audit.terms import Terms

__all__ = [
    "KINDS",
    "Findings",
    "Horizon",
    "Kind",
    "Law",
    "Place",
    "Report",
    "Terms",
    "Violation",
    "audit",
]
