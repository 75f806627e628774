"""What the code takes of the flash, by the operators and parts that a firmware links."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keras_mtl.firmware_host.compute import code_parts
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.tflite.artifact import Artifact

BOARD = load_target("nrf52840")
_ALWAYS = {"interpreter", "networks", "libc"}


def test_each_operator_is_counted_with_its_type_and_shared_parts_once(make_artifact):
    parts = code_parts(make_artifact("int8"), BOARD)
    assert set(parts) == {
        *_ALWAYS, "CONV_2D int8", "MAX_POOL_2D int8", "FULLY_CONNECTED int8", "kernel library", "front end",
    }  # fmt: skip
    # Convolution and dense layer share the product of columns, which is counted once.
    assert parts["kernel library"] == 3_732 + 2_620 + 3_968
    assert parts["networks"] == 444 + 964


def test_types_have_kernels_of_their_own_and_floats_link_all(make_artifact):
    narrow, wide, floats = (code_parts(make_artifact(fmt), BOARD) for fmt in ("int8", "int16x8", "float32"))
    assert sum(wide.values()) < sum(narrow.values()) < sum(floats.values())
    assert "kernel library" not in wide
    assert floats["CONV_2D float32"] > narrow["CONV_2D int8"]


def test_another_files_firmware_has_no_front_end(models, odd_models):
    foreign = Artifact.build(models["int8"], {"part": "unknown", "audio_seconds": 1.0})
    assert set(code_parts(foreign, BOARD)) >= _ALWAYS
    assert not {"front end", "listener"} & set(code_parts(foreign, BOARD))
    unknown = Artifact.build(odd_models["no_tflm_kernel"], {"part": "unknown", "audio_seconds": 1.0})
    assert code_parts(unknown, BOARD)["RELU_N1_TO_1 float32"] > 0


@pytest.mark.parametrize("kernels", ["reference", "esp-nn"])
def test_family_decides_whether_a_library_is_linked(make_artifact, kernels):
    parts = code_parts(make_artifact("int8"), replace(BOARD, kernels=kernels))
    assert ("kernel library" in parts) == (kernels != "reference")
    assert sum(parts.values()) <= sum(code_parts(make_artifact("int8"), BOARD).values())


def test_figure_of_the_target_stands_for_interpreter_and_kernels(make_artifact):
    parts = code_parts(make_artifact("int8"), replace(BOARD, interpreter_code_bytes=60_000))
    assert set(parts) == {*_ALWAYS, "front end"}
    assert parts["interpreter"] == 60_000
