"""Locks, set-up and image: what is installed is what was tested."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from stream.settings import Settings
from tests.house import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock")
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[\w.+!]+)(?: ; (?P<marker>.+?))? \\$")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(lock: str) -> dict[tuple[str, str], tuple[str, set[str]]]:
    """Read a lock: version and hashes of each package and marker."""
    found: dict[tuple[str, str], tuple[str, set[str]]] = {}
    hashes: set[str] = set()
    for line in (ROOT / lock).read_text().splitlines():
        if match := PIN.match(line):
            hashes = set()
            found[match["name"], match["marker"] or ""] = (match["version"], hashes)
        else:
            hashes.add(line.strip().removesuffix(" \\"))
    return found


def names(lock: str) -> set[str]:
    """List the packages of a lock."""
    return {name for name, _ in pins(lock)}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    """Every package is pinned to one version with its sha256 sums, and nothing else is said."""
    for package, (_, hashes) in pins(lock).items():
        assert hashes, package
        for one in hashes:
            assert re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one), (package, one)


@pytest.mark.parametrize("lock", LOCKS)
def test_no_address(lock: str) -> None:
    """A lock names no index, no folder and no host."""
    text = (ROOT / lock).read_text()
    assert [word for word in ("://", "index", "find-links", " @ ", "file:") if word in text] == []


def test_locks_agree() -> None:
    """What is developed with is what is shipped, and more."""
    assert pins(LOCKS[0]).items() <= pins(LOCKS[1]).items()


@pytest.mark.parametrize(
    ("wanted", "lock"),
    [
        (PROJECT["project"]["dependencies"], LOCKS[0]),
        (PROJECT["build-system"]["requires"], LOCKS[0]),
        (PROJECT["dependency-groups"]["build"], LOCKS[0]),
        (PROJECT["dependency-groups"]["dev"], LOCKS[1]),
    ],
)
def test_lock_holds_what_is_wanted(wanted: list[str], lock: str) -> None:
    """Each requirement is locked, in a version that it allows."""
    for requirement in map(Requirement, wanted):
        versions = [v for (name, _), (v, _) in pins(lock).items() if name == requirement.name]
        assert versions, requirement
        assert all(requirement.specifier.contains(version) for version in versions), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_the_compiler_fits(lock: str) -> None:
    """What numba wants of llvmlite and numpy is what is locked; both of them move every quarter."""
    wanted = [Requirement(text) for text in metadata.requires("numba") or []]
    assert {one.name for one in wanted} == {"llvmlite", "numpy"}
    for one in wanted:
        versions = {version for (name, _), (version, _) in pins(lock).items() if name == one.name}
        assert versions, one
        assert all(one.specifier.contains(version) for version in versions), (one, versions)


def test_build_is_locked_as_asked() -> None:
    """What builds our package in the environment is what the package says builds it."""
    assert PROJECT["build-system"]["requires"] == PROJECT["dependency-groups"]["build"]


# -- one set-up for all ----------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile"])
def test_one_way_to_install(file: str) -> None:
    """People, CI and the image are set up by the same script, which alone calls pip."""
    text = (ROOT / file).read_text()
    assert "ops/setup.sh" in text
    assert not re.search(r"\bpip3? install|\buv pip (install|sync)", text)


def test_ci_goes_the_same_way() -> None:
    """CI runs the commands that everybody runs, and is allowed to skip nothing."""
    script = (ROOT / ".ci/run").read_text()
    assert script.splitlines()[-2:] == ["make check", "make test"]
    assert "export CI=true" in script


def test_set_up_is_strict() -> None:
    """Packages come by hash, as wheels, and our own builds without fetching anything."""
    script = (ROOT / "ops/setup.sh").read_text()
    for flag in ("--require-hashes", "--only-binary :all:", "--no-build-isolation", "--no-index"):
        assert flag in script


@pytest.mark.parametrize("script", [".ci/run", "ops/setup.sh"])
def test_scripts(script: str) -> None:
    """Scripts can be run, and parse."""
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["/bin/bash", "-n", ROOT / script], check=True)  # noqa: S603 - our own script


def test_make_keeps_switches_of_the_compiler_out() -> None:
    """What somebody's shell says to numba, other than where it keeps its files, goes no further."""
    switches = {"NUMBA_DISABLE_JIT": "1", "NUMBA_OPT": "0", "NUMBA_CACHE_DIR": "there"}
    done = subprocess.run(
        ["/usr/bin/env", "make", "--eval", "tell: ; @env", "tell"],
        env={**os.environ, **switches},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("NUMBA_")]
    assert told == ["NUMBA_CACHE_DIR=there"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree in which nothing can be installed: its lock asks for what nobody has."""
    (tmp_path / "ops").mkdir()
    shutil.copy(ROOT / "ops/setup.sh", tmp_path / "ops")
    (tmp_path / "pyproject.toml").touch()
    missing = f"evensky-has-no-such-package==1 --hash=sha256:{'0' * 64}\n"
    for lock in LOCKS:
        (tmp_path / lock).write_text(missing)
    return tmp_path


def set_up(tree: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up with no index within reach."""
    return subprocess.run(  # noqa: S603 - our own script
        [tree / "ops/setup.sh", "develop", LOCKS[0], ".venv"],
        env={"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1", "HOME": str(tree), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_offline_then_interrupted(tree: Path) -> None:
    """Without an index the set-up says what it lacks and can be run again; killed, starts anew."""
    first = set_up(tree)
    assert first.returncode == 1
    assert "evensky-has-no-such-package" in first.stderr
    assert "run the same command again" in first.stderr
    (tree / ".venv/here").touch()
    assert "making .venv" not in set_up(tree).stderr
    (tree / ".venv/.unfinished").touch()
    assert "making .venv" in set_up(tree).stderr
    assert not (tree / ".venv/here").exists()


def test_old_python(tree: Path) -> None:
    """A Python that is too old is refused in a sentence that says what would do."""
    old = tree / "python-old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\n[ "$1" = --version ]\n')
    old.chmod(0o755)
    done = set_up(tree, PYTHON=str(old))
    assert done.returncode == 2
    assert "needs Python 3.11 or newer" in done.stderr
    assert "Python 3.9.2" in done.stderr


def test_no_python(tree: Path) -> None:
    """A Python that is not there is named, with the line that installs one."""
    done = set_up(tree, PYTHON="python-of-nobody")
    assert done.returncode == 2
    assert "there is no python-of-nobody" in done.stderr
    assert "apt-get install python3" in done.stderr


# -- the image -------------------------------------------------------------------------------------


def test_image() -> None:
    """The image stands on a pinned base, runs as nobody in particular, and tells its health."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    bases = [line.split()[-3 if " AS " in line else -1] for line in lines if line[:5] == "FROM "]
    assert len(bases) == 2
    assert all(re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*", base) for base in bases)
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1] not in {"root", "0"}
    assert any(line.startswith("HEALTHCHECK") for line in lines)


def test_image_has_a_place_for_the_spool() -> None:
    """It lies in the volume, made for the user: what is mounted there anew is owned as it is."""
    text = (ROOT / "Dockerfile").read_text()
    given = dict(re.findall(r"^ENV (?:.* )?EVENSKY_(\w+)=(\S+)$", text, re.MULTILINE))
    assert {name.lower() for name in given} <= set(Settings.model_fields)
    folder, volume = (
        Path(given["SPOOL_DIR"]),
        Path(re.findall(r"^VOLUME (.+)$", text, re.MULTILINE)[0]),
    )
    assert folder.is_relative_to(volume)
    made = f"install -d -o evensky -g evensky -m 700 {folder}"
    assert text.index(made) < text.index("USER 10001") < text.index("VOLUME")


def test_image_takes_what_exists() -> None:
    """Everything that the image copies is in the tree and let through to the builder."""
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in let_through


SETTINGS = re.compile(r"^ENV (NUMBA_.+)$", re.MULTILINE)
COUNT = """
from stream.warmed import WARMTH
print(WARMTH.compiled, WARMTH.loaded > 0)
"""
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'


def reading_only(folder: Path) -> list[str | Path]:
    """Return how a command is run that may not write into a folder, as far as we may say so."""
    folder.chmod(0o555)
    mounted: list[str | Path] = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", folder]
    # permissions do not hold root, and not every container's root may mount
    held = os.geteuid() == 0 and not subprocess.run([*mounted, "true"], check=False).returncode  # noqa: S603 - our own words
    return mounted if held else []


def test_image_speaks_of_one_processor() -> None:
    """What is compiled when the image is made is what is looked for when it runs."""
    text = (ROOT / "Dockerfile").read_text()
    built, run = SETTINGS.findall(text)
    assert built == run
    assert text.index("setup.sh project") < text.index(built) < text.index("setup.sh warm")
    assert {word.partition("=")[0] for word in built.split()} == {
        "NUMBA_CACHE_DIR",
        "NUMBA_CPU_FEATURES",
        "NUMBA_CPU_NAME",
    }


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the image is for x86-64")
def test_image_compiles_nothing(tmp_path: Path) -> None:
    """With the machine code that the image brings nothing is compiled, and nothing written."""
    settings = SETTINGS.findall((ROOT / "Dockerfile").read_text())[0].replace('"', "").split()
    given = dict(setting.split("=", 1) for setting in settings)
    environment = {"PATH": os.environ["PATH"], **given, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([ROOT / "ops/setup.sh", "warm", sys.prefix], env=environment, check=True)  # noqa: S603 - our own script
    done = subprocess.run(  # noqa: S603 - our own words
        [*reading_only(tmp_path), sys.executable, "-c", COUNT],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0 True\n", "")
