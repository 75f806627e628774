"""The interpreters: what they compute, and what becomes of refusals, crashes and hangs."""

from __future__ import annotations

import numpy as np
import pytest
from run_rows import run_rows

from keras_mtl.core import ArtifactError, EngineCrash, EngineError, EngineRefused, EngineTimeout
from keras_mtl.firmware_host.engines import ENGINES, run
from keras_mtl.tflite.artifact import Artifact


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fmt", ["int8", "int16x8"])
def test_integer_files_agree_with_the_numpy_network(engine, fmt, make_artifact):
    artifact = make_artifact(fmt)
    found = run(engine, artifact, artifact.golden.inputs)
    outputs, goal = found.outputs["output_0"], artifact.golden.outputs["output_0"]
    assert (outputs.dtype, outputs.shape) == (goal.dtype, goal.shape)
    assert np.ptp(outputs) > 20
    assert np.abs(outputs.astype(int) - goal).max() <= 1
    assert found.arena_bytes == {"network": found.arena_total_bytes}
    assert (found.arena_total_bytes is not None) == (engine == "tflm")
    assert found.busy_s > 0


def test_float_file_agrees_with_the_numpy_network_on_tflm(make_artifact):
    artifact = make_artifact("float32")
    found = run("tflm", artifact, artifact.golden.inputs).outputs["output_0"]
    np.testing.assert_allclose(found, artifact.golden.outputs["output_0"], atol=1e-5)


def test_each_input_is_run_on_its_own(make_artifact):
    artifact = make_artifact("int8")
    inputs = artifact.golden.inputs["input_0"]
    (together,), (backwards,) = run_rows("tflm", artifact, inputs), run_rows("tflm", artifact, inputs[::-1])
    np.testing.assert_array_equal(together, backwards[::-1])


def test_arena_holds_the_largest_pair_of_tensors(make_artifact):
    artifact = make_artifact("int8")
    assert (
        run("tflm", artifact, artifact.golden.inputs).arena_total_bytes > 8 * 6 * 4 + 8 * 6
    )  # maps and input are alive together


def test_float16_is_refused_by_tflm_with_the_reason(make_artifact):
    artifact = make_artifact("float16")
    with pytest.raises(EngineRefused, match=r"TFLM has no float16 kernels \(layer kernel and 1 more\)") as error:
        run("tflm", artifact, artifact.golden.inputs)
    assert "\n" not in str(error.value)
    outputs = run("litert", artifact, artifact.golden.inputs).outputs["output_0"]
    np.testing.assert_allclose(outputs, artifact.golden.outputs["output_0"], atol=1e-3)


def test_operator_without_a_kernel_is_named(odd_models):
    with pytest.raises(EngineRefused, match=r"TFLM has no kernel for RELU_N1_TO_1 \(layer out\)"):
        run_rows("tflm", odd_models["no_tflm_kernel"], np.zeros((1, 4), np.float32))


def test_refusal_says_the_interpreters_own_words_once(odd_models):
    with pytest.raises(EngineRefused, match="no custom_code") as error:
        run_rows("litert", odd_models["no_kernel_anywhere"], np.zeros((1, 4), np.float32))
    assert error.value.message.count("has no custom_code") == 1


def test_endless_loop_is_stopped(odd_models):
    with pytest.raises(EngineTimeout, match="litert did not come back within 3 s"):
        run_rows("litert", odd_models["endless_loop"], np.zeros((1, 4), np.float32), timeout_s=3)


def test_crash_of_the_interpreter_is_an_error_of_ours(odd_models):
    with pytest.raises(EngineCrash, match=r"litert died .*SIGSEGV"):
        run_rows("litert", odd_models["endless_recursion"], np.zeros((1, 4), np.float32))


def test_inputs_that_do_not_fit_are_refused(models):
    with pytest.raises(EngineRefused, match=r"shape \[2, 7\] do not fit"):
        run_rows("tflm", models["int8"], np.zeros((2, 7), np.int8))


def test_inputs_of_another_type_are_refused(models):
    for engine in ENGINES:
        with pytest.raises(EngineRefused):
            run_rows(engine, models["int8"], np.zeros((1, 8, 6, 1), np.float32))


@pytest.mark.parametrize("engine", ENGINES)
def test_several_inputs_and_outputs_keep_the_order_of_the_file(engine, odd_models):
    generator = np.random.default_rng(0)
    a, b = (generator.normal(size=(3, n)).astype(np.float32) for n in (4, 2))
    twice, joined = run_rows(engine, odd_models["several_ports"], a, b)
    np.testing.assert_array_equal(twice, 2 * a)
    np.testing.assert_array_equal(joined, np.concatenate([a, b], axis=1))


def test_a_wrong_number_of_inputs_or_rows_is_refused(odd_models):
    a, b = np.zeros((3, 4), np.float32), np.zeros((3, 2), np.float32)
    with pytest.raises(EngineRefused, match=r"takes 2 inputs \['input_0', 'input_1'\], not \['input_0'\]"):
        run_rows("litert", odd_models["several_ports"], a)
    for rows in (1, 0):
        with pytest.raises(EngineRefused, match=f"inputs of {rows}.* rows"):
            run_rows("litert", odd_models["several_ports"], a[:rows], b if rows else b[:0])


def test_loops_are_refused_for_tflm_before_it_hangs(odd_models):
    with pytest.raises(EngineRefused, match=r"TFLM can't run loops: it loads WHILE .* \(layer out\)") as error:
        run_rows("tflm", odd_models["endless_loop"], np.zeros((1, 4), np.float32), timeout_s=0.001)
    assert "convert cells instead" in error.value.hint
    assert "\n" not in str(error.value)


def test_input_that_is_not_there_is_an_error_of_ours(odd_models):
    with pytest.raises(ArtifactError, match="tensors that are not there"):
        run_rows("tflm", odd_models["no_such_input"], np.zeros((1, 4), np.float32))


def test_unknown_engine_and_wrong_bytes(models):
    with pytest.raises(EngineError, match="unknown engine tvm"):
        run_rows("tvm", models["int8"], np.zeros((1, 8, 6, 1), np.int8))
    with pytest.raises(ArtifactError, match="0 bytes"):
        Artifact.of(b"")
    with pytest.raises(ArtifactError, match="not a TFLite file"):
        Artifact.of(b"hello, I am a text")
