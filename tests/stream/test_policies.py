"""Which policy a group follows, and which tables of rules cannot be."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import groups
from stream.configure import explain, load_settings
from stream.machine import Machine
from stream.policies import POLICY_SETTINGS, Policies, PolicyRule
from stream.settings import Settings, SettingsError

RULES = """
quorum = 5
quiet_s = 300

[[policies]]
campaign = "dr1-*"
band = "u"
quorum = 2
quiet_s = "off"
reference_margin = inf

[[policies]]
campaign = "dr1-*"
seal_after_s = 86400
seal_retention_s = 3600

[[policies]]
skymap = "ring[ab]"
min_members = 4
"""


def read(tmp_path: Path, text: str) -> Settings:
    """Return the settings of a file."""
    path = tmp_path / "e.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings({}, file=path, environment={}, machine=Machine(4, 64 * 2**30))


def refusal(tmp_path: Path, text: str) -> str:
    """Return what is said against a file."""
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    return str(caught.value)


def test_the_first_rule_that_takes_a_group_gives_its_values(tmp_path: Path) -> None:
    """What it does not give is as for all others, and the rules behind it do not count."""
    policy_for = read(tmp_path, RULES).policy_for()
    plain = policy_for("live/rings/1/2/r")
    assert (plain.quorum, plain.quiet_ms, plain.reference_margin) == (5, 300_000, 0.2)
    assert (plain.seal_after_ms, plain.seal_retention_ms) == (None, 2_592_000_000)
    blue = policy_for("dr1-a/ringa/1/2/u")
    assert (blue.quorum, blue.quiet_ms, blue.reference_margin) == (2, None, math.inf)
    assert (blue.seal_after_ms, blue.min_members) == (None, 2)
    red = policy_for("dr1-/rings/1/2/r")
    assert (red.quorum, red.quiet_ms) == (5, 300_000)
    assert (red.seal_after_ms, red.seal_retention_ms) == (86_400_000, 3_600_000)
    assert policy_for("live/ringb/0/0/g").min_members == 4
    assert policy_for("live/ringB/0/0/g").min_members == 2


_NAMES = st.sampled_from(["a", "b", "ab"])
_PATTERNS = st.sampled_from(["*", "a", "b", "a*", "?b", "[!a]"])
_RULES = st.builds(PolicyRule, campaign=_PATTERNS, skymap=_PATTERNS, band=_PATTERNS)


@given(st.lists(_RULES, max_size=4), st.lists(st.tuples(_NAMES, _NAMES, _NAMES), max_size=9))
def test_a_plain_look_says_the_same(
    rules: list[PolicyRule], names: list[tuple[str, str, str]]
) -> None:
    """However often a group is asked for, its policy is that of the first rule that fits it."""
    made = [(rule, groups.Policy(quorum=n)) for n, rule in enumerate(rules, 1)]
    policies = Policies(made, groups.Policy(quorum=99))
    for campaign, skymap, band in names + names:
        wanted = 99
        for number in range(len(rules), 0, -1):
            rule = rules[number - 1]
            pairs = ((campaign, rule.campaign), (skymap, rule.skymap), (band, rule.band))
            if all(fnmatchcase(name, pattern) for name, pattern in pairs):
                wanted = number
        assert policies(f"{campaign}/{skymap}/3/4/{band}").quorum == wanted


def test_only_so_many_groups_are_remembered() -> None:
    """Whoever names campaigns at will does not fill the memory."""
    policies = Policies([], groups.Policy())
    for number in range(10_000):
        policies(f"c{number}/s/0/0/r")
    assert policies._named.cache_info().currsize <= 4096  # noqa: SLF001 - the bound itself


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("quorumm = 3", "policies[1].quorumm"),
        ("quorum = 0", "policies[1].quorum"),
        ('deadline_s = "off"', "policies[1].deadline_s"),
        ("reference_margin = -0.1", "policies[1].reference_margin"),
        ("reference_margin = nan", "policies[1].reference_margin"),
        ('campaign = ""', "policies[1].campaign"),
        ("workers = 3", "policies[1].workers"),
        ("quiet_s = 50000", "policies[1]"),
        ("deadline_s = 600", "policies[1]"),
        ("update_quiet_s = 3601", "policies[1]"),
    ],
)
def test_an_impossible_rule_is_refused_by_its_number(tmp_path: Path, rule: str, words: str) -> None:
    """Whoever wrote the rule finds it again: its number, what it says, and the file."""
    said = refusal(tmp_path, f"[[policies]]\n{rule}\n")
    assert said.startswith(f"{words} ({tmp_path / 'e.toml'}): ")
    assert len(said.splitlines()) == 1


def test_what_all_groups_have_is_told_once(tmp_path: Path) -> None:
    """A rule is not blamed for what it does not say."""
    said = refusal(tmp_path, "quiet_s = 50000\n[[policies]]\nquorum = 4\n[[policies]]\n")
    assert said.startswith("quiet_s (")
    assert len(said.splitlines()) == 1


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    """A rule is a table, and there may be a thousand of them."""
    assert refusal(tmp_path, "policies = 3\n").startswith("policies (")
    assert refusal(tmp_path, "policies = [3]\n").startswith("policies[1] (")
    assert refusal(tmp_path, "[[policies]]\n" * 1001).startswith("policies (")


def test_rules_are_shown(tmp_path: Path) -> None:
    """`--print-settings` has a line for each rule, with what is different and where it is from."""
    settings = read(tmp_path, RULES)
    lines = [line for line in explain(settings).splitlines() if line.startswith("policies[")]
    assert len(lines) == 3
    shown = "campaign=dr1-* band=u: quorum=2, quiet_s=off, reference_margin=inf"
    assert shown in lines[0]
    assert "e.toml" in lines[2]
    assert any(line.startswith("policies ") for line in explain(read(tmp_path, "")).splitlines())


@pytest.mark.parametrize("value", ["inf", "0", "0.05", 0.3, math.inf])
def test_a_margin_is_a_number_from_nothing_to_infinity(value: object) -> None:
    """Without a bound above, so that `never` can be said."""
    margin = Settings.model_validate({"reference_margin": value}).reference_margin
    assert margin == float(str(value))


@pytest.mark.parametrize("value", ["nan", -1, "off", None])
def test_other_margins_are_refused(value: object) -> None:
    """A margin that is none would pin nothing, or everything, without a word."""
    with pytest.raises(ValueError, match="reference_margin"):
        Settings.model_validate({"reference_margin": value})


def test_a_rule_may_give_whatever_makes_a_policy() -> None:
    """Each setting that all groups have can be another for some."""
    assert set(POLICY_SETTINGS) < set(PolicyRule.model_fields)
    assert set(PolicyRule.model_fields) - set(POLICY_SETTINGS) == {"campaign", "skymap", "band"}
    assert set(POLICY_SETTINGS) < set(Settings.model_fields)
