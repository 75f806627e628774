"""Train steps of this project against a plain PyTorch loop: the same network, batches, losses, precision and threads.

    python benchmarks/train_step.py --torch-python PYTHON

Three kinds of step, at the paper's batch sizes: sed (48 clips of 10 s, mean teacher), asc (256 clips of 1 s) and joint
(both). The sides take turns, each in a process of its own; of each part of a step the median is shown. PyTorch runs in
both of its memory layouts, and the faster one is the peer. PYTHON is an interpreter that has PyTorch and NumPy, by
default this one (extra "benchmark").
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_PARTS = ("input", "forward", "teacher", "rest", "step")
_LAYOUTS = ("contiguous", "channels_last")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter with PyTorch (default: this one)")
    parser.add_argument("--steps", type=int, default=4, help="timed steps of a process (default 4)")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each side and kind (default 2)")
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads (default: all cores)"
    )
    parser.add_argument("--kinds", default="sed,asc,joint", help="some of sed,asc,joint")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    found = {kind: _measure(kind, options) for kind in kinds}
    print(f"{platform.machine()}, {options.threads} threads, float32, {options.steps * options.rounds} steps of each")
    print(f"{'step':<6} {'side':<22}" + "".join(f"{part:>9}" for part in _PARTS) + "   steps/s")
    for kind, sides in found.items():
        for side, medians in sides.items():
            cells = "".join(f"{medians[part]:>8.3f}s" for part in _PARTS)
            print(f"{kind:<6} {side:<22}{cells}{1 / (medians['input'] + medians['step']):>10.2f}")
        print(f"{kind:<6} keras_mtl is {_ratio(sides):.2f} times as fast as the faster PyTorch loop")
    if options.json:
        ratios = {kind: _ratio(sides) for kind, sides in found.items()}
        document = {"threads": options.threads, "kinds": found, "times_as_fast": ratios}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def _measure(kind: str, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    numbers = [kind, str(options.steps), str(options.threads)]
    commands = {"keras_mtl": [sys.executable, str(_HERE / "step_keras.py"), *numbers]}
    for layout in _LAYOUTS:
        commands[f"torch {layout}"] = [options.torch_python, str(_HERE / "step_torch.py"), *numbers, layout]
    times: dict[str, dict[str, list[float]]] = {side: {part: [] for part in _PARTS} for side in commands}
    for _ in range(options.rounds):
        for side, command in commands.items():
            print(f"{kind}: {side}", file=sys.stderr, flush=True)
            for part, values in _run(command).items():
                times[side][part] += values
    return {side: {part: statistics.median(values) for part, values in all_.items()} for side, all_ in times.items()}


def _run(command: list[str]) -> dict[str, list[float]]:
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        raise SystemExit(f"{Path(command[1]).name}: {last}")
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _ratio(sides: dict[str, dict[str, float]]) -> float:
    """How many times as many steps a second, input included, as the faster peer."""
    seconds = {side: medians["input"] + medians["step"] for side, medians in sides.items()}
    return min(value for side, value in seconds.items() if side != "keras_mtl") / seconds["keras_mtl"]


if __name__ == "__main__":
    sys.exit(main())
