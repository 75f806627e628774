#!/bin/sh
# Makes the environment in .venv, or in the folder that is named, from requirements.lock and installs the project into it
# (editable): environment.sh [FOLDER [VERSION]]. Exit status 3: there is no such Python.
#
# It needs one of the Pythons below with pip, and nothing else. Where neither PYTHON nor VERSION chooses, the first of them
# that is there is taken: 3.11 alone has all four interpreters (docs/toolchain.md). An existing environment is brought up to date, not made
# anew, unless PYTHON is of another version. Package indexes are those that pip is configured for (files or PIP_*
# variables); an UV_* variable that is set wins.
set -eu

cd "$(dirname "$0")/.."
venv=${1:-.venv}
python=$venv/bin/python
versions=${2:-3.11 3.13 3.12}
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf 'environment: %s\n' "$1" >&2; }
fail() {
    say "$1"
    exit "${2:-2}"
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

# Whether a Python is of the version, or, without one, of any that will do.
is_python() {
    case " ${2:-$versions} " in *" $(version_of "$1") "*) return 0 ;; esac
    return 1
}

find_base_python() {
    if [ -n "${PYTHON:-}" ]; then
        echo "$PYTHON"
        return
    fi
    for version in $versions; do
        for candidate in "python$version" python3 python "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
            if is_python "$candidate" "$version"; then
                echo "$candidate"
                return
            fi
        done
    done
    fail "no Python $(echo "$versions" | sed 's/ / or /g') was found: install one, or give it by name (make env PYTHON=/path/to/python)" 3
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
        fail "$venv has no Python 3.11, 3.12 or 3.13 with pip, and was not made here: move it away"
    fi
    rm -rf "$venv"
    mkdir -p "$venv"
    : >"$venv/.keras_mtl"
}

# Debian splits venv's pip and the headers off Python: pip can then fill a bare environment from outside.
make_venv() {
    base=$(find_base_python)
    say "making $venv with $("$base" --version 2>&1)"
    clear_venv
    "$base" -m venv "$venv" >/dev/null 2>&1 && return
    clear_venv
    "$base" -m venv --without-pip "$venv" || fail "python -m venv failed; on Debian and Ubuntu: apt-get install python$(version_of "$base")-venv"
    "$base" -m pip --python "$python" install --quiet pip || fail "pip is missing; on Debian and Ubuntu: apt-get install python3-pip"
}

compiles() { printf '#include <%s>\n' "$3" | "$1" -x "$2" -fsyntax-only - >/dev/null 2>&1; }

# sed_scores_eval comes as source with two C++ extensions. Without a compiler, a pinned one from the index serves.
find_compiler() {
    headers=libpython$(version_of "$python")-dev
    include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    if [ ! -f "$include/Python.h" ]; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "Python's headers are missing: apt-get install $headers"
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends $headers; } >&2 || true
        fi
        [ -f "$include/Python.h" ] || fail "Python's headers are missing; on Debian and Ubuntu: apt-get install $headers"
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

[ -z "${PYTHON:-}" ] || is_python "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.11, 3.12 or 3.13: give another, or none"
# Where PYTHON names none, an environment of any that will do stays.
wanted=${PYTHON:+$(version_of "$PYTHON")}
is_python "$python" "$wanted" && "$python" -m pip --version >/dev/null 2>&1 || make_venv
find_compiler
say "installing the packages of requirements.lock (about 3 GB)"
install_by_uv || install_by_pip
repair_soundfile
"$python" -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
say "ready: $venv"
