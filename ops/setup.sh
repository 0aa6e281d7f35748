#!/usr/bin/env bash
# Sets up the environment that the Makefile, CI and the image run in. One script for all three, so
# that what is tested is what is shipped.
#
#   ops/setup.sh packages LOCK VENV    the packages of a lock file, each by its hash
#   ops/setup.sh project VENV          evensky itself, as it will stay (the image)
#   ops/setup.sh warm VENV             the machine code of its mathematics, where NUMBA_CACHE_DIR,
#                                      NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say (the image)
#   ops/setup.sh develop LOCK VENV     both, evensky as the files that lie here; done once per
#                                      lock file and Python, and again after an interruption
#
# PYTHON chooses the interpreter (3.11 or newer, with venv); pip's own settings hold.
set -euo pipefail

readonly PYTHON="${PYTHON:-python3}"
readonly OLDEST="3.11"

# What would send packages elsewhere than into the environment, or import from elsewhere.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
unset PIP_REQUIREMENT PIP_CONSTRAINT PIP_NO_BINARY PIP_EDITABLE
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { printf 'evensky set-up: %s\n' "$*" >&2; }
refuse() { say "$*"; exit 2; }

check_python() {
    command -v "$PYTHON" >/dev/null \
        || refuse "there is no $PYTHON here; install Python $OLDEST or newer (Debian: apt-get install python3 python3-venv)$(others)."
    "$PYTHON" -c "import sys; sys.exit(sys.version_info < (${OLDEST/./, }))" \
        || refuse "needs Python $OLDEST or newer, and $PYTHON is $("$PYTHON" --version 2>&1)$(others)."
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null \
        || refuse "$PYTHON has no venv (Debian: apt-get install python3-venv)."
}

others() {
    local minor
    for minor in 13 12 11; do
        if "python3.$minor" -c "import venv" 2>/dev/null; then
            printf '; python3.%s is here: say PYTHON=python3.%s' "$minor" "$minor"
            return
        fi
    done
}

# The environment is made anew unless it is whole, of the Python that was asked for, and where it
# was made: its scripts hold its path.
make_environment() {
    local venv="$1" wanted
    wanted="$(identity "$venv")"
    if [[ "$wanted" != "$(cat "$venv/.identity" 2>/dev/null)" || -e "$venv/.unfinished" ]]; then
        say "making $venv with $("$PYTHON" --version)"
        "$PYTHON" -m venv --clear "$venv" || refuse "could not make $venv; run the same command again."
        printf '%s' "$wanted" >"$venv/.identity"
    fi
}

identity() { "$PYTHON" -c 'import os, sys; print(sys.version, os.path.abspath(sys.argv[1]))' "$1"; }

install_packages() {
    local lock="$1" venv="$2"
    # A package that was half copied when somebody pulled the plug looks installed to pip. The mark
    # stays behind only if we are killed: then everything is made anew.
    touch "$venv/.unfinished"
    say "installing the packages of $lock (takes a minute or two the first time)"
    # Whole by itself, so pip need not work out dependencies; wheels only, so nothing is built.
    "$venv/bin/python" -m pip install --quiet --no-deps --only-binary :all: --require-hashes \
        --requirement "$lock" || failed "$lock" "$venv"
    rm -f "$venv/.unfinished"
}

failed() {
    rm -f "$2/.unfinished"
    say "could not get every package of $1: pip says above which, and why."
    say "Nothing is lost. With a package index within reach, run the same command again."
    exit 1
}

install_project() {
    local venv="$1"
    shift
    "$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --no-index "$@" \
        || refuse "could not install evensky itself: pip says above why."
}

# Isolated: what is compiled is what is installed, and not the files that lie here.
warm() {
    say "compiling (takes a minute or so)"
    "$1/bin/python" -I -c 'import core, sys; sys.exit(not core.warm_up().kept)' \
        || refuse "the machine code was not made, or cannot be kept in ${NUMBA_CACHE_DIR:-$1}."
}

# Where it is noted that everything of a lock file is installed, as the files are now.
note() {
    local sum
    sum="$(cat "$1" pyproject.toml <(identity "$2") | sha256sum)"
    printf '%s/.done-%s-%s' "$2" "$1" "${sum:0:16}"
}

is_done() { [[ -e "$(note "$1" "$2")" && ! -e "$2/.unfinished" ]]; }

develop() {
    local lock="$1" venv="$2"
    # The development lock holds all of the other.
    if is_done "$lock" "$venv" || is_done requirements-dev.lock "$venv"; then return; fi
    make_environment "$venv"
    rm -f "$venv"/.done-*
    install_packages "$lock" "$venv"
    install_project "$venv" --editable .
    "$venv/bin/python" -m pip check >/dev/null \
        || refuse "the packages of $lock do not fit together: $venv/bin/python -m pip check tells."
    touch "$(note "$lock" "$venv")"
}

main() {
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    case "${1:-}" in
        packages) check_python; make_environment "$3"; install_packages "$2" "$3" ;;
        project) install_project "$2" . ;;
        warm) warm "$2" ;;
        develop)
            check_python
            # Two commands at once wait for one another instead of writing the same files.
            if command -v flock >/dev/null; then exec 9<"$2"; flock 9; fi
            develop "$2" "$3" ;;
        *) refuse "say packages LOCK VENV, project VENV, warm VENV or develop LOCK VENV." ;;
    esac
}

main "$@"
