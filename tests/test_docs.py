"""The documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from core.groups import diagram
from stream.cli import cli

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "ops/README.md",
    "ops/guide/reading.md",
)


def test_the_diagram_is_the_tables() -> None:
    """The state diagram in ARCHITECTURE.md is drawn from the transition table."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    found = re.search(r"```mermaid\n(.*?)```\n<!-- end of diagram -->", text, re.DOTALL)
    assert found is not None
    assert found.group(1) == diagram()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    """A link to a file of ours leads to one that is there."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / name).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_files_are_there(name: str) -> None:
    """A path of ours that a document names in code style is there."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"`((?:core|schemas|stream|tests|ops)/[\w./-]+)`", text):
        assert (ROOT / target).exists(), target


def test_every_command_is_in_the_readme() -> None:
    """A person who reads the README learns of each command."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in cli.list_commands(click.Context(cli)):
        assert f"evensky {command}" in text, command
