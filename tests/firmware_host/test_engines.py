"""The interpreters: what they compute, and what becomes of refusals, crashes and hangs."""

from __future__ import annotations

import numpy as np
import pytest

from keras_mtl.errors import ArtifactError, EngineCrash, EngineError, EngineRefused, EngineTimeout
from keras_mtl.firmware_host.engines import ENGINES, run_engine
from keras_mtl.tflite.artifact import dequantize


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fmt", ["int8", "int16x8"])
def test_integer_files_agree_with_the_numpy_network(engine, fmt, make_artifact):
    artifact = make_artifact(fmt)
    run = run_engine(engine, artifact.content, artifact.golden.inputs)
    assert run.outputs.dtype == artifact.golden.outputs.dtype
    assert run.outputs.shape == artifact.golden.outputs.shape
    assert np.ptp(run.outputs) > 20
    assert np.abs(run.outputs.astype(int) - artifact.golden.outputs).max() <= 1
    assert (run.arena_bytes is not None) == (engine == "tflm")


def test_float_file_agrees_with_the_numpy_network_on_tflm(make_artifact):
    artifact = make_artifact("float32")
    run = run_engine("tflm", artifact.content, artifact.golden.inputs)
    np.testing.assert_allclose(run.outputs, artifact.golden.outputs, atol=1e-5)


def test_each_input_is_run_on_its_own(make_artifact):
    artifact = make_artifact("int8")
    together = run_engine("tflm", artifact.content, artifact.golden.inputs).outputs
    backwards = run_engine("tflm", artifact.content, artifact.golden.inputs[::-1]).outputs
    np.testing.assert_array_equal(together, backwards[::-1])


def test_arena_holds_the_largest_pair_of_tensors(make_artifact):
    run = run_engine("tflm", make_artifact("int8").content, make_artifact("int8").golden.inputs)
    assert run.arena_bytes > 8 * 6 * 4 + 8 * 6  # maps and input are alive together


def test_float16_is_refused_by_tflm_with_the_reason(make_artifact):
    artifact = make_artifact("float16")
    with pytest.raises(
        EngineRefused, match=r"TFLM has no float16 kernels: its DEQUANTIZE takes .* not FLOAT16"
    ) as error:
        run_engine("tflm", artifact.content, artifact.golden.inputs)
    assert "\n" not in str(error.value)
    litert = run_engine("litert", artifact.content, artifact.golden.inputs)
    assert dequantize(litert.outputs, artifact.manifest["outputs"][0]) == pytest.approx(
        artifact.golden.outputs, abs=1e-3
    )


def test_operator_without_a_kernel_is_named(odd_models):
    with pytest.raises(EngineRefused, match="tflm has no kernel for RELU_N1_TO_1"):
        run_engine("tflm", odd_models["no_tflm_kernel"], np.zeros((1, 4), np.float32))


def test_refusal_says_the_interpreters_own_words_once(odd_models):
    with pytest.raises(EngineRefused, match="no custom_code") as error:
        run_engine("litert", odd_models["no_kernel_anywhere"], np.zeros((1, 4), np.float32))
    assert error.value.message.count("has no custom_code") == 1


def test_endless_loop_is_stopped(odd_models):
    with pytest.raises(EngineTimeout, match="litert did not come back within 3 s"):
        run_engine("litert", odd_models["endless_loop"], np.zeros((1, 4), np.float32), timeout_s=3)


def test_crash_of_the_interpreter_is_an_error_of_ours(odd_models):
    with pytest.raises(EngineCrash, match=r"tflm died .*SIGSEGV"):
        run_engine("tflm", odd_models["endless_recursion"], np.zeros((1, 4), np.float32))


def test_inputs_that_do_not_fit_are_refused(models):
    with pytest.raises(EngineRefused, match=r"shape \[2, 7\] do not fit"):
        run_engine("tflm", models["int8"], np.zeros((2, 7), np.int8))


def test_inputs_of_another_type_are_refused(models):
    for engine in ENGINES:
        with pytest.raises(EngineRefused):
            run_engine(engine, models["int8"], np.zeros((1, 8, 6, 1), np.float32))


def test_two_inputs_are_refused(odd_models):
    with pytest.raises(EngineRefused, match="one input and one output; this one has 2 and 1"):
        run_engine("tflm", odd_models["two_inputs"], np.zeros((1, 4), np.float32))


def test_input_that_is_not_there_is_an_error_of_ours(odd_models):
    with pytest.raises(ArtifactError, match="tensors that are not there"):
        run_engine("tflm", odd_models["no_such_input"], np.zeros((1, 4), np.float32))


def test_unknown_engine_and_wrong_bytes():
    with pytest.raises(EngineError, match="unknown engine tvm"):
        run_engine("tvm", b"", np.zeros(1))
    with pytest.raises(ArtifactError, match="0 bytes"):
        run_engine("tflm", b"", np.zeros(1))
    with pytest.raises(ArtifactError, match="not a TFLite file"):
        run_engine("tflm", b"hello, I am a text", np.zeros(1))
