"""Mixed precision, XLA and several devices, from a recipe to its run folder."""

import contextlib
import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from little_training import LITTLE

from keras_mtl.algorithms import HardMTL, PartialAdamW, PCGradMTL, SoftMTL, use_precision
from keras_mtl.core import RecipeError
from keras_mtl.models import build_mt
from keras_mtl.recipes import load_recipe
from keras_mtl.runs import Run
from keras_mtl.training import train

ON_TWO_CPUS = """
import json, sys
from pathlib import Path
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_mtl.datasets import open_corpus
from keras_mtl.recipes import load_recipe
from keras_mtl.training import train
cache, out, *recipe = sys.argv[1:]
corpus = open_corpus("soundscapes:tiny", Path(cache) / "tfds", progress=False)
run = train(load_recipe("mt", recipe), corpus, out, Path(cache))
print(json.dumps(run.info["metrics"]))
"""


def losses(run):
    """The figures of every epoch, by name."""
    rows = list(csv.DictReader((run.path / "both.csv").read_text().splitlines()))
    return {key: [float(row[key]) for row in rows] for key in rows[0]}


@pytest.fixture(scope="module")
def plain(corpus, cache, tmp_path_factory):
    return train(load_recipe("mt", LITTLE), corpus, tmp_path_factory.mktemp("plain") / "run", cache)


@pytest.mark.slow  # `algorithms/test_replicas.py` is the short form
def test_a_training_on_two_devices_is_that_on_one(plain, cache, tmp_path, run_python):
    run_python(ON_TWO_CPUS, str(cache), str(tmp_path / "run"), *LITTLE, "train.strategy=mirrored")
    two = Run.load(tmp_path / "run")
    here, there = losses(plain), losses(two)
    for key in here:
        np.testing.assert_allclose(there[key], here[key], rtol=1e-3, err_msg=key)
    assert two.network().to_json() == plain.network().to_json()


def run_two_workers(cache, folder, *options):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    command = [Path(sys.executable).with_name("keras_mtl"), "train", "--recipe", "mt"]
    command += ["--data", "soundscapes:tiny", "--cache", cache, "--out", folder / "run"]
    command += [word for each in (*LITTLE, "train.strategy=multi_worker") for word in ("--set", each)]
    command += options
    processes = []
    for index in range(2):
        task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        log = (folder / f"{index}.log").open("w")
        environment = {**os.environ, "TF_CONFIG": json.dumps(task)}
        processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT))
        log.close()
    codes = [process.wait(timeout=400) for process in processes]
    assert codes == [0, 0], [(folder / f"{index}.log").read_text() for index in range(2)]


@pytest.mark.slow
def test_a_training_of_two_workers_is_that_of_one(plain, cache, tmp_path):
    """Two processes on the loopback address; the first one writes the run folder."""
    run_two_workers(cache, tmp_path)
    run = Run.load(tmp_path / "run")
    here, there = losses(plain), losses(run)
    for key in here:
        np.testing.assert_allclose(there[key], here[key], rtol=1e-3, err_msg=key)
    weights = [weight.numpy().tobytes() for weight in run.network().weights]
    for name in ("run.json", "network.keras", "checkpoints/both.done.weights.h5"):
        (run.path / name).unlink()
    run_two_workers(cache, tmp_path, "--resume")
    assert [weight.numpy().tobytes() for weight in Run.load(run.path).network().weights] == weights


@pytest.mark.slow
def test_a_training_in_mixed_precision_leaves_a_float32_run(plain, corpus, cache, tmp_path):
    recipe = load_recipe("mt", [*LITTLE, "precision=mixed_bfloat16"])
    run = train(recipe, corpus, tmp_path / "run", cache)
    here, there = losses(plain), losses(run)
    for key in ("loss", "val_loss", "scene_loss", "strong_bce", "weak_bce"):
        assert there[key] != here[key], "something was rounded"
        np.testing.assert_allclose(there[key], here[key], rtol=2e-2, err_msg=key)
    assert run.network().to_json() == plain.network().to_json()


def test_what_computes_in_16_bits():
    network = build_mt(channels=(2, 4), pools=((2, 8), (2, 8)), recurrent_units=4, scenes=10, events=10)
    names = use_precision(network, "mixed_float16")
    assert {"conv_1", "bn_1", "pool_1", "conv_2", "attention_hidden"} <= set(names)
    assert not {"scene_logits", "strong", "weak", "event_attention", "attention", "embeddings"} & set(names)
    said = network(np.zeros((1, 100, 128, 1), np.float32))
    assert {value.dtype for value in said.values()} == {tf.float32}
    assert use_precision(network, "float32") == []
    assert (
        network.to_json()
        == build_mt(channels=(2, 4), pools=((2, 8), (2, 8)), recurrent_units=4, scenes=10, events=10).to_json()
    )


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [PCGradMTL, HardMTL])
def test_scaled_gradients_make_the_step_of_unscaled_ones(algorithm):
    """All but the rounding: in float32 with a power of 2 as the scale nothing is rounded, and the bits are the same."""
    random = np.random.default_rng(1)
    clips = {"log_mel": random.normal(size=(2, 100, 128, 1)).astype(np.float32), "scene": np.asarray([1, 2])}
    events = {"log_mel": random.normal(size=(2, 200, 128, 1)).astype(np.float32)}
    events |= {"strong": np.ones((2, 50, 10), np.float32), "weak": np.ones((2, 10), np.float32)}
    events |= {"has_strong": np.asarray([1, 0], np.float32), "has_weak": np.asarray([0, 1], np.float32)}
    after = []
    for scaled in (False, True):
        keras.utils.set_random_seed(0)
        model = algorithm(build_mt(channels=(2, 4), pools=((2, 8), (2, 8)), recurrent_units=4, scenes=10, events=10))
        optimizer = PartialAdamW(1e-2, epsilon=1e-3)
        model.compile(optimizer=keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer)
        model.optimizer.build(model.trained_variables())
        step = tf.function(model.train_step, autograph=False)
        step({"scenes": clips, "events": events})
        after.append([weight.numpy() for weight in model.network.weights])
        if scaled:  # a step whose gradients overflow is left out
            before = [variable.numpy().tobytes() for variable in model.trained_variables()]
            model.optimizer.dynamic_scale.assign(float("inf"))
            step({"scenes": clips, "events": events})
            assert [variable.numpy().tobytes() for variable in model.trained_variables()] == before
            assert int(optimizer.iterations) == 1
    for one, other in zip(*after, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_compiled_step_is_the_same():
    random = np.random.default_rng(1)
    clips = {"log_mel": random.normal(size=(2, 100, 128, 1)).astype(np.float32), "scene": np.asarray([1, 2])}
    events = {"log_mel": random.normal(size=(2, 100, 128, 1)).astype(np.float32)}
    events |= {"strong": np.ones((2, 25, 10), np.float32), "weak": np.ones((2, 10), np.float32)}
    events |= {"has_strong": np.asarray([1, 0], np.float32), "has_weak": np.asarray([0, 1], np.float32)}
    figures = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        model = SoftMTL(build_mt(channels=(2, 4), pools=((2, 8), (2, 8)), recurrent_units=4, scenes=10, events=10))
        model.compile(optimizer=PartialAdamW(1e-2), jit_compile=jit_compile)
        model.optimizer.build(model.trained_variables())
        data = tf.data.Dataset.from_tensors({"scenes": clips, "events": events})
        figures.append(model.fit(data, verbose=0, shuffle=False).history)
    for key in figures[0]:
        np.testing.assert_allclose(*(each[key] for each in figures), rtol=1e-4, err_msg=key)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["train.strategy=multi_worker"], "without TF_CONFIG"),
        (["train.strategy=mirrored", "precision=mixed_float16"], "LossScaleOptimizer"),
        (["train.strategy=mirrored", "jit_compile=true"], "XLA"),
        (["algorithm=gradnorm", "precision=mixed_float16"], "algorithm gradnorm"),
        (["algorithm=hard", "jit_compile=true"], "algorithm hard"),
        (["augment.mixup_alpha=0.2", "jit_compile=true"], "augment.mixup_alpha"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_written(settings, message, corpus, cache, tmp_path):
    with pytest.raises(RecipeError, match=message):
        train(load_recipe("mt", [*LITTLE, *settings]), corpus, tmp_path / "run", cache)
    assert not (tmp_path / "run").exists()


def test_batches_that_leave_a_rest_are_refused():
    from keras_mtl.training.distribution import require_whole_parts

    def stream(step):
        return {"log_mel": np.zeros((5, 1))}

    require_whole_parts({"scenes": stream}, 5)
    with pytest.raises(RecipeError, match=r"a batch of 5 clips \(scenes\) can't be shared out over 2 replicas"):
        require_whole_parts({"scenes": stream}, 2)
