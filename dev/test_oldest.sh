#!/bin/sh
# Passes the tests of the served path with the oldest version of each package that requirements.txt allows. They lie in
# .venv-oldest, in front of what .venv has.
set -eu
cd "$(dirname "$0")/.."

stamp=.venv-oldest/made-from
wanted=$(cat requirements.txt dev/test_oldest.sh .venv/set-up-from | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    rm -rf .venv-oldest
    .venv/bin/python -m venv .venv-oldest
    echo "Installing the oldest packages into .venv-oldest ..."
    # shellcheck disable=SC2046 # one word for each package
    .venv-oldest/bin/python -m pip install -qq --disable-pip-version-check \
        $(sed -n 's/^\([a-z-]*\)>=\([0-9.]*\),.*/\1==\2/p' requirements.txt)
    .venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
        >"$(.venv-oldest/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/behind.pth"
    echo "$wanted" >"$stamp"
fi
.venv-oldest/bin/python -m pip list --disable-pip-version-check 2>/dev/null |
    grep -E '^(azure-functions|pydantic|azure-data-tables|azure-identity|azure-core|pydantic_core) '
exec .venv-oldest/bin/python -m pytest -q -n 2 --dist worksteal \
    tests/test_function_app.py tests/test_serving.py tests/test_looking.py tests/test_log_queue.py tests/test_audit.py \
    tests/test_settings.py tests/test_policy.py tests/tables tests/end_to_end/test_answers.py \
    tests/end_to_end/test_health.py
