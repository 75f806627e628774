#!/bin/sh
# Runs the test suite, or the part of it in TESTS, on each of Python 3.11, 3.12 and 3.13 that is there, each in an
# environment of its own in build/venv-VERSION. One that is not there is told, and fails nothing.
set -eu

cd "$(dirname "$0")/.."
failed=
for version in 3.11 3.12 3.13; do
    venv=build/venv-$version
    status=0
    PYTHON='' sh scripts/environment.sh "$venv" "$version" || status=$?
    case $status in
        0) ;;
        3) continue ;;
        *) exit "$status" ;;
    esac
    # shellcheck disable=SC2086 # several paths
    "$venv/bin/python" -P -m pytest -m "not slow" -n 2 --dist loadgroup ${TESTS:-tests} || failed="$failed $version"
done
if [ -n "$failed" ]; then
    echo "test-pythons: failed on Python$failed" >&2
    exit 1
fi
