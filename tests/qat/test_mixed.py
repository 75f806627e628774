"""Schemes by layer: what operators cost, mixes that fit a board's arena, and the files that hold them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_mtl import cli, qat
from keras_mtl.core import ConversionError
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact

sys.path.insert(0, str(Path(__file__).parent))
import qat_graphs as graphs

layers = keras.layers


@pytest.fixture(scope="module")
def model():
    """Large maps first, as in most networks: in 16 bits these need the arena."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 1), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(inputs)
    x = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="second")(x)
    x = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="third")(x)
    return keras.Model(inputs, layers.Dense(4, name="classes")(layers.GlobalAveragePooling2D(name="mean")(x)))


@pytest.fixture(scope="module")
def examples(model):
    return graphs.examples(model, 24)


@pytest.fixture(scope="module")
def board():
    """Holds the maps in 8 bits, and not all of them in 16."""
    return replace(load_target("rp2040"), name="small", arena_ram_bytes=8_000, application_ram_bytes=0)


@pytest.fixture(scope="module")
def mixes(model, examples, board):
    return qat.mixes_for(model, board, examples)


def test_the_best_mix_fits_and_is_better_than_8_bits(model, examples, board, mixes):
    best = mixes[0]
    (plain,) = [mix for mix in mixes if mix.first is None]
    assert best.signal_to_noise_db > plain.signal_to_noise_db + 1
    assert [mix.signal_to_noise_db for mix in mixes] == sorted((m.signal_to_noise_db for m in mixes), reverse=True)
    assert best.schemes.scheme == "int8"
    assert "first" not in best.schemes.layers
    assert best.schemes.layers["classes"] == "int16x8"
    twin = qat.quantize_model(model, best.schemes.scheme, best.schemes.layers)
    qat.calibrate(twin, examples[0])
    artifact = qat.convert(twin, examples[0][:4])
    assert max(graphs.steps_apart(artifact, "tflm").values()) == 0
    report = emulate(artifact, board, ("tflm",))
    check = report.check("arena_bytes")
    assert check.ok
    assert check.value == best.arena_bytes


def test_where_all_fits_in_16_bits_all_has_them(model, examples):
    best = qat.mixes_for(model, load_target("stm32h743"), examples)[0]
    assert best.schemes == qat.SchemeByLayer("int16x8")
    assert (best.first, best.last) == ("first", "classes")


def test_what_fits_nowhere_is_refused(model, examples, board):
    with pytest.raises(ConversionError, match="bytes of arena with all layers in 8 bits, tiny has 1,000"):
        qat.mixes_for(model, replace(board, name="tiny", arena_ram_bytes=1_000), examples)
    with pytest.raises(ConversionError, match="has no limit for an arena"):
        qat.mixes_for(model, load_target("dcase-asc"), examples)


def test_operators_cost_alone_what_their_rounding_costs(model, examples):
    costs = {row.name: row.signal_to_noise_db for row in qat.operator_costs(model, "int8", examples)}
    alone = [value for name, value in costs.items() if name != "all together"]
    assert {"first", "second", "third", "mean", "classes"} <= set(costs)
    assert costs["all together"] < min(alone)
    twin = qat.quantize_model(model, "int8")
    qat.calibrate(twin, examples[0])
    noise = np.asarray(twin(examples[0])) - np.asarray(model(examples[0]))
    decibels = 10 * np.log10(np.mean(np.square(model(examples[0]))) / np.mean(np.square(noise)))
    assert costs["all together"] == pytest.approx(decibels, abs=0.02)


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_files_of_schemes(suffix, tmp_path):
    made = qat.SchemeByLayer("int8", {'odd "name"_*': "int16x8", "classes": "int8"})
    path = tmp_path / f"scheme.{suffix}"
    path.write_text(made.to_toml() if suffix == "toml" else json.dumps(vars(made)))
    found = qat.read_scheme(str(path))
    assert found == made
    assert list(found.layers) == list(made.layers)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scheme = 'int4'", "unknown scheme 'int4'"),
        ("[layers]\na = 'int9'", "unknown scheme 'int9' .*layer a"),
        ("[layer]\na = 'int8'", "unknown key layer"),
        ("layers = 3", "is no file of schemes"),
        ("layers = ", "can't be read as a file of schemes"),
        (b"\xff\xfe", "can't be read as a file of schemes"),
    ],
)
def test_wrong_files_of_schemes_are_refused(text, words, tmp_path):
    path = tmp_path / "scheme.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConversionError, match=words):
        qat.read_scheme(str(path))
    with pytest.raises(ConversionError, match="unknown scheme 'int4'"):
        qat.read_scheme("int4")
    with pytest.raises(ConversionError, match="can't be read"):
        qat.read_scheme(str(tmp_path / "none.toml"))


def test_layers_in_a_time_distributed_layer_have_its_scheme():
    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, layers.TimeDistributed(layers.Dense(2, name="inside"), name="steps")(inputs))
    _, artifact = graphs.converted(model, "int8", {"steps": "int16x8"})
    (output,) = flatbuffer.graph_outputs(artifact.network.model)
    assert flatbuffer.tensor_dtype(output) == "int16"
    assert max(graphs.steps_apart(artifact, "tflm").values()) == 0


def test_the_command_writes_a_scheme_a_twin_and_a_file(model, examples, tmp_path):
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "x.npz", examples[0])
    run, path = (
        CliRunner().invoke,
        {name: str(tmp_path / name) for name in ("model.keras", "x.npz", "mixed", "t.keras")},
    )
    words = ["sensitivity", path["model.keras"], "--scheme", "int8", "--calibration", path["x.npz"]]
    done = run(cli.group, [*words, "--target", "rp2040", "--out", path["mixed"], "--epochs", "1", "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout[done.stdout.index("{") :])
    assert document["operators"][-1]["name"] == "all together"
    assert document["mixes"][0]["schemes"] == {"scheme": "int16x8", "layers": {}}
    artifact = Artifact.load(document["written"]["file"])
    assert max(graphs.steps_apart(artifact, "tflm").values()) == 0
    scheme = tmp_path / "scheme.toml"
    scheme.write_text(qat.SchemeByLayer("int8", {"mean": "int16x8", "classes": "int16x8"}).to_toml())
    quantize = ["quantize", path["model.keras"], "--calibration", path["x.npz"], "--out", path["t.keras"], "--json"]
    helped = ["--method", "minmax", "--equalise", "--correct-biases", "--layer", "mean=int8"]
    done = run(cli.group, [*quantize, "--scheme", str(scheme), *helped])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout[done.stdout.index("{") :])
    assert document["layers"] == {"mean": "int8", "classes": "int16x8"}
    assert (document["method"], document["equalised"], document["corrected"]) == ("minmax", True, True)
    for arguments, refused in (
        (words[:-2], "needs --calibration"),
        ([*words, "--out", path["mixed"]], "give --target"),
        ([*words, "--labels", path["x.npz"]], "--labels are for a training"),
        ([*words, "--data", "DIR"], "belong to a run"),
        ([*quantize, "--scheme", "int8", "--method", "odd"], "unknown method 'odd'"),
    ):
        done = run(cli.group, arguments)
        said = done.output + str(done.exception)
        assert refused in said
