"""Help texts in sections, so that a long list of options can be read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import click

__all__ = ["IDENTITY", "SURVEY", "SectionedCommand", "SectionedOption", "option"]

F = TypeVar("F", bound=Callable[..., Any])

IDENTITY: Final = "Who the warps are (goes before their headers)"
SURVEY: Final = "What is simulated"
_REST: Final = "Options"


class SectionedOption(click.Option):
    """An option that stands in a section of the help.

    Parameters
    ----------
    section : str
        Heading of the section.
    """

    def __init__(self, *args: Any, section: str = _REST, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose own options come first in its help, and then section by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings."""
        sections: dict[str, list[tuple[str, str]]] = {_REST: []}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "section", _REST), []).append(row)
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def option(section: str, *names: str, **attributes: Any) -> Callable[[F], F]:
    """Return a decorator as `click.option` does, for an option in a section."""
    return click.option(*names, cls=partial(SectionedOption, section=section), **attributes)  # type: ignore[arg-type]  # click calls it, and asks no more of it
