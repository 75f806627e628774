#!/bin/sh
# Gets the C source of CMSIS-DSP (Apache-2.0), which the C front end's FFT is linked from, into .venv/share/cmsis-dsp:
# Include, PrivateInclude, Source and LICENSE. It is in the source package that requirements-cmsis-dsp.lock pins by its
# hash, and comes from the index that pip is configured for. Prints the folder.
set -eu

cd "$(dirname "$0")/.."
python=.venv/bin/python
folder=.venv/share/cmsis-dsp
lock=requirements-cmsis-dsp.lock

if ! cmp -s "$lock" "$folder/lock"; then
    temporary=$(mktemp -d)
    trap 'rm -rf "$temporary"' EXIT
    # As source only: a wheel has the compiled Python module instead. pip asks the package for its description, which
    # setuptools of the environment gives.
    if ! "$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --no-build-isolation \
        --require-hashes --dest "$temporary" -r "$lock" >&2; then
        echo "cmsis-dsp: its source package can't be got from the package index (see above)" >&2
        exit 2
    fi
    tar -xzf "$temporary"/cmsisdsp-*.tar.gz -C "$temporary"
    rm -rf "$folder" "$folder.new"
    mkdir -p "$folder.new"
    for part in Include PrivateInclude Source LICENSE; do
        cp -R "$temporary"/cmsisdsp-*/"$part" "$folder.new"
    done
    cp "$lock" "$folder.new/lock"
    mv "$folder.new" "$folder"
fi
echo "$folder"
