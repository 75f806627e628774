"""The C of operators, of all kinds of shapes and steps, gives the integers of the NumPy reference: NumPy = C = TFLM."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
from c_programs import CORTEX_M0, CORTEX_M4F, SANITIZED, Core, require
from compiled import compiled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.c99 import c_networks
from keras_mtl.firmware_host.reference import ReferenceInterpreter
from keras_mtl.tflite import flatbuffer

Drawn = tuple[bytes, list[list[np.ndarray]]]
FAMILIES = (
    cases.convolution, cases.depthwise, cases.dense, cases.pool, cases.elementwise, cases.unary, cases.joined,
    cases.parted, cases.sliced, cases.filled, cases.shaped, cases.converted, cases.transposed, cases.matrices,
    cases.reduced, cases.shares, cases.roots,
)  # fmt: skip
#: What the generator says no to; all else must become C.
REFUSED = (
    "a batch of", "groups of channels", "more than 4 dimensions", "a block of more than", "negative stride", "16 bits",
    "no such operator", "no code for", "a bias beyond", "factors of",
)  # fmt: skip
HOST_32 = Core("host, 32 bit", ("gcc", "-O2", "-m32"))


def drawn(family: Callable[[Any], Drawn], count: int) -> list[Drawn]:
    """Cases of a family, the same ones every time."""
    found: list[Drawn] = []

    @settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
    @given(data=st.data())
    def collect(data: st.DataObject) -> None:
        found.append(family(data.draw))

    collect()
    return found


def accepted(count: int) -> list[tuple[Any, list[list[np.ndarray]], list[list[np.ndarray]]]]:
    """Models of all families that there is C for, their inputs, and what the reference gives for them."""
    found, refused = [], 0
    for family in FAMILIES:
        for content, runs in drawn(family, count):
            model = flatbuffer.read_model(content)
            try:
                c_networks("net", {"only": model})
            except EngineRefused as error:
                assert any(why in error.message for why in REFUSED), error.message
                assert "(layer " in error.message
                refused += 1
                continue
            reference = ReferenceInterpreter(content)
            found.append((model, runs, [reference.run(inputs) for inputs in runs]))
    assert len(found) > refused
    return found


def check(core: Core, count: int, folder: Path) -> None:
    known = accepted(count)
    made = compiled([model for model, _, _ in known], core, folder)
    calls = [(number, inputs) for number, (_, runs, _) in enumerate(known) for inputs in runs]
    goals = [outputs for _, _, goal in known for outputs in goal]
    for (number, _), outputs, goal in zip(calls, made.run(calls, folder), goals, strict=True):
        for ours, theirs in zip(outputs, goal, strict=True):
            np.testing.assert_array_equal(
                ours, theirs, str([layer.title for layer in made.networks[number].program.layers])
            )


def test_c_gives_what_the_reference_gives(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not there")
    check(SANITIZED, 7, tmp_path)


@pytest.mark.parametrize("core", [CORTEX_M4F, CORTEX_M0], ids=lambda core: core.name)
def test_cores_with_dsp_instructions_and_without_long_products_give_the_same(core: Core, tmp_path: Path) -> None:
    require(core)
    check(core, 4, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("core", [SANITIZED, CORTEX_M4F, CORTEX_M0, HOST_32], ids=lambda core: core.name)
def test_thousands_of_operators(core: Core, tmp_path: Path) -> None:
    require(core)
    (tmp_path / "empty.c").write_text("int main(void) { return 0; }\n")
    linked = [*core.compiler, *core.extra, str(tmp_path / "empty.c"), "-o", str(tmp_path / "empty")]
    if subprocess.run(linked, capture_output=True, check=False).returncode:
        pytest.skip(f"no C library for {core.name}")
    (tmp_path / "empty.c").unlink()
    check(core, 60, tmp_path)
