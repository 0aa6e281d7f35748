"""Options are made from the settings."""

from __future__ import annotations

from collections import Counter

import click

from stream.commands.options import SECTIONS
from stream.commands.run import command as run
from stream.settings import Settings


def test_every_setting_has_its_section() -> None:
    """Each setting stands under one heading, but the password and rules, which are no options."""
    named = Counter(name for names in SECTIONS.values() for name in names)
    assert set(named) == set(Settings.model_fields) - {"sasl_password", "policies"}
    assert set(named.values()) == {1}


def test_every_option_has_words_and_a_unit() -> None:
    """Each option of the service says what it is, and what its value stands for."""
    options = [one for one in run.params if isinstance(one, click.Option)]
    assert all(one.help for one in options)
    assert all(one.metavar for one in options if not one.is_flag)
