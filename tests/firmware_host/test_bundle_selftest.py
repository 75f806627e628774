"""The self-tests of bundles: the C is compiled as a firmware engineer would, and the networks are the real ones.

No package ships TensorFlow Lite Micro's headers, so the networks run in the Python package, called from the C by a
function pointer: the front end, the listener, the decoders and the comparisons are those of the bundle.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from c_programs import HERE, HOST, require
from run_selftest import networks_of
from small_artifacts import DECODED_OTHERWISE, ODD_NAMES, make_two_state
from tflm_declarations import check_for_tflm

from keras_mtl import qat
from keras_mtl.core import Labels
from keras_mtl.decoding import DecodeSettings
from keras_mtl.firmware_host.bundle import write_bundle
from keras_mtl.firmware_host.c99 import real
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import load_target

layers = keras.layers
_STRICT = ("-std=c99", "-O1", "-fPIC", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow")


@pytest.fixture(scope="module")
def selftest(tmp_path_factory) -> Callable[..., dict[str, Any]]:
    """Compiles a bundle's self-test and runs it: `selftest(folder, spoil=(network, call, output, index))`.

    `fixed`: whether with the fixed-point front end.
    """
    require(HOST)
    libraries: dict[tuple[Path, bool], Path] = {}

    def run(folder: Path, spoil: tuple[int, ...] = (), fixed: bool = False) -> dict[str, Any]:
        if (folder, fixed) not in libraries:
            library = libraries[folder, fixed] = tmp_path_factory.mktemp("library") / "selftest.so"
            sources = [path for path in sorted(folder.rglob("*.c")) if not path.name.endswith("_main.c")]
            include = [f"-I{folder}", f"-I{folder / 'kmtl'}"]
            linked = [*map(str, sources), "-lm", "-shared", "-o", str(library)]
            done = subprocess.run(
                ["gcc", *_STRICT, f"-DKMTL_LOG_MEL_FIXED={int(fixed)}", *include, *linked],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        call = [
            sys.executable,
            str(HERE / "run_selftest.py"),
            str(libraries[folder, fixed]),
            str(folder),
            *map(str, spoil),
        ]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def board():
    return load_target("stm32h743")


@pytest.fixture(scope="module")
def model_folders(make_artifact, board, tmp_path_factory) -> Callable[[str], Path]:
    """The bundle of the small network in a format."""

    @functools.cache
    def write(fmt: str, decoding: tuple[float, ...] = ()) -> Path:
        artifact = make_artifact(fmt, **({"decoding": asdict(DecodeSettings(*decoding))} if decoding else {}))
        report = emulate(artifact, board, ("tflm",))
        return write_bundle([(artifact, report)], tmp_path_factory.mktemp("model") / "firmware").path

    return write


@pytest.mark.parametrize("fmt", ["int8", "int16x8", "float32"])
def test_model_passes_every_stage(model_folders, selftest, fmt):
    done = selftest(model_folders(fmt))
    stages = ["features", "input", "network", "vectors", "scenes"]
    if fmt == "float32":
        stages.remove("scenes")  # the smoother takes integers
    assert done["lines"] == [f"{stage}: passed" for stage in stages] + ["PASS"]
    assert (done["status"], done["calls"]) == (0, {"model": 4})


def test_a_network_of_ones_own_passes(selftest, board, tmp_path):
    """A twin of `keras_mtl.qat` with two inputs, two outputs, a recurrent layer and 16 bits in a part of it."""
    keras.utils.set_random_seed(0)
    image, motion = keras.Input((6, 6, 1), name="image"), keras.Input((4, 3), name="motion")
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(image))
    both = layers.Concatenate()([seen, layers.GRU(3, name="gru")(motion)])
    ends = [layers.Dense(3, activation="softmax", name="kind")(both), layers.Dense(1, name="speed")(both)]
    random = np.random.default_rng(0)
    x = {"image": random.normal(size=(4, 6, 6, 1)), "motion": random.normal(size=(4, 4, 3))}
    twin = qat.quantize_model(keras.Model([image, motion], ends), "int8", {"gru": "int16x8", "speed": "int16x8"})
    qat.calibrate(twin, {name: values.astype(np.float32) for name, values in x.items()})
    artifact = qat.convert(twin, {name: values.astype(np.float32) for name, values in x.items()})
    report = emulate(artifact, board, ("tflm", "c99"))
    assert report.passed, report
    done = selftest(write_bundle([(artifact, report)], tmp_path / "firmware").path)
    assert done["lines"] == ["vectors: passed", "PASS"]
    assert done["status"] == 0
    spoiled = selftest(tmp_path / "firmware", (0, 1, 1, 0))
    assert spoiled["status"] != 0
    assert spoiled["lines"][-1] != "PASS"


def test_model_passes_with_the_fixed_point_front_end(model_folders, selftest):
    done = selftest(model_folders("int8"), fixed=True)
    assert (done["lines"][0], done["lines"][-1]) == ("features: passed", "PASS")


def test_scenes_are_smoothed_as_the_manifest_says(model_folders, selftest):
    usual, quick = model_folders("int8"), model_folders("int8", (0.5, 0.45, 0.0, 0.9, 1))
    assert selftest(quick)["lines"][-2:] == ["scenes: passed", "PASS"]
    for folder, weight, hold in ((usual, 0.3, 3), (quick, 0.9, 1)):
        settings = (folder / "model_settings.h").read_text()
        assert f"_SCENE_WEIGHT {real(weight)}\n" in settings
        assert f"_SCENE_HOLD {hold}\n" in settings
    scenes = [np.fromfile(folder / "golden_scene.bin", "<i2") for folder in (usual, quick)]
    assert scenes[0].tolist() != scenes[1].tolist()


def test_first_difference_of_a_model_is_told(model_folders, selftest):
    folder = model_folders("int8")
    golden = list((folder / "golden_output.bin").read_bytes())
    third = [value - 256 if value > 127 else value for value in golden[5:10]]
    done = selftest(folder, spoil=(0, 2, 0, 3))
    assert done["status"] == 4
    assert done["lines"][-1] == f"FAIL vectors[3]: expected {third[3]}, found {third[3] + 1}"
    assert selftest(folder, spoil=(0, 0, 0, 1))["lines"][-1].startswith("FAIL network[1]: expected ")


def test_networks_are_well_formed_for_tflm(model_folders, tmp_path):
    """Against declarations, since no package ships the headers; with the real library they are linked by hand."""
    assert check_for_tflm(model_folders("int8"), tmp_path) == 2


#: Both kinds of event decoder, both types, and each task alone.
STREAMS: dict[str, tuple[Any, ...]] = {
    "both ways": ("int8",),
    "causal": ("int16", 2),
    "scenes": ("int8", 0, "scenes"),
    "events": ("int16", 0, "events"),
    "otherwise": ("int8", 0, "joint", DECODED_OTHERWISE),
    "named": ("int16", 0, "joint", DecodeSettings(0.5, 0.06), Labels(ODD_NAMES, ODD_NAMES[:1])),
}


@pytest.fixture(scope="module")
def stream_folders(builder, board, tmp_path_factory) -> Callable[[str], Path]:
    """The bundle of a streaming artifact."""

    @functools.cache
    def write(kind: str) -> Path:
        artifact = make_two_state(builder, *STREAMS[kind])
        report = emulate(artifact, board, ("tflm",))
        return write_bundle([(artifact, report)], tmp_path_factory.mktemp("stream") / "firmware").path

    return write


@pytest.mark.parametrize("kind", STREAMS)
def test_streaming_artifact_passes_every_stage(stream_folders, selftest, kind):
    done = selftest(stream_folders(kind))
    events = kind != "scenes"
    cells = ["cells: largest difference 0 steps"] if events else []
    decoder = ["decoder: passed"] if events else []
    assert done["lines"] == ["features: passed", "input: passed", *cells, "listener: passed", *decoder, "PASS"]


@pytest.mark.parametrize(
    ("file", "stage", "status"),
    [("levels", "features", 1), ("network_input", "input", 2), ("changes", "decoder", 4)],
)
def test_wrong_golden_data_fail_their_stage(stream_folders, selftest, tmp_path, file, stage, status):
    """As a front end, a quantization or a decoder that is wrong would."""
    folder = Path(shutil.copytree(stream_folders("events"), tmp_path / "firmware"))
    source = folder / "golden_audio.c"
    lines = source.read_text().split("\n")
    at = next(i for i, line in enumerate(lines) if f"_golden_{file}[" in line) + 1
    first, rest = lines[at].split(",", 1)
    lines[at] = f"{int(first) + 100},{rest}"
    source.write_text("\n".join(lines))
    done = selftest(folder)
    assert done["status"] == status
    assert done["lines"][-1].startswith(f"FAIL {stage}[0]: expected ")


@pytest.mark.parametrize(("network", "output", "what"), [("encoder_step", 1, "embedding"), ("scene_head", 0, "logits")])
def test_first_difference_of_a_network_that_listens_is_told(stream_folders, selftest, network, output, what):
    folder = stream_folders("both ways")
    names = [path.stem for path in networks_of(folder)]
    done = selftest(folder, spoil=(names.index(network), 2, output, 1))
    elements = 4 if what == "embedding" else 3
    assert done["lines"][-1].startswith(f"FAIL {what}[{2 * elements + 1}]: expected ")
    assert done["status"] == 3
    scores = selftest(folder, spoil=(names.index("classifiers"), 2, 0, 0))
    assert "cells: largest difference 1 steps" in scores["lines"]
    assert scores["lines"][-1] == "PASS"  # what is heard does not hang on a step of rounding


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("golden_audio.c", "_golden_heard[", "", "FAIL listener: more scenes and events than there are"),
        ("listener.c", "1u, 4u, 3u,", "1u, 4u, 2u,", "FAIL logits["),
        (
            "listener.c",
            "&stream_int8_log_mel_tables,\n    ",
            "&stream_int8_log_mel_tables,\n    2.0f * ",
            "FAIL log_mel[",
        ),
    ],
)
def test_a_listener_that_hears_something_else_fails(stream_folders, selftest, tmp_path, file, old, new, says):
    folder = Path(shutil.copytree(stream_folders("both ways"), tmp_path / "firmware"))
    text = (folder / file).read_text()
    assert text.count(old) == 1
    if new:
        text = text.replace(old, new)
    else:  # the first number of the array
        head, rest = text.split(old)
        line, number = rest.split("\n    ", 1)
        text = f"{head}{old}{line}\n    9{number}"
    (folder / file).write_text(text)
    done = selftest(folder)
    assert done["lines"][-1].startswith(says)
    assert done["status"] == 3
