"""A night on a broker with TLS, users and permissions, by the programs that people run."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from ops.broker.broker import Cluster
from stream.simulate import SurveyManifest
from tests.acls import Grant, grant, of_announcer, of_reader, of_service, of_surveyor
from tests.e2e.processes import Place, Running, evensky, running, until

pytestmark = pytest.mark.kafka


@dataclass
class Site:
    """Topics of a test's own on the secured broker, and its users, each with a password file."""

    cluster: Cluster
    folder: Path
    prefix: str = field(default_factory=lambda: f"s{uuid.uuid4().hex[:10]}")
    said: list[str] = field(default_factory=list)

    def address(self, user: str) -> tuple[str, ...]:
        """Return the options by which a user comes to the broker, but for the password."""
        assert self.cluster.certificates is not None
        return (
            "--bootstrap-servers", self.cluster.secured("SASL_SSL"),
            "--security-protocol", "SASL_SSL",
            "--ssl-ca-file", str(self.cluster.certificates.authority),
            "--sasl-user", user,
            "--topic-prefix", self.prefix,
        )  # fmt: skip

    def options(self, user: str, password: str | None = None) -> tuple[str, ...]:
        """Return all options by which a user comes to the broker."""
        path = self.folder / f"password-{user}"
        path.write_text(f"{password or self.cluster.users[user]}\n", encoding="utf-8")
        return (*self.address(user), "--sasl-password-file", str(path))

    def place(self, user: str, password: str | None = None) -> Place:
        """Return the broker as a user of it."""
        service = ("--app", self.prefix, "--allow", "/", "--log-level", "debug")
        return Place(self.options(user, password), service)

    def allow(self, user: str, grants: Sequence[Grant]) -> None:
        """Allow a user some things."""
        grant(self.cluster.bootstrap, user, grants)

    def run(self, *words: object, code: int = 0) -> str:
        """Run a command, remember all that it says, and return what it said on stdout."""
        out, err = evensky(*words, code=code)
        self.said += [out, err]
        return out

    def create(self) -> None:
        """Have the operator make the topics."""
        self.allow("operator", of_surveyor(self.prefix))
        self.run("topics", "create", "--partitions", 2, *self.options("operator"))


@pytest.fixture
def site(secured: Cluster, tmp_path: Path) -> Iterator[Site]:
    """Give a site of its own to a test, and look at the end for what nobody may have said."""
    site = Site(secured, tmp_path)
    yield site
    said = "".join(site.said)
    assert said
    assert not [user for user, password in secured.users.items() if password in said]


def told_and_ended(site: Site, place: Place, code: int) -> str:
    """Run a service that ends by itself; return what it said."""
    with running(place, site.folder) as service:
        assert service.process.wait(60) == code, service.text()
        site.said.append(service.text())
        return service.text()


def _command_lines(service: Running) -> str:
    family = [psutil.Process(service.process.pid), *service.family()]
    return " ".join(word for one in family for word in one.cmdline())


def test_a_night_behind_tls_and_permissions(
    site: Site, survey: SurveyManifest, secured: Cluster
) -> None:
    """Operator, upstream, service and consumer each do their part, with no more rights than that.

    No password stands in a list of processes or in anything that one of them says.
    """
    site.create()
    site.allow("night", of_service(site.prefix, site.prefix))
    site.allow("upstream", of_announcer(site.prefix))
    site.allow("consumer", of_reader(site.prefix))
    files = [survey.path(warp) for entry in survey.groups[:2] for warp in survey.warps_of(entry)]
    site.run("announce", *files, "--manifest", *site.options("upstream"))
    watch = ("watch", "--once", "--json", *site.options("consumer"))
    with running(site.place("night"), site.folder) as service:
        service.until_it_says("started")
        seen = _command_lines(service)
        until(lambda: site.run(*watch).count("group.matched.v1") == 2)
        assert service.stop() == 0
        site.said += [service.text(), seen]
    told = [json.loads(line) for line in site.run(*watch).splitlines()]
    models = [one["data"] for one in told if one["type"] == "background.model.v1"]
    assert len(models) == len(files)
    assert "--sasl-password-file" in seen
    assert secured.users["night"] in (site.folder / "password-night").read_text()


def test_a_wrong_password_ends_every_command(site: Site, survey: SurveyManifest) -> None:
    """With code 2 and a sentence, soon, and without the password."""
    site.create()
    wrong = "wrong-and-planted-4711"
    place = site.place("night", wrong)
    for words in (
        ("watch", "--once"),
        ("topics", "check"),
        ("topics", "create"),
        ("announce", survey.path(survey.warps[0])),
    ):
        site.run(*words, *place.options, code=2)
        assert "does not take user night with that password by SCRAM-SHA-512" in site.said[-1]
    said = told_and_ended(site, place, 2)
    assert "does not take user night with that password by SCRAM-SHA-512" in said
    assert wrong not in "".join(site.said)


def test_a_right_that_lacks_ends_the_service_at_its_start(site: Site) -> None:
    """A service that may do all but write models says so before it joins, and ends with code 2."""
    site.create()
    others = ("warps", "state", "groups", "metrics", "dead-letters")
    grants = [one for one in of_service(site.prefix, site.prefix) if one.operation != "Write"]
    grants += [Grant("Write", "topic", f"{site.prefix}.{name}") for name in others]
    grants += [Grant("Describe", "topic", f"{site.prefix}.models")]
    grants += [Grant("Write", "transactional-id", f"{site.prefix}.", "prefixed")]
    site.allow("night", grants)
    said = told_and_ended(site, site.place("night"), 2)
    assert f"user night may not Write topic {site.prefix}.models: kafka-acls.sh" in said
    assert '"started"' not in said


def test_a_password_by_the_environment(site: Site, secured: Cluster) -> None:
    """It does for every command what the file does, and is not shown by any."""
    site.create()
    variables = {"EVENSKY_SASL_PASSWORD": secured.users["operator"]}
    options = site.address("operator")
    out, err = evensky("topics", "check", *options, variables=variables)
    assert "0 faults" in out
    table, more = evensky("run", "--print-settings", *options, variables=variables)
    (row,) = [line for line in table.splitlines() if line.startswith("sasl_password ")]
    assert row.split()[1:3] == ["**********", "EVENSKY_SASL_PASSWORD"]
    twice = site.options("operator")
    _, refused = evensky("topics", "check", *twice, variables=variables, code=2)
    assert "the password is given twice" in refused
    site.said += [out, err, table, more, refused]


def test_settings_that_cannot_be_end_before_anything_starts(site: Site) -> None:
    """Each with code 2, a sentence and the remedy, and with nothing of the password."""
    options = site.options("night")
    (site.folder / "lines").write_text(f"{site.cluster.users['night']}\nmore\n")
    for wrong, words in {
        "holds no certificate": ("--ssl-ca-file", __file__),
        "cannot be read": ("--ssl-ca-file", "none.pem"),
        "a key without its certificate": ("--ssl-key-file", __file__),
        "has no users": ("--security-protocol", "SSL"),
        "has no TLS": ("--security-protocol", "SASL_PLAINTEXT"),
        "does not hold one line": ("--sasl-password-file", site.folder / "lines"),
        "No such option": ("--sasl-password", site.cluster.users["nobody"][:3]),
    }.items():
        site.run("run", *options, *words, code=2)
        assert wrong in site.said[-1], site.said[-1]
