"""A simulated night, from warps to models, on the embedded log."""

from __future__ import annotations

from stream.demo.night import Night, play
from stream.demo.report import Report, report

__all__ = ["Night", "Report", "play", "report"]
