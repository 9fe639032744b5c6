#!/bin/sh
# Makes .venv and dev/node/node_modules, whatever the machine has but for a Python 3.13 or later. Says what it does, and
# does nothing when nothing that it installs from has changed since it last ended well.
set -eu
cd "$(dirname "$0")/.."

stamp=.venv/set-up-from
wanted=$(cat pyproject.toml requirements.txt dev/node/package-lock.json dev/set_up.sh | cksum)
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

# A candidate counts only if it runs and can make a .venv: pyenv leaves shims for versions that are not there, Debian
# packages ensurepip apart.
is_recent() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 13))' >/dev/null 2>&1
}

find_python() {
    for candidate in \
        "${PYTHON:-}" python3.14 python3.13 python3 python \
        "${HOME:-}"/.pyenv/versions/*/bin/python3 "${PYENV_ROOT:-/opt/pyenv}"/versions/*/bin/python3 \
        "${HOME:-}"/.local/share/uv/python/*/bin/python3; do
        if [ -n "$candidate" ] && is_recent "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

if ! is_recent .venv/bin/python; then
    python=$(find_python)
    if [ -z "$python" ]; then
        echo "No Python 3.13 or later with venv and ensurepip was found. Install one (python.org, pyenv, uv or the" >&2
        echo "system's packages), or name the one to use: make PYTHON=/path/to/python3.13 run" >&2
        exit 1
    fi
    echo "Making .venv with $python ..."
    rm -rf .venv
    "$python" -m venv .venv
fi

echo "Installing Python packages into .venv ..."
.venv/bin/python -m pip install -qq --disable-pip-version-check 'pip>=25.1' # the first that knows --group
.venv/bin/python -m pip install -qq --disable-pip-version-check --editable '.[cli]' --group dev

echo "Installing node packages into dev/node ..."
# As pip does, npm then trusts the certificate authorities that the machine trusts.
NODE_USE_SYSTEM_CA=1 PATH="$PWD/.venv/bin:$PATH" npm --prefix dev/node ci \
    --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null

echo "$wanted" >"$stamp"
