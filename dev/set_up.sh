#!/bin/sh
# Finds a Python 3.13 or later on this machine, whatever it has, and has it make what development needs: dev/set_up.py.
set -eu
cd "$(dirname "$0")/.."

# A candidate counts only if it runs and can make a .venv: pyenv leaves shims for versions that are not there, Debian
# packages ensurepip apart. Says why one does not.
refusal() {
    "$1" -c '
import sys
if sys.version_info < (3, 13):
    sys.exit("it is Python " + sys.version.split()[0])
try:
    import venv, ensurepip
except ImportError as error:
    sys.exit("it cannot make environments (%s): Debian has that in python3-venv" % error)
' 2>&1 || echo "it does not run"
}

refused=
will_do() {
    reason=$(refusal "$1" | {
        read -r first || true
        echo "${first:-}"
    })
    [ -z "$reason" ] && return
    refused="$refused
  $1: $reason"
    return 1
}

find_python() {
    for candidate in \
        .venv/bin/python python3.14 python3.13 python3 python \
        "${HOME:-}"/.pyenv/versions/*/bin/python3 "${PYENV_ROOT:-/opt/pyenv}"/versions/*/bin/python3 \
        "${HOME:-}"/.local/share/uv/python/*/bin/python3; do
        if command -v "$candidate" >/dev/null 2>&1 && will_do "$candidate"; then
            python=$candidate
            return
        fi
    done
}

python=
if [ -z "${PYTHON:-}" ]; then
    find_python
elif ! command -v "$PYTHON" >/dev/null 2>&1; then
    refused="
  $PYTHON: it is not there"
elif will_do "$PYTHON"; then
    python=$PYTHON
fi
if [ -z "$python" ]; then
    echo "No Python 3.13 or later with venv and ensurepip was found. Install one (python.org, pyenv, uv or the" >&2
    echo "system's packages), or name the one to use: make PYTHON=/path/to/python3.13 run" >&2
    [ -z "$refused" ] || echo "Refused:$refused" >&2
    exit 1
fi
exec "$python" -m dev.set_up
