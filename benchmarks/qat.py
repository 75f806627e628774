"""Quantizes a network for scikit-learn's digits in every way that a user may pick, and puts the results side by side.

    python benchmarks/qat.py --out runs/qat

The network is a small ResNet, trained here. `easy` is that network. `outliers` is the same function with weights moved
so that a few channels of one map are far larger than the others (a ReLU lets a factor through): in 8 bits with one step
for the map, the small channels have few levels left, which training gets back and calibration does not. Accuracy is
that of the file on TensorFlow Lite Micro. `steps` is the largest difference of an output from the forward pass that was
trained or, of the converter's files, from the float network on the output's levels. OUT gets qat.json and qat.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_mtl import qat
from keras_mtl.core import KerasMtlError
from keras_mtl.firmware_host.engines import run
from keras_mtl.tflite.artifact import Artifact

layers = keras.layers
SCHEMES = ("int8", "int16x8")
_CALIBRATION, _TEST = 200, 360
_WIDTH, _OUTLIERS, _FACTOR = 12, 3, 48.0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, help="folder of the results")
    parser.add_argument("--float-epochs", type=int, default=12, help="passes of the float training (default 12)")
    parser.add_argument("--epochs", type=int, default=3, help="passes of the quantization-aware training (default 3)")
    parser.add_argument("--cases", default="easy,outliers", help="some of them, comma-separated (default both)")
    parser.add_argument("--schemes", default=",".join(SCHEMES), help="some of them, comma-separated (default both)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    x, y = load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8, 1) / 8.0 - 1.0).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    data = {"train": (x[_TEST:], y[_TEST:]), "test": (x[:_TEST], y[:_TEST])}
    keras.utils.set_random_seed(0)
    easy = _network()
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


def _network() -> keras.Model:
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.ReLU()(layers.Conv2D(_WIDTH, 3, padding="same", name="stem")(inputs))
    for block in (1, 2):
        y = layers.Conv2D(_WIDTH, 3, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(y))
        y = layers.BatchNormalization(momentum=0.9)(layers.Conv2D(_WIDTH, 3, padding="same", use_bias=False)(y))
        x = layers.MaxPooling2D(2)(layers.ReLU()(layers.Add()([x, y])))
        x = layers.ReLU()(layers.Conv2D(_WIDTH, 1, name=f"mix_{block}")(x))
    x = layers.Dense(10, activation="softmax", name="digit")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x, name="digits")


def _train(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int, rate: float) -> None:
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", jit_compile=False)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)


def _with_outliers(model: keras.Model) -> keras.Model:
    """The same function: channels of the last map before the mean are larger, and are read by smaller weights."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    mixed, digit = copy.get_layer("mix_2"), copy.get_layer("digit")
    factors = np.ones(_WIDTH, np.float32)
    factors[:_OUTLIERS] = _FACTOR
    kernel, bias = mixed.get_weights()
    mixed.set_weights([kernel * factors, bias * factors])
    kernel, bias = digit.get_weights()
    digit.set_weights([kernel / factors[:, None], bias])
    return copy


def _rows(case: str, model: keras.Model, data: dict[str, Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    x, y = data["test"]
    goal = np.asarray(model(x, training=False))
    accuracy = float(np.mean(np.argmax(goal, -1) == y))
    found: list[dict[str, Any]] = [{"case": case, "way": "float", "scheme": "float32", "accuracy": accuracy}]
    seen = data["train"][0][:_CALIBRATION]
    for scheme in options.schemes.split(","):
        for way, epochs in (("PTQ", 0), ("PTQ, equalised and corrected", 0), ("QAT", options.epochs)):
            twin = qat.quantize_model(model, scheme)
            if "equalised" in way:
                qat.equalise(twin)
            qat.calibrate(twin, seen)
            if "corrected" in way:
                qat.correct_biases(twin, seen)
            if epochs:
                _train(twin, *data["train"], epochs, 1e-3)
            row = {"case": case, "way": f"keras_mtl {way}", "scheme": scheme}
            found.append(row | _scored(qat.convert(twin, x), y))
        found.append(
            {"case": case, "way": "TFLite converter PTQ", "scheme": scheme} | _rival(model, scheme, data, options)
        )
    dense = keras.models.clone_model(model)
    dense.set_weights(model.get_weights())
    dense.quantize("int8")
    quantized = float(np.mean(np.argmax(np.asarray(dense(x, training=False)), -1) == y))
    why = "dense layers only, and no integer file"
    found.append({"case": case, "way": "Keras model.quantize", "scheme": "int8", "accuracy": quantized, "refused": why})
    return found


def _rival(model: keras.Model, scheme: str, data: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """The converter's file, on the float network's inputs and outputs."""
    paths = [options.out / name for name in ("model.keras", "examples.npy", "rival.tflite")]
    model.save(paths[0])
    np.save(paths[1], data["train"][0][:_CALIBRATION])
    words = [str(paths[0]), scheme, str(paths[1]), str(paths[2])]
    script = Path(__file__).with_name("qat_converter.py")
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        return {"refused": (done.stderr.strip().splitlines() or ["it died"])[-1][:100]}
    artifact, (x, y) = Artifact.of(paths[2].read_bytes()), data["test"]
    port, end = artifact.network.inputs[0], artifact.network.outputs[0]
    goal = end.quantize(np.asarray(model(x, training=False)))
    return _measured(artifact, port.quantize(x), goal, y)


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
    steps = int(np.abs(output.astype(int) - goal).max())
    return {**sizes, "accuracy": accuracy, "steps": steps, "arena_bytes": made.arena_total_bytes}


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
