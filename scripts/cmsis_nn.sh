#!/bin/sh
# Gets Arm's own buffer-size functions of CMSIS-NN, compiled for Python, into .venv/share/cmsis-nn: a test holds this
# project's formulas against them, and is skipped without. They are 0.3 MB of the wheel (19 MB) that
# requirements-cmsis-nn.lock pins by its hash; what that package depends on is left out: it wants numpy 2 and is large.
# Prints the folder.
set -eu

cd "$(dirname "$0")/.."
python=.venv/bin/python
folder=.venv/share/cmsis-nn
lock=requirements-cmsis-nn.lock

if ! cmp -s "$lock" "$folder/lock"; then
    temporary=$(mktemp -d)
    trap 'rm -rf "$temporary"' EXIT
    if ! "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --dest "$temporary" -r "$lock" >&2; then
        echo "cmsis-nn: its wheel can't be got from the package index (see above)" >&2
        exit 2
    fi
    "$python" -m zipfile -e "$temporary"/executorch-*.whl "$temporary/wheel"
    part=executorch/backends/cortex_m/library
    rm -rf "$folder" "$folder.new"
    mkdir -p "$folder.new/$part"
    cp -R "$temporary/wheel/$part/." "$folder.new/$part"
    cp "$lock" "$folder.new/lock"
    mv "$folder.new" "$folder"
fi
echo "$folder"
