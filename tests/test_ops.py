"""What operators run: the compose file speaks our settings, and the alert rules do as they say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream.configure import PREFIX, load_settings
from stream.machine import Disk, Machine
from stream.settings import Settings
from stream.telemetry import Telemetry
from tests.house import ROOT
from tests.programs import require_program

PROMETHEUS = ROOT / "ops/prometheus"
RULES = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"][0]["rules"]


@pytest.fixture(scope="module")
def compose() -> Any:
    """Return the compose file."""
    return yaml.safe_load((ROOT / "ops/compose.yaml").read_text())


@pytest.fixture
def promtool() -> str:
    """Return the path of promtool."""
    return require_program("promtool", "apt-get install prometheus")


def run(*command: str | Path) -> tuple[int, str]:
    """Run a checker."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - found on the path
    return done.returncode, done.stdout + done.stderr


def test_compose_speaks_our_settings(compose: Any) -> None:
    """Each variable that the service is given is one of its settings."""
    given = {
        name.removeprefix(PREFIX).lower() for name in compose["services"]["evensky"]["environment"]
    }
    assert given <= set(Settings.model_fields)


def test_compose_waits_for_the_service(compose: Any) -> None:
    """The engine waits longer for the service to stop than the service takes."""
    wait = compose["services"]["evensky"]["stop_grace_period"]
    assert int(wait.removesuffix("s")) > Settings.model_fields["grace_s"].default


@pytest.mark.parametrize("in_memory", [False, True])
def test_compose_gives_enough_memory(compose: Any, tmp_path: Path, *, in_memory: bool) -> None:
    """The service starts within its limit, with its spool on the volume or on a tmpfs there."""
    service = compose["services"]["evensky"]
    (spool,) = (one for one in service["volumes"] if one.startswith("spool:"))
    folder = spool.partition(":")[2]
    assert f"EVENSKY_SPOOL_DIR={folder}" in (ROOT / "Dockerfile").read_text()
    limit = int(service["mem_limit"].removesuffix("g")) * 2**30
    machine = Machine(8, limit, lambda _: Disk(2**40, in_memory=in_memory))
    environment = service["environment"] | {f"{PREFIX}ALLOW": str(tmp_path)}
    settings = load_settings({"spool_dir": folder}, environment=environment, machine=machine)
    assert settings.workers >= 1


def test_images_are_pinned(compose: Any) -> None:
    """No image floats."""
    images = {name: service["image"] for name, service in compose["services"].items()}
    assert all(re.search(r":v?\d+\.\d+\.\d+$", image) for image in images.values()), images


def test_nothing_is_open_to_the_world(compose: Any) -> None:
    """Ports are published on loopback only."""
    for service in compose["services"].values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


def test_prometheus_asks_where_the_service_answers(compose: Any) -> None:
    """The scraped target is the service's name and default port."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    service, port = target.split(":")
    assert service in compose["services"]
    assert Settings.model_fields["http"].default.endswith(f":{port}")


@pytest.mark.promtool
@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "rules.yml"),
        ("test", "rules", "rules_test.yml"),
    ],
)
def test_promtool_approves(promtool: str, command: tuple[str, str, str]) -> None:
    """Configuration and rules are valid, and every alert fires when it should and only then."""
    code, said = run(promtool, *command[:2], PROMETHEUS / command[2])
    assert code == 0, said


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_rules_ask_for_what_there_is(rule: dict[str, Any]) -> None:
    """An alert's metrics and label values are those that the service exports."""
    telemetry = Telemetry()
    telemetry.matched("r", ratio=1.0, sky_chi2=1.0)  # bands are known only when they come
    exposition = telemetry.exposition().decode()
    for name in re.findall(r"evensky_\w+", rule["expr"]):
        assert f"\n{name}" in exposition, name
    for label, value in re.findall(r'(\w+)="(\w+)"', rule["expr"]):
        assert label == "job" or f'{label}="{value}"' in exposition


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_has_its_first_look(rule: dict[str, Any]) -> None:
    """Whoever is woken finds the alert in the operators' table."""
    assert f"\n| `{rule['alert']}` | " in (ROOT / "ops/README.md").read_text(encoding="utf-8")


def test_every_alert_is_tested() -> None:
    """Each alert has a test in which it fires and one in which it is silent."""
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    for rule in RULES:
        fires = {bool(c.get("exp_alerts")) for c in cases if c["alertname"] == rule["alert"]}
        assert fires == {True, False}, rule["alert"]
