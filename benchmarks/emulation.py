"""How long `keras_mtl emulate` takes, whole and engine by engine, and `keras_mtl --help`; or what all boards say.

    python benchmarks/emulation.py ARTIFACT [--target NAME_OR_FILE] [--times N] [--json]
    python benchmarks/emulation.py ARTIFACT --boards [--json]

Each call is a process of its own, as a person or a CI starts it. Beside the seconds that passed stand those that
processors worked, of all processes of a call together: they say more on a machine that is busy with other things too.
With --boards, the table of what each shipped board says of the artifact: verdict, share of the core, energy, RAM.
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
from typing import Any

from keras_mtl.firmware_host.engines import ENGINES
from keras_mtl.firmware_host.targets import load_target, target_names

_TABLE = "| board | core | verdict | of the core | mJ a second of audio | RAM, of what is free | latency |\n"
_TABLE += "|---|---|---|---|---|---|---|"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", help="a .tflite file, or the folder of a set")
    parser.add_argument("--target", default="dcase-asc", help="default dcase-asc, which runs only the engines named")
    parser.add_argument("--times", type=int, default=5, help="calls of each kind (default 5)")
    parser.add_argument("--boards", action="store_true", help="instead: what each shipped board says of it")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    if options.boards:
        _boards(options.artifact, options.json)
        return 0
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


def _boards(artifact: str, as_json: bool) -> None:
    """Prints what `emulate` says of the artifact for each board."""
    reports = []
    for name in (name for name in target_names() if load_target(name).is_board):
        call = ["emulate", artifact, "--target", name, "--engine", "tflm", "--json"]
        done = subprocess.run([sys.executable, "-m", "keras_mtl", *call], capture_output=True, check=False)
        if done.returncode not in (0, 1):
            sys.exit(done.stderr.decode("utf-8", "replace"))
        reports.append(json.loads(done.stdout))
    if as_json:
        rows = [
            {key: report[key] for key in ("target", "checks", "compute", "remedies", "verdict")} for report in reports
        ]
        print(json.dumps({"schema": "keras_mtl.boards_benchmark/1", "rows": rows}, indent=2))
    else:
        print("\n".join([_TABLE, *map(_board, reports)]))


def _board(report: dict[str, Any]) -> str:
    """One row of the table."""
    checks, compute, target = {check["name"]: check for check in report["checks"]}, report["compute"], report["target"]
    failed = [f"`{name}`" for name, check in checks.items() if not check["ok"]]
    unsure = [f"`{name}`" for name, check in checks.items() if not check["certain"]]
    verdict = report["verdict"] + (f": {', '.join(failed)}" if failed else "")
    verdict += f", {', '.join(unsure)} not certain" if unsure else ""
    load = compute["load"] if compute else None
    energy = ((compute or {}).get("energy") or {}).get("mj_per_second")
    cells = [
        f"`{target['name']}`",
        f"{target['core']}, {target['clock_hz'] / 1e6:g} MHz",
        verdict,
        f"{load[0]:.0%} to {load[1]:.0%}" if load else "not measured",
        f"{energy[0]:g} to {energy[1]:g}" if energy else "not measured",
        f"{checks['arena_bytes']['value']:,} of {checks['arena_bytes']['limit']:,}",
        f"{checks['audio_latency_s']['value']:.3g} s",
    ]
    return "| " + " | ".join(cells) + " |"


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
