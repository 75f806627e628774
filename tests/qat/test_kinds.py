"""Every kind of layer in both schemes: its twin, the file, and what the engines make of the file."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.firmware_host.reference.activations import Logistic16, Tanh16, sigmoid_table
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.kinds.fixed_point import squashed_16

sys.path.insert(0, str(Path(__file__).parent))
import qat_graphs as graphs

SCHEMES = ("int8", "int16x8")


@functools.cache
def made(scheme: str):
    return graphs.converted(graphs.side_by_side(graphs.KINDS), scheme)


@functools.cache
def recurrent(scheme: str):
    return graphs.converted(graphs.side_by_side(graphs.RECURRENT), scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_micro_gives_what_the_twin_gives(scheme):
    _, artifact = made(scheme)
    apart = graphs.steps_apart(artifact, "tflm")
    assert set(apart) == set(graphs.KINDS)
    assert {name: steps for name, steps in apart.items() if steps} == {}
    # Not by chance: outputs move, and use their integers.
    assert all(len(np.unique(values)) > 5 for values in artifact.golden.outputs.values())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_litert_is_within_a_step(scheme):
    _, artifact = made(scheme)
    apart = graphs.steps_apart(artifact, "litert-reference")
    assert {name: steps for name, steps in apart.items() if steps > 1} == {}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_twin_is_near_the_float_network(scheme):
    twin, _ = made(scheme)
    model = graphs.side_by_side(graphs.KINDS)
    x = graphs.examples(model)
    goal, found = model(x, training=False), twin(x, training=False)
    assert list(goal) == list(found)
    for name in goal:
        error = np.mean(np.square(np.asarray(found[name]) - np.asarray(goal[name])))
        assert error < 3e-3 * np.mean(np.square(goal[name])), name


@pytest.mark.parametrize("scheme", SCHEMES)
def test_recurrent_layers(scheme):
    _, artifact = recurrent(scheme)
    apart = graphs.steps_apart(artifact, "tflm")
    assert {name: steps for name, steps in apart.items() if steps} == {}


@pytest.mark.slow
def test_recurrent_layers_are_loops_where_they_are_traced():
    twin, _ = recurrent("int8")
    x = graphs.examples(twin)
    traced, eager = tf.function(twin, autograph=False)(x), twin(x)
    for name in eager:
        np.testing.assert_allclose(np.asarray(traced[name]), np.asarray(eager[name]), atol=1e-6)


def test_files_hold_integers_and_what_is_fused():
    model = flatbuffer.read_model(made("int8")[1].network.content)
    names = [flatbuffer.op_name(model, operator) for _, operator in flatbuffer.operators(model)]
    assert flatbuffer.float_islands(model) == ()
    assert "RELU6" not in names  # a grid that ends at 6 is one
    assert names.count("SOFTMAX") == names.count("TRANSPOSE") == 1


@pytest.mark.parametrize("kernel", [Logistic16, Tanh16])
def test_functions_of_16_bits_are_those_of_the_reference_for_all_values(kernel):
    """At a step of 2^-12 the kernels' factor is 3, and the table is looked up from its first to its last point."""
    levels = np.arange(-(1 << 15), 1 << 15)
    (expected,) = kernel(3, 0, sigmoid_table())(levels.astype(np.int16))
    found = squashed_16(tf.constant(levels), tf.constant(2.0**-12), kernel is Tanh16)
    np.testing.assert_array_equal(found, expected)


def test_no_two_classes_are_saved_under_one_name(repository):
    """Keras reads the one that was registered last, whichever was saved."""
    pattern = r'register_keras_serializable\(package="(\w+)"(?:, name="(\w+)")?\).*\n(?:@.*\n)*class (\w+)'
    texts = (path.read_text() for part in ("keras_mtl", "tflite") for path in (repository.root / part).rglob("*.py"))
    found = [(package, name or title) for text in texts for package, name, title in re.findall(pattern, text)]
    assert len(found) > 50
    assert [each for each in set(found) if found.count(each) > 1] == []
