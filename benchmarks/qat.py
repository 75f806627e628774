"""Quantizes a network for scikit-learn's digits in every way that a user may pick, and puts the results side by side.

    python benchmarks/qat.py --out runs/qat

The network is a small ResNet, trained here. `easy` is that network. `outliers` is the same function with weights moved
so that a few channels of one map are far larger than the others (a ReLU lets a factor through): in 8 bits with one step
for the map, the small channels have few levels left, which training gets back and calibration does not. Accuracy is
that of the file on TensorFlow Lite Micro. `steps` is the largest difference of an output from the forward pass that was
trained or, of files that nothing was trained for, from the float network on the output's levels. OUT gets qat.json and
qat.md. ai-edge-quantizer is run by the Python that --ai-edge names, an environment of its own that has it installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from qat_network import WIDTH, network
from sklearn.datasets import load_digits

from keras_mtl import qat
from keras_mtl.core import KerasMtlError
from keras_mtl.firmware_host.engines import run
from keras_mtl.tflite.artifact import Artifact

Row = dict[str, Any]
Data = dict[str, tuple[np.ndarray, np.ndarray]]

SCHEMES = ("int8", "int16x8")
_CALIBRATION, _TEST = 200, 360
_OUTLIERS, _FACTOR = 3, 48.0
#: Ways that calibrate only: a name, the method, whether equalised and whether corrected.
_POST_TRAINING = (
    ("PTQ", "error", False, False),
    ("PTQ, minmax", "minmax", False, False),
    ("PTQ, percentile", "percentile", False, False),
    ("PTQ, moving average", "moving_average", False, False),
    ("PTQ, equalised", "error", True, False),
    ("PTQ, corrected", "error", False, True),
    ("PTQ, equalised and corrected", "error", True, True),
)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, help="folder of the results")
    parser.add_argument("--float-epochs", type=int, default=12, help="passes of the float training (default 12)")
    parser.add_argument("--epochs", type=int, default=3, help="passes of the quantization-aware training (default 3)")
    parser.add_argument("--cases", default="easy,outliers", help="some of them, comma-separated (default both)")
    parser.add_argument("--schemes", default=",".join(SCHEMES), help="some of them, comma-separated (default both)")
    parser.add_argument("--ai-edge", metavar="PYTHON", help="the Python of an environment with ai-edge-quantizer")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    x, y = load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8, 1) / 8.0 - 1.0).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    data = {"train": (x[_TEST:], y[_TEST:]), "test": (x[:_TEST], y[:_TEST])}
    keras.utils.set_random_seed(0)
    easy = network(keras)
    _train(easy, *data["train"], options.float_epochs, 3e-3)
    rows: list[dict[str, Any]] = []
    for case, model in (("easy", easy), ("outliers", _with_outliers(easy))):
        if case not in options.cases.split(","):
            continue
        rows += _rows(case, model, data, options)
        document = {"schema": "keras_mtl.qat_benchmark/1", "rows": rows}
        (options.out / "qat.json").write_text(json.dumps(document, indent=2) + "\n")
        (options.out / "qat.md").write_text(_table(rows))
    print(_table(rows), end="")
    return 0


def _train(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int, rate: float) -> None:
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", jit_compile=False)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)


def _with_outliers(model: keras.Model) -> keras.Model:
    """The same function: channels of the last map before the mean are larger, and are read by smaller weights."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    mixed, digit = copy.get_layer("mix_2"), copy.get_layer("digit")
    factors = np.ones(WIDTH, np.float32)
    factors[:_OUTLIERS] = _FACTOR
    kernel, bias = mixed.get_weights()
    mixed.set_weights([kernel * factors, bias * factors])
    kernel, bias = digit.get_weights()
    digit.set_weights([kernel / factors[:, None], bias])
    return copy


def _rows(case: str, model: keras.Model, data: Data, options: argparse.Namespace) -> list[Row]:
    x, y = data["test"]
    goal = np.asarray(model(x, training=False))
    accuracy = float(np.mean(np.argmax(goal, -1) == y))
    found: list[Row] = [{"case": case, "way": "float", "scheme": "float32", "accuracy": accuracy}]
    seen = data["train"][0][:_CALIBRATION]
    for scheme in options.schemes.split(","):
        for way, method, equalised, corrected in _POST_TRAINING:
            twin = qat.quantize_model(model, scheme)
            if equalised:
                qat.equalise(twin)
            qat.calibrate(twin, seen, method)
            if corrected:
                qat.correct_biases(twin, seen)
            found.append({"case": case, "way": f"keras_mtl {way}", "scheme": scheme} | _scored(qat.convert(twin, x), y))
        twin = qat.quantize_model(model, scheme)
        qat.calibrate(twin, seen)
        _train(twin, *data["train"], options.epochs, 1e-3)
        found.append({"case": case, "way": "keras_mtl QAT", "scheme": scheme} | _scored(qat.convert(twin, x), y))
    found += [{"case": case} | row for row in _rivals(model, data, options)]
    dense = keras.models.clone_model(model)
    dense.set_weights(model.get_weights())
    dense.quantize("int8")
    quantized = float(np.mean(np.argmax(np.asarray(dense(x, training=False)), -1) == y))
    why = "dense layers only, and no integer file"
    found.append({"case": case, "way": "Keras model.quantize", "scheme": "int8", "accuracy": quantized, "refused": why})
    return found


def _rivals(model: keras.Model, data: Data, options: argparse.Namespace) -> list[Row]:
    """What each of the others makes of a network, each in a process of its own."""
    saved, examples, weights, arrays = (
        options.out / name for name in ("model.keras", "examples.npy", "weights.npz", "data.npz")
    )
    (x, y), (test, labels) = data["train"], data["test"]
    model.save(saved)
    np.save(examples, x[:_CALIBRATION])
    np.savez(weights, **{f"{each.name}/{n}": w for each in model.layers for n, w in enumerate(each.get_weights())})
    np.savez(arrays, x=x, y=y, seen=x[:_CALIBRATION], test=test)
    folders = {name: options.out / name for name in ("converter", "ai_edge", "tfmot")}
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    converter, ai_edge, tfmot = folders.values()
    plain = converter / "float32.tflite"
    died = {
        converter: _worker(sys.executable, "qat_converter.py", saved, examples, converter),
        ai_edge: _worker(options.ai_edge, "qat_ai_edge.py", plain, examples, ai_edge)
        if options.ai_edge
        else "not asked for",
        tfmot: _worker(sys.executable, "qat_tfmot.py", weights, arrays, options.epochs, tfmot, TF_USE_LEGACY_KERAS="1"),
    }
    goal = np.asarray(model(test, training=False))
    schemes = [scheme for scheme in SCHEMES if scheme in options.schemes.split(",")]
    ways = [("TFLite converter PTQ", scheme, converter, scheme) for scheme in schemes]
    ways += [("ai-edge-quantizer PTQ", scheme, ai_edge, scheme) for scheme in schemes if options.ai_edge]
    if "int8" in schemes:
        ways += [("tfmot calibrated", "int8", tfmot, "calibrated"), ("tfmot QAT", "int8", tfmot, "trained")]
    found = []
    for way, scheme, folder, name in ways:
        row = {"way": way, "scheme": scheme}
        file, outputs = folder / f"{name}.tflite", folder / f"{name}.npy"
        if not file.exists():
            found.append(row | {"refused": died[folder] or "no file"})
            continue
        artifact = Artifact.of(file.read_bytes())
        port, end = artifact.network.inputs[0], artifact.network.outputs[0]
        wanted = end.quantize(np.load(outputs) if outputs.exists() else goal)
        found.append(row | _measured(artifact, port.quantize(test), wanted, labels))
    return found


def _worker(python: str, script: str, *words: Any, **environment: str) -> str | None:
    """Runs a script of this folder; gives the last line of its complaint if it died."""
    command = [python, str(Path(__file__).with_name(script)), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    return (done.stderr.strip().splitlines() or ["it died"])[-1][:100] if done.returncode else None


def _scored(artifact: Artifact, y: np.ndarray) -> dict[str, Any]:
    assert artifact.golden is not None
    return _measured(artifact, artifact.golden.inputs["input_0"], artifact.golden.outputs["output_0"], y)


def _measured(artifact: Artifact, inputs: np.ndarray, goal: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """What TensorFlow Lite Micro makes of a file."""
    sizes = {"bytes": artifact.file_bytes}
    try:
        made = run("tflm", artifact, {"input_0": inputs})
    except KerasMtlError as error:
        return {**sizes, "refused": error.message[:100]}
    output = made.outputs["output_0"].reshape(goal.shape)
    accuracy = float(np.mean(np.argmax(output, -1) == y))
    integers = np.issubdtype(output.dtype, np.integer)
    steps = {"steps": int(np.abs(output.astype(int) - goal).max())} if integers else {}
    return {**sizes, "accuracy": accuracy, **steps, "arena_bytes": made.arena_total_bytes}


def _table(rows: list[dict[str, Any]]) -> str:
    """The rows; in brackets what they are off the float network, in points."""
    lines = ["| case | way | scheme | accuracy | steps | bytes | arena | TFLM |", "|---|---|---|---|---|---|---|---|"]
    goals = {row["case"]: row["accuracy"] for row in rows if row["way"] == "float"}
    for row in rows:
        accuracy = ""
        if "accuracy" in row:
            points = 100 * (row["accuracy"] - goals[row["case"]])
            accuracy = f"{100 * row['accuracy']:.1f}" + ("" if row["way"] == "float" else f" ({points:+.1f})")
        sizes = [f"{row[key]:,}" if key in row else "" for key in ("steps", "bytes", "arena_bytes")]
        runs = "" if row["way"] == "float" else row.get("refused", "runs")
        lines.append("| " + " | ".join([row["case"], row["way"], row["scheme"], accuracy, *sizes, runs]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
