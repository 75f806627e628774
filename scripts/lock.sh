#!/bin/sh
# Resolves the dependencies of pyproject.toml (all extras but `sweep`, `scaper`, `benchmark`, `beam` and `listen`) into
# requirements.lock, what the extra `scaper` adds to them into requirements-scaper.lock, Arm's sizes of CMSIS-NN's buffers
# into requirements-cmsis-nn.lock, and the stand-in C compiler into requirements-compiler.lock: versions and hashes, no
# index addresses. Each lock holds for every Python that pyproject.toml takes, on Linux and x86-64: what differs has a marker.
# Arguments go to uv (for example --upgrade).
set -eu

cd "$(dirname "$0")/.."

# sed_scores_eval asks for `pathlib`, a backport for Python 2 that would shadow the standard library's module.
# ai-edge-litert asks for `backports.strenum`, whose later versions refuse Python 3.11: uv overlooks that, pip does not.
overrides=$(mktemp)
trap 'rm -f "$overrides"' EXIT
cat >"$overrides" <<END
pathlib ; python_version < "3"
backports.strenum < 1.3
END

# A pre-release is taken only where pyproject.toml pins one by name (tflite-micro has no releases).
set -- --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --prerelease if-necessary-or-explicit --custom-compile-command "make lock" "$@"
${UV:-.venv/bin/uv} pip compile pyproject.toml --extra train --extra dev --extra notebooks --extra sign --extra tflite-runtime \
    --overrides "$overrides" "$@" --output-file requirements.lock
# Within the versions of requirements.lock, so that it can be installed beside them.
${UV:-.venv/bin/uv} pip compile pyproject.toml --extra scaper --overrides "$overrides" --constraints requirements.lock "$@" \
    --output-file requirements-scaper.lock
echo "ziglang>=0.13" | ${UV:-.venv/bin/uv} pip compile - "$@" --output-file requirements-compiler.lock
# Only one compiled module of it is used (scripts/cmsis_nn.sh).
echo "executorch==1.5.1" | ${UV:-.venv/bin/uv} pip compile - --no-deps "$@" --output-file requirements-cmsis-nn.lock
# Markers without what is the same wherever the locks hold (`environments` in pyproject.toml).
sed -i -e "/ ; /{s/ and platform_python_implementation != 'PyPy'//;s/ and implementation_name != 'PyPy'//" \
    -e "s/ and platform_machine == 'x86_64'//;s/ and sys_platform == 'linux'//;s/ ; python_full_version < '3.14' / /}" requirements*.lock
