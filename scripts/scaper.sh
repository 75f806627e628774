#!/bin/sh
# Adds Scaper to the environment in .venv, from requirements-scaper.lock. One of its packages, soxbindings, is compiled
# against SoX's library, which is installed here where it is missing and this user may.
set -eu

cd "$(dirname "$0")/.."
python=.venv/bin/python

has_sox() { printf '#include <sox.h>\n' | "${CC:-cc}" -x c -fsyntax-only - >/dev/null 2>&1; }

if ! has_sox; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "scaper: SoX's library is missing: apt-get install libsox-dev" >&2
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends libsox-dev; } >&2 || true
    fi
    if ! has_sox; then
        echo "scaper: SoX's library or a C compiler is missing; on Debian and Ubuntu: apt-get install libsox-dev g++" >&2
        exit 2
    fi
fi
"$python" -m pip install --quiet --no-deps --require-hashes -r requirements-scaper.lock
"$python" -W ignore -c 'import scaper, soxbindings; print("scaper", scaper.__version__, "is ready")' >&2
