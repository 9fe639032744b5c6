#!/bin/sh
# Runs `make test` on what is committed here, in a clone in which people have worked: exports, keys, backups and builds lie
# about, and the environment has settings of theirs; then again with no environment at all, not even a HOME.
set -eu
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
checkout="$folder/Kunden Müller & Söhne/mta-sts"
git clone --quiet . "$checkout"
cd "$checkout"
make --no-print-directory set-up

echo "Planting what people leave in a checkout ..."
.venv/bin/python -m pip install -qq --no-deps --target "$folder/installed" . # leaves build/ here
.venv/bin/python -m tests.planted
seen=$(git status --porcelain -uall)
echo "git sees of that:" && echo "$seen"

mkdir "$folder/home" "$folder/modules"
printf '[commit]\n\tgpgsign = true\n[core]\n\texcludesFile = ~/ignore\n[init]\n\ttemplateDir = ~/nowhere\n' >"$folder/home/.gitconfig"
echo 'raise ImportError("a module of a person")' >"$folder/modules/policy_store.py"

echo "make test, with settings of theirs ..."
env HOME="$folder/home" TZ=Pacific/Kiritimati LC_ALL=C TERM=xterm-256color COLUMNS=33 LINES=5 FORCE_COLOR=1 \
    POLICY_STORE=nonsense POLICY_STORE__tableServiceUri=https://contoso.table.core.windows.net \
    POLICY_FRESH_SECONDS=0 POLICY_HOST_HEADER=X-Original-Host POLICY_AUDIT_SCHEDULE='0 0 3 * * *' \
    AZURE_TOKEN_CREDENTIALS=prod AZURE_CLIENT_ID=nobody IDENTITY_ENDPOINT=http://127.0.0.1:9 \
    PYTHONIOENCODING=cp1252 PYTHONOPTIMIZE=1 PYTHONPATH="$folder/modules" PYTHONWARNINGS=ignore \
    make --no-print-directory test

echo "make test, with no environment ..."
env -i PATH="$PATH" make --no-print-directory test
