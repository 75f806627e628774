"""The self-tests of whole bundles on emulated Cortex-M cores: front end, listener and decoders there, networks here.

TensorFlow Lite Micro itself is not compiled for the core: its inputs and outputs cross over to the real interpreter of
this machine, call by call. Everything else of the bundle runs on the core, on its golden data.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from c_programs import CORTEX_M, HERE, Core, require
from small_artifacts import make_two_state

from keras_mtl.firmware_host.bundle import write_bundle
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import load_target

#: What each self-test says, stage by stage.
SAYS = {
    "model": ["features: passed", "input: passed", "network: passed", "vectors: passed", "scenes: passed"],
    "stream": [
        *["features: passed", "input: passed", "cells: largest difference 0 steps"],
        *["listener: passed", "decoder: passed"],
    ],
}
_LIMIT_S = 120
#: A bundle of yours: `make test-firmware BUNDLE=DIR`.
BUNDLE = os.environ.get("BUNDLE")


@pytest.fixture(scope="module")
def bundles(make_artifact, builder, tmp_path_factory) -> dict[str, Path]:
    """A bundle of one small model, and of a streaming artifact with two recurrent layers."""
    board, made = load_target("stm32h743"), {"model": make_artifact("int8"), "stream": make_two_state(builder, "int8")}
    return {
        kind: write_bundle(
            [(artifact, emulate(artifact, board, ("tflm",)))], tmp_path_factory.mktemp(kind) / "firmware"
        ).path
        for kind, artifact in made.items()
    }


@pytest.mark.parametrize("core", CORTEX_M, ids=lambda core: core.name)
@pytest.mark.parametrize("kind", [*SAYS, *(["yours"] if BUNDLE else [])])
def test_bundle_passes_on_the_core(core: Core, kind: str, bundles, built, tmp_path: Path) -> None:
    require(core)
    folder = Path(BUNDLE).resolve() if kind == "yours" and BUNDLE else bundles[kind]
    name = json.loads((folder / "manifest.json").read_text())["name"]
    program = built(core, HERE / "cortex_m" / "selftest_main.c", f"-DSELFTEST={name}_selftest", bundle=folder)
    said, calls = run_with_networks(program, folder, tmp_path)
    print(f"{core.name}: {', '.join(said)}; {calls} calls of networks")
    assert said[-1] == "PASS"
    assert calls > 0
    if kind in SAYS:
        assert said[:-1] == SAYS[kind]


def run_with_networks(program: Any, bundle: Path, folder: Path) -> tuple[list[str], int]:
    """The lines of a self-test, and how many calls of networks it made."""
    for pipe in ("requests", "answers"):
        os.mkfifo(folder / pipe)
    command = [sys.executable, str(HERE / "serve_networks.py"), str(bundle)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            said = program.run(cwd=folder, timeout_s=_LIMIT_S).split("\n")
            calls, _ = server.communicate(timeout=_LIMIT_S)
        finally:
            server.kill()
    return [line for line in said if line], int(calls)
