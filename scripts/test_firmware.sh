#!/bin/sh
# Tests the C around the network on this machine and on emulated Cortex-M cores, and measures what it costs there. All of
# it must run: a tool that is missing is an error here, where `make test` skips. Installs the cross compiler and QEMU from
# Debian packages where this user may. With RECORDINGS=DIR in the environment the front end hears that folder's audio,
# too, and with BUNDLE=DIR that bundle's self-test runs on the cores.
set -eu

cd "$(dirname "$0")/.."
python=.venv/bin/python

missing() {
    for tool in gcc g++ arm-none-eabi-gcc qemu-system-arm; do
        command -v "$tool" >/dev/null 2>&1 || printf ' %s' "$tool"
    done
    # The compiler without its C library is of no use.
    ! command -v arm-none-eabi-gcc >/dev/null 2>&1 ||
        printf '#include <stdio.h>\n' | arm-none-eabi-gcc --specs=rdimon.specs -x c -fsyntax-only - >/dev/null 2>&1 ||
        printf ' newlib'
}

packages="gcc g++ gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
if [ -n "$(missing)" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "test-firmware: missing:$(missing): apt-get install $packages" >&2
    # shellcheck disable=SC2086 # the list is meant to be split
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } >&2 || true
fi
if [ -n "$(missing)" ]; then
    echo "test-firmware: missing:$(missing); on Debian and Ubuntu: apt-get install $packages" >&2
    exit 2
fi
for folder in "${RECORDINGS:-}" "${BUNDLE:-}"; do
    if [ -n "$folder" ] && [ ! -d "$folder" ]; then
        echo "test-firmware: $folder is no folder" >&2
        exit 2
    fi
done
REQUIRE_FIRMWARE_TOOLS=1 "$python" -m pytest -rP -q tests/firmware_host/test_c_*.py tests/firmware_host/c99 \
    tests/firmware_host/test_golden_audio.py
"$python" -P benchmarks/firmware_c.py --out benchmarks/results
