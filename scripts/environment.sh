#!/bin/sh
# Makes the environment in .venv from requirements.lock and installs the project into it (editable).
#
# It needs Python 3.11 with pip, and nothing else. An existing .venv is brought up to date, not made anew. Package
# indexes are those that pip is configured for (files or PIP_* variables); an UV_* variable that is set wins.
set -eu

cd "$(dirname "$0")/.."
venv=.venv
python=$venv/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf 'environment: %s\n' "$1" >&2; }
fail() {
    say "$1"
    exit 2
}

is_python_311() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; }

find_base_python() {
    for candidate in ${PYTHON:-} python3.11 python3 python; do
        if is_python_311 "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 was not found: install it, or give it by name (make env PYTHON=/path/to/python3.11)"
}

# The block of one package in the lock file, hashes and all, so that pip can install it before the rest.
from_lock() { awk -v start="$1==" 'index($0, start) == 1 { on = 1 } on { print } on && !/\\$/ { exit }' requirements.lock; }

# What pip would use for a setting: its environment variable, else its configuration files.
pip_setting() {
    variable=PIP_$(echo "$1" | tr 'a-z-' 'A-Z_')
    value=$(printenv "$variable" || true)
    for section in install global; do
        [ -n "$value" ] || value=$("$python" -m pip config get "$section.$1" 2>/dev/null || true)
    done
    echo "$value" | tr '\n' ' ' | sed 's/ *$//'
}

# Sets an UV_* variable that is not set yet, from pip's setting (the third argument separates the items of a list).
uv_takes() {
    [ -z "$(printenv "$1" || true)" ] || return 0
    value=$(pip_setting "$2" | tr -s ' ' "${3:- }")
    [ -z "$value" ] || export "$1=$value"
}

# The marker is there from the first moment on, so that an interrupted start can be cleared away, and nothing else is.
clear_venv() {
    if [ -n "$(ls -A "$venv" 2>/dev/null)" ] && [ ! -e "$venv/.keras_mtl" ] && [ ! -e "$venv/made-in" ]; then
        fail "$venv has no Python 3.11 with pip, and was not made here: move it away"
    fi
    rm -rf "$venv"
    mkdir "$venv"
    : >"$venv/.keras_mtl"
}

# Debian splits venv's pip and the headers off Python: pip can then fill a bare environment from outside.
make_venv() {
    base=$(find_base_python)
    say "making $venv with $("$base" --version 2>&1)"
    clear_venv
    "$base" -m venv "$venv" >/dev/null 2>&1 && return
    clear_venv
    "$base" -m venv --without-pip "$venv" || fail "python -m venv failed; on Debian and Ubuntu: apt-get install python3.11-venv"
    "$base" -m pip --python "$python" install --quiet pip || fail "pip is missing; on Debian and Ubuntu: apt-get install python3-pip"
}

compiles() { printf '#include <%s>\n' "$3" | "$1" -x "$2" -fsyntax-only - >/dev/null 2>&1; }

# sed_scores_eval comes as source with two C++ extensions. Without a compiler, a pinned one from the index serves.
find_compiler() {
    include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    if [ ! -f "$include/Python.h" ]; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "Python's headers are missing: apt-get install libpython3.11-dev"
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends libpython3.11-dev; } >&2 || true
        fi
        [ -f "$include/Python.h" ] || fail "Python's headers are missing; on Debian and Ubuntu: apt-get install libpython3.11-dev"
    fi
    [ -z "${CXX:-}" ] || return 0
    for pair in cc:c++ gcc:g++ clang:clang++; do
        if compiles "${pair%:*}" c stdlib.h && compiles "${pair#*:}" c++ vector; then
            export CC="${pair%:*}" CXX="${pair#*:}"
            return 0
        fi
    done
    say "no C++ compiler on this machine: one from the package index is used (ziglang, 100 MB)"
    "$python" -m pip install --quiet --require-hashes -r requirements-compiler.lock ||
        fail "no C++ compiler; on Debian and Ubuntu: apt-get install g++"
    export CC="$PWD/$python -m ziglang cc" CXX="$PWD/$python -m ziglang c++"
}

install_by_uv() {
    from_lock uv >"$venv/uv.lock"
    "$python" -m pip install --quiet --require-hashes --no-deps -r "$venv/uv.lock" || return 1
    uv_takes UV_DEFAULT_INDEX index-url
    uv_takes UV_INDEX extra-index-url
    uv_takes UV_FIND_LINKS find-links ,
    uv_takes UV_INSECURE_HOST trusted-host
    uv_takes UV_HTTP_TIMEOUT timeout
    uv_takes SSL_CERT_FILE cert
    # Where Python is told to write no bytecode, every process would compile TensorFlow's sources anew (7 s each).
    [ -z "${PYTHONDONTWRITEBYTECODE:-}" ] || export UV_COMPILE_BYTECODE=1
    # The lock's hashes decide what is taken, so any index may offer it, as with pip.
    "$venv/bin/uv" pip install --python "$python" --index-strategy unsafe-best-match --no-deps --require-hashes \
        --build-constraints requirements.lock -r requirements.lock
}

install_by_pip() {
    say "uv could not do it: pip does (minutes rather than seconds)"
    "$python" -m pip install --quiet --no-deps --require-hashes -r requirements.lock
}

# soundfile's wheel for any platform brings no libsndfile. Where one index has that and another has this platform's, uv
# takes what it sees first; pip looks at all of them and takes this platform's.
repair_soundfile() {
    "$python" -c 'import soundfile' >/dev/null 2>&1 && return
    from_lock soundfile >"$venv/soundfile.lock"
    "$python" -m pip install --quiet --force-reinstall --no-deps --require-hashes -r "$venv/soundfile.lock"
    "$python" -c 'import soundfile' >/dev/null 2>&1 ||
        fail "libsndfile is missing; on Debian and Ubuntu: apt-get install libsndfile1"
}

is_python_311 "$python" && "$python" -m pip --version >/dev/null 2>&1 || make_venv
find_compiler
say "installing the packages of requirements.lock (about 3 GB)"
install_by_uv || install_by_pip
repair_soundfile
"$python" -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
say "ready: $venv"
