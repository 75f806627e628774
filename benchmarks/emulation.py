"""Measures how long `keras_mtl emulate` takes, whole and engine by engine, and `keras_mtl --help`.

    python benchmarks/emulation.py ARTIFACT [--target NAME_OR_FILE] [--times N] [--json]

Each call is a process of its own, as a person or a CI starts it. Beside the seconds that passed stand those that
processors worked, of all processes of a call together: they say more on a machine that is busy with other things too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

from keras_mtl.firmware_host.engines import ENGINES


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", help="a .tflite file, or the folder of a set")
    parser.add_argument("--target", default="dcase-asc", help="default dcase-asc, which runs only the engines named")
    parser.add_argument("--times", type=int, default=5, help="calls of each kind (default 5)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    emulate = ["emulate", options.artifact, "--target", options.target]
    calls = {"--help": ["--help"], "emulate": emulate}
    calls |= {f"emulate --engine {engine}": [*emulate, "--engine", engine] for engine in ENGINES}
    rows = [{"call": name, **_measured(call, options.times)} for name, call in calls.items()]
    if options.json:
        machine = {"processors": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
        print(json.dumps({"schema": "keras_mtl.emulation_benchmark/1", **machine, "rows": rows}, indent=2))
    else:
        for row in rows:
            print(f"{row['call']:<34} {row['seconds']:6.2f} s   {row['processor_seconds']:6.2f} s of processors")
    return 0


def _measured(arguments: list[str], times: int) -> dict[str, float]:
    """The median of both times; the first call, which may read files from a cold disk, does not count."""
    passed, worked = [], []
    for _ in range(times + 1):
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-m", "keras_mtl", *arguments], capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in (0, 1):
            sys.exit(done.stderr.decode("utf-8", "replace"))
        passed.append(time.monotonic() - began)
        worked.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    found = {"seconds": statistics.median(passed[1:]), "processor_seconds": statistics.median(worked[1:])}
    return {key: round(value, 3) for key, value in found.items()}


if __name__ == "__main__":
    sys.exit(main())
