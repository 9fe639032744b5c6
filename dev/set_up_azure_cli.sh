#!/bin/sh
# Makes .venv-azure-cli from dev/azure-cli.txt, with the Python of .venv. Does nothing when it is there.
set -eu
cd "$(dirname "$0")/.."

folder=.venv-azure-cli
stamp=$folder/set-up-from
if [ -x "$folder/bin/az" ] && cmp -s dev/azure-cli.txt "$stamp"; then
    exit 0
fi
echo "Installing the Azure CLI into $folder, about a minute and 700 MB ..."
rm -rf "$folder"
.venv/bin/python -m venv "$folder"
"$folder/bin/python" -m pip install -qq --disable-pip-version-check --requirement dev/azure-cli.txt
# Its own program starts with a line that a folder with spaces in its name breaks.
cat >"$folder/bin/az" <<'END'
#!/bin/sh
exec "$(dirname "$0")/python" -m azure.cli "$@"
END
cp dev/azure-cli.txt "$stamp"
