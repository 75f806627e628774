"""The public face on whole networks: training, saving, shared layers, mixed schemes, and the shapes of MLPerf Tiny."""

from __future__ import annotations

import json
import sys
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


def _siamese() -> keras.Model:
    """Two inputs through one nested model, whose layers are called twice; two outputs."""
    keras.utils.set_random_seed(0)
    inside = keras.Input((8, 8, 2))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, 2, use_bias=False, name="seen_twice")(inside)))
    encoder = keras.Model(inside, layers.GlobalAveragePooling2D()(x), name="encoder")
    left, right = keras.Input((8, 8, 2), name="left"), keras.Input((8, 8, 2), name="right")
    apart = layers.Subtract()([encoder(left), encoder(right)])
    classes = layers.Dense(3, activation="softmax", name="classes")(apart)
    score = layers.Dense(1, activation="sigmoid", name="score")(layers.Dropout(0.2)(apart))
    return graphs.uneven(keras.Model({"left": left, "right": right}, {"classes": classes, "score": score}))


def test_shared_layers_and_several_ends_train_as_any_model(tmp_path):
    model = _siamese()
    x = dict(zip(("left", "right"), graphs.examples(model, 48), strict=True))
    goal = model(x, training=False)
    y = {name: 1.0 - np.asarray(values) for name, values in goal.items()}
    twin = qat.quantize_model(model, "int8")
    qat.calibrate(twin, x)
    kernels = [weight for weight in twin.trainable_weights if "seen_twice" in weight.path and weight.name == "kernel"]
    assert len(kernels) == 1
    before = {weight.path: np.array(weight) for weight in twin.trainable_weights}
    twin.compile(optimizer=keras.optimizers.Adam(1e-3), loss={"classes": "mse", "score": "mse"})
    history = twin.fit(x, y, batch_size=16, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    moved = {path for path, old in before.items() if not np.array_equal(old, dict(_paths(twin))[path])}
    assert any("grid" in path for path in moved)
    assert kernels[0].path in moved
    twin.save(tmp_path / "twin.keras")
    again = qat.load(tmp_path / "twin.keras")
    artifact = qat.convert(again, x)
    assert [port.name for port in artifact.network.inputs] == ["left", "right"]
    assert [port.name for port in artifact.network.outputs] == ["classes", "score"]
    assert artifact.network.content == qat.convert(twin, x).network.content
    assert max(graphs.steps_apart(artifact, "tflm").values()) == 0
    report = emulate(artifact, load_target("stm32h743"), ("tflm",))
    assert report.passed, report
    saved = artifact.save(tmp_path / "model.int8.tflite")
    assert Artifact.load(saved).golden is not None


def _paths(model: keras.Model):
    return ((weight.path, np.array(weight)) for weight in model.weights)


def test_schemes_by_layer_are_made():
    model = _siamese()
    _, artifact = graphs.converted(model, "int8", {"subtract*": "int16x8", "classes": "int16x8"})
    kinds = {flatbuffer.tensor_dtype(tensor) for tensor in flatbuffer.graph_outputs(artifact.network.model)}
    assert kinds == {"int8", "int16"}
    assert artifact.facts.format == "mixed"
    assert max(graphs.steps_apart(artifact, "tflm").values()) == 0
    with pytest.raises(ConversionError, match="no layer is called clases"):
        qat.quantize_model(model, "int8", {"clases": "int16x8"})


@pytest.mark.parametrize("method", qat.METHODS)
def test_methods_of_calibration(method):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.ReLU(name="kept")(inputs))
    twin = qat.quantize_model(model, "int8")
    values = np.random.default_rng(0).normal(size=(512, 4)).astype(np.float32)
    values[0, 0] = 40.0
    qat.calibrate(twin, [values[:256], values[256:]] if method == "moving_average" else values, method, percentile=99)
    (grid,) = twin.get_layer("kept").grids()
    top = {"error": (3, 40.1), "minmax": (39.9, 40.1), "percentile": (2, 3.5), "moving_average": (30, 40)}[method]
    assert top[0] < float(grid.high) < top[1]
    assert float(grid.low) == 0.0


def test_post_training_options_help():
    keras.utils.set_random_seed(2)
    inputs = keras.Input((6, 6, 2))
    hidden = layers.Conv2D(8, 3, activation="relu", name="made")(inputs)
    model = keras.Model(inputs, layers.Dense(4, name="read")(layers.GlobalAveragePooling2D()(hidden)))
    made, read = model.get_layer("made"), model.get_layer("read")
    factor = np.float32([64.0, 1, 1, 1, 1, 1, 1, 1])  # a channel that is far larger than the others
    made.set_weights([weights * factor for weights in made.get_weights()])
    read.set_weights([read.get_weights()[0] / factor[:, None], read.get_weights()[1]])
    x = graphs.examples(model, 64)[0]
    errors = {}
    for options in ("", "equalised", "equalised corrected"):
        twin = qat.quantize_model(model, "int8")
        if "equalised" in options:
            assert qat.equalise(twin) == 1
        qat.calibrate(twin, x)
        if "corrected" in options:
            qat.correct_biases(twin, x)
        difference = np.asarray(twin(x)) - np.asarray(model(x))
        errors[options] = np.sqrt(np.mean(difference**2)), np.abs(difference.mean(0)).max()
    assert errors["equalised"][0] < 0.5 * errors[""][0]
    assert errors["equalised corrected"][1] < errors["equalised"][1]
    wide = qat.quantize_model(model, "int16x8")
    qat.calibrate(wide, x)
    qat.correct_biases(wide, x)
    np.testing.assert_allclose(np.asarray(wide(x)).mean(0), np.asarray(model(x)).mean(0), atol=1e-3)


def test_a_kind_of_ones_own():
    @keras.saving.register_keras_serializable(package="tests")
    class Doubled(layers.Layer):
        def call(self, x):
            return x + x

    inputs = keras.Input((5,), name="x")
    model = keras.Model(inputs, Doubled(name="twice")(layers.Dense(4, name="before")(inputs)))
    with pytest.raises(ConversionError, match=r"layer twice \(Doubled\) has no quantization-aware twin") as caught:
        qat.quantize_model(model)
    assert "register" in caught.value.hint

    @qat.register(Doubled)
    def doubled(call):
        from keras_mtl.tflite.kinds.elementwise import Add

        return call.apply(call.operator(Add, grid=call.grid()), call.input, call.input)

    _, artifact = graphs.converted(model, "int8")
    assert max(graphs.steps_apart(artifact, "tflm").values()) == 0


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (layers.LayerNormalization(name="norm"), r"norm \(LayerNormalization\) has no quantization-aware twin"),
        (layers.Conv2D(4, 1, groups=2, name="grouped"), r"grouped \(Conv2D\) has 2 groups"),
        (layers.UpSampling2D(2, interpolation="bilinear", name="wide"), "has bilinear interpolation"),
        (layers.Softmax(axis=1, name="odd"), r"odd \(Softmax\) has axis 1"),
        (layers.PReLU(name="placed"), r"placed \(PReLU\) has slopes by place"),
    ],
)
def test_what_has_no_twin_is_refused_by_name(layer, words):
    inputs = keras.Input((4, 4, 2))
    with pytest.raises(ConversionError, match=words) as caught:
        qat.quantize_model(keras.Model(inputs, layer(inputs)))
    assert caught.value.hint


def test_what_can_not_be_walked_is_refused():
    with pytest.raises(ConversionError, match="has the open shape"):
        inputs = keras.Input((None, 3))
        qat.quantize_model(keras.Model(inputs, layers.Dense(2)(inputs)))
    with pytest.raises(ConversionError, match="is not functional"):
        qat.quantize_model(type("Odd", (keras.Model,), {"call": lambda self, x: x})(name="odd"))
    inputs = keras.Input((3,), name="x")
    twin = qat.quantize_model(keras.Model(inputs, layers.Dense(2)(inputs)))
    for given, words in ((np.zeros((0, 3)), "finite"), (np.full((2, 3), np.nan), "finite"), (np.zeros((2, 4)), "rows")):
        with pytest.raises(ConversionError, match=words):
            qat.calibrate(twin, given)


def test_commands_take_a_keras_file(tmp_path):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,), name="x")
    hidden = layers.Dense(8, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="classes")(hidden))
    x = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "x.npz", x)
    np.savez(tmp_path / "y.npz", np.argmax(model(x), axis=-1))
    run = CliRunner().invoke
    paths = {name: str(tmp_path / name) for name in ("model.keras", "x.npz", "y.npz", "twin.keras", "m.int8.tflite")}
    quantize = ["quantize", paths["model.keras"], "--scheme", "int8", "--out", paths["twin.keras"], "--json"]
    done = run(cli.group, [*quantize, "--calibration", paths["x.npz"], "--labels", paths["y.npz"], "--epochs", "1"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout[done.stdout.index("{") :])
    assert document["signal_to_noise_db"]["classes"] > 20
    done = run(cli.group, ["convert", paths["twin.keras"], "--out", paths["m.int8.tflite"]])
    assert done.exit_code == 0, done.output
    artifact = Artifact.load(paths["m.int8.tflite"])
    assert max(graphs.steps_apart(artifact, "tflm").values()) == 0
    for arguments, words in (
        (quantize, "needs --calibration"),
        ([*quantize, "--calibration", paths["x.npz"], "--data", "DIR"], "belong to a run"),
        ([*quantize, "--calibration", paths["x.npz"], "--labels", paths["y.npz"]], "give --epochs"),
        (["convert", paths["twin.keras"], "--out", str(tmp_path)], "one file"),
    ):
        done = run(cli.group, arguments)
        assert done.exit_code == 2
        assert words in done.output
    np.savez(tmp_path / "odd.npz", a=x, b=x)
    with pytest.raises(ConversionError, match="has no x"):
        qat.quantize_file(Path(paths["model.keras"]), tmp_path / "t.keras", tmp_path / "odd.npz", "int8")
    with pytest.raises(ConversionError, match="is no twin"):
        qat.convert_file(Path(paths["model.keras"]))


def _ds_cnn() -> keras.Model:
    """Keyword spotting: 49 x 10 MFCC, a convolution and four depthwise separable ones of 64 channels, 12 classes."""
    inputs = x = keras.Input((49, 10, 1))
    x = layers.Conv2D(64, (10, 4), 2, padding="same")(x)
    x = layers.Dropout(0.2)(layers.ReLU()(layers.BatchNormalization()(x)))
    for _ in range(4):
        x = layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(x)))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(64, 1)(x)))
    x = layers.Flatten()(layers.AveragePooling2D((25, 5))(layers.Dropout(0.4)(x)))
    return keras.Model(inputs, layers.Dense(12, activation="softmax")(x), name="ds_cnn")


def _mobilenet() -> keras.Model:
    """Visual wake words: MobileNetV1 of a quarter of the width on 96 x 96 x 3, two classes."""
    inputs = keras.Input((96, 96, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, 2, padding="same", use_bias=False)(inputs)))
    widths = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]
    for width, stride in widths:
        x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(width, 1, use_bias=False)(x)))
    x = layers.Flatten()(layers.AveragePooling2D(3)(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x), name="mobilenet")


def _resnet() -> keras.Model:
    """Image classification: ResNet-8 on 32 x 32 x 3, ten classes."""
    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same")(inputs)))
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(width, 3, stride, padding="same")(x)))
        y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(y))
        x = x if stride == 1 else layers.Conv2D(width, 1, stride)(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x), name="resnet")


def _autoencoder() -> keras.Model:
    """Anomaly detection: 640 values through dense layers of 128 and a bottleneck of 8."""
    inputs = x = keras.Input((640,))
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(units)(x)))
    return keras.Model(inputs, layers.Dense(640)(x), name="autoencoder")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scheme", ["int8", "int16x8"])
@pytest.mark.parametrize("network", [_ds_cnn, _mobilenet, _resnet, _autoencoder])
def test_networks_of_mlperf_tiny(network, scheme):
    keras.utils.set_random_seed(0)
    model = graphs.uneven(network())
    twin = qat.quantize_model(model, scheme)
    x = graphs.examples(model, 8)
    qat.calibrate(twin, x[0])
    artifact = qat.convert(twin, x[0][:3])
    assert max(graphs.steps_apart(artifact, "tflm").values()) <= 2
    report = emulate(artifact, load_target("stm32h743"), ("tflm",))
    arena = report.arena
    assert arena["measured_bytes"] == arena["planned_bytes"]
