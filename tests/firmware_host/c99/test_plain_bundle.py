"""Bundles whose networks are plain C99: what is in them, whole self-tests here and on cores, and flipped bits."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_programs import CORTEX_M, CORTEX_M4F, HOST, SANITIZED, Core, require
from compiled import write_sources
from small_artifacts import make_two_state

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.bundle import verify_bundle, write_bundle
from keras_mtl.firmware_host.c99 import c_networks, code_bytes, constant_bytes, networks_texts
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.engines import run
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.tflite.artifact import Artifact

STAGES = {
    "stream": ["constants: passed", "features: passed", "input: passed", "cells: largest difference 0 steps",
               "listener: passed", "decoder: passed", "PASS"],
    "model": ["constants: passed", "features: passed", "input: passed", "network: passed", "vectors: passed",
              "scenes: passed", "PASS"],
}  # fmt: skip
FLIPS = 200


@pytest.fixture(scope="module")
def artifacts(make_artifact, builder) -> dict[str, Artifact]:
    """A streaming artifact with recurrent layers in both directions, and one small model."""
    return {"stream": make_two_state(builder, "int8"), "model": make_artifact("int16x8")}


@pytest.fixture(scope="module")
def checked(artifacts) -> dict[str, Report]:
    """The emulator's reports, with the engine c99 among the engines."""
    board = load_target("stm32h743")
    return {kind: emulate(artifact, board, ("tflm",), runtime="c99") for kind, artifact in artifacts.items()}


@pytest.fixture(scope="module")
def bundles(artifacts, checked, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("plain")
    return {
        kind: write_bundle([(artifact, checked[kind])], folder / kind, runtime="c99").path
        for kind, artifact in artifacts.items()
    }


@pytest.mark.parametrize("kind", STAGES)
def test_emulator_runs_the_c(kind: str, checked) -> None:
    found = {engine.engine: engine for engine in checked[kind].engines}
    assert found["c99"].ran
    assert found["c99"].from_base_lsb == found["tflm"].from_base_lsb
    assert checked[kind].passed


def test_engine_gives_what_tflm_gives(artifacts) -> None:
    artifact = artifacts["stream"]
    ours, theirs = (run(engine, artifact, artifact.golden.inputs).outputs for engine in ("c99", "tflm"))
    assert set(ours) == set(theirs)
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name])


@pytest.mark.parametrize("kind", STAGES)
def test_bundle_holds_no_interpreter(kind: str, bundles, checked) -> None:
    folder = bundles[kind]
    assert verify_bundle(folder).passed
    assert not [*folder.rglob("*.cc"), *folder.rglob("*tflm*")]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["runtime"] == "c99"
    linked = {part["name"] for part in json.loads((folder / "sbom.cdx.json").read_text())["components"]}
    assert "TensorFlow Lite Micro" not in linked
    # What was held against the board is what the folder has.
    sizes = checked[kind].artifact["c99"]
    assert sizes["memory_bytes"] == manifest["memory_bytes"]
    name = manifest["name"].upper()
    (header,) = folder.glob("*_networks.h")
    assert f"#define {name}_MEMORY_BYTES {manifest['memory_bytes']}\n" in header.read_text()
    ram = sizes["memory_bytes"] + sizes.get("listener_bytes", 0)
    assert next(check.value for check in checked[kind].checks if check.name == "arena_bytes") == ram
    assert "interpreter" not in next(check.why for check in checked[kind].checks if check.name == "flash_bytes")


def _selftest(core: Core, folder: Path, built: Any) -> Any:
    require(core)
    return built(core, folder / "selftest_main.c", bundle=folder)


@pytest.mark.parametrize(
    ("core", "kind"),
    [
        *[(core, "stream") for core in (HOST, *CORTEX_M)],
        *[pytest.param(core, "model", marks=pytest.mark.slow) for core in (HOST, SANITIZED, *CORTEX_M)],
        pytest.param(SANITIZED, "stream", marks=pytest.mark.slow),
    ],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_selftest_passes(core: Core, kind: str, bundles, built, tmp_path: Path) -> None:
    assert _selftest(core, bundles[kind], built).run(cwd=tmp_path).splitlines() == STAGES[kind]


def test_every_flipped_bit_is_found(artifacts, bundles, built, tmp_path: Path) -> None:
    program = _selftest(HOST, bundles["stream"], built)
    content, generator = program.path.read_bytes(), np.random.default_rng(3)
    networks = c_networks("any", {name: member.model for name, member in artifacts["stream"].members.items()})
    weights = [
        [layer.arrays["weights"].tobytes() for layer in network.program.layers if "weights" in layer.arrays]
        for network in networks
    ]
    assert all(weights)
    spoiled = tmp_path / "spoiled"
    for flip in range(FLIPS):
        of_member = weights[flip % len(weights)]
        one = of_member[generator.integers(len(of_member))]
        place, bit = content.index(one) + int(generator.integers(len(one))), int(generator.integers(8))
        spoiled.write_bytes(content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :])
        spoiled.chmod(0o755)
        done = subprocess.run([str(spoiled)], capture_output=True, text=True, check=False)
        assert done.returncode == 1, (flip, done.stdout)
        assert done.stdout.startswith("FAIL constants")


def test_flash_is_what_the_emulator_says(artifacts, tmp_path: Path) -> None:
    require(CORTEX_M4F)
    network = artifacts["model"].network.model

    def flash_bytes(models: list[Any], main: str, folder: Path) -> int:
        folder.mkdir()
        write_sources(models, folder)
        (folder / "main.c").write_text(main)
        options = ("-std=c99", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections")
        sources = map(str, sorted(folder.glob("*.c")))
        command = [*CORTEX_M4F.compiler, *options, *CORTEX_M4F.extra, *sources, "-o", str(folder / "run")]
        subprocess.run(command, check=True, cwd=folder)
        said = subprocess.run(["arm-none-eabi-size", folder / "run"], check=True, capture_output=True, text=True).stdout
        text, data, *_ = said.splitlines()[1].split()
        return int(text) + int(data)

    nothing = "int main(void) { return 0; }"
    one = '#include <stddef.h>\n#include "all.h"\nint main(void) { return net_run(NULL, 0, NULL, NULL); }'
    linked = flash_bytes([network], one, tmp_path / "one") - flash_bytes([network], nothing, tmp_path / "nothing")
    networks = c_networks("net", {"n0": network})
    said = code_bytes(networks) + sum(map(constant_bytes, networks))
    # Beside it copies of the C library, which a firmware has in any case.
    assert abs(said - linked) < 0.1 * linked + 512, (said, linked)


def test_same_network_gives_the_same_bytes(artifacts) -> None:
    texts = [
        networks_texts("same", "all", c_networks("same", {"one": artifacts["model"].network.model})) for _ in range(2)
    ]
    assert texts[0] == texts[1]
    assert not any("malloc" in text or "float" in text for text in texts[0].values())


def test_a_layer_without_c_is_named(make_artifact) -> None:
    artifact = make_artifact("float32")
    with pytest.raises(EngineRefused, match=r"no C99 for operator 0, CONV_2D \(layer maps\): .*float32"):
        run("c99", artifact, artifact.golden.inputs)


def test_a_missing_compiler_is_named(artifacts, monkeypatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    artifact = artifacts["model"]
    with pytest.raises(EngineRefused, match="needs a C compiler, and no-such-compiler is not there") as error:
        run("c99", artifact, artifact.golden.inputs)
    assert "CC" in error.value.hint
