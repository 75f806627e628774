"""The tables of operators against what the installed interpreters say when they are asked for each operator."""

from __future__ import annotations

import importlib.util

import pytest

from keras_mtl.firmware_host.compute.operator_tables import (
    CMSIS_NN_TYPES,
    CUSTOM,
    ESP_NN_TYPES,
    MOVES_DATA,
    NPU_OPERATORS,
    TFLITE_RUNTIME_VERSIONS,
    TFLM_CUSTOM_OPERATORS,
    TFLM_OPERATORS,
)

# A file of one operator, and whether an interpreter says that it has no such operator. Each question is asked in a
# process of its own, for an interpreter that has the operator may die of a file without what that operator needs.
_ASK = """
import json, os, sys
from ai_edge_litert import schema_py_generated as schema
from keras_mtl.tflite.flatbuffer import model as flatbuffer

def file_of(number, version, custom=None):
    model, code, graph, operator = schema.ModelT(), schema.OperatorCodeT(), schema.SubGraphT(), schema.OperatorT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
    code.customCode = custom
    tensors = []
    for name in ("in", "out"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [1, 4], schema.TensorType.FLOAT32, 0
        tensors.append(tensor)
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], [0], [1]
    model.version, model.operatorCodes, model.buffers, model.subgraphs = 3, [code], [schema.BufferT()], [graph]
    return flatbuffer.write_model(model)

def lacks(ask):
    words = os.open("words.txt", os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
    child = os.fork()
    if not child:
        os.dup2(words, 1)
        os.dup2(words, 2)
        try:
            ask()
        except BaseException as error:
            print(error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    said = os.pread(words, 1 << 16, 0).decode("utf-8", "replace")
    os.close(words)
    return any(words in said for words in ("Didn't find op", "out of range", "Failed to get registration"))
"""
_TFLM = """
from tflite_micro.python.tflite_micro import runtime

numbers = {name: getattr(schema.BuiltinOperator, name) for name in sys.argv[1:]}
files = {name: file_of(number, 99) for name, number in numbers.items()}
print(json.dumps([n for n in files if lacks(lambda: runtime.Interpreter.from_bytes(files[n], arena_size=1 << 16))]))
"""
_TFLM_CUSTOM = """
from tflite_micro.python.tflite_micro import runtime

files = {name: file_of(schema.BuiltinOperator.CUSTOM, 1, name) for name in sys.argv[1:]}
print(json.dumps([n for n in files if lacks(lambda: runtime.Interpreter.from_bytes(files[n], arena_size=1 << 16))]))
"""
_TFLITE_RUNTIME = """
from tflite_runtime.interpreter import Interpreter

asked = [one.partition(" ")[::2] for one in sys.argv[1:]]
files = {(name, version): file_of(getattr(schema.BuiltinOperator, name), int(version)) for name, version in asked}
print(json.dumps([" ".join(n) for n in files if lacks(lambda: Interpreter(model_content=files[n], num_threads=1))]))
"""
# Others that the schema has; operators of StableHLO are none that a converter for LiteRT leaves in a file.
_NOT_IN_TFLM = ("RELU_N1_TO_1", "RFFT2D", "COMPLEX_ABS", "REDUCE_PROD", "GELU", "POW", "TILE", "SELECT", "REDUCE_ANY")


def test_tflm_has_what_the_table_says_in_any_version(run_python):
    assert run_python(_ASK + _TFLM, *sorted(TFLM_OPERATORS), *_NOT_IN_TFLM) == list(_NOT_IN_TFLM)


def test_tflm_has_the_custom_operators_of_the_table_but_those_of_a_device(run_python):
    lacking = [*sorted(name.removeprefix(CUSTOM) for name in NPU_OPERATORS), "SignalMine"]
    asked = sorted(name.removeprefix(CUSTOM) for name in TFLM_CUSTOM_OPERATORS - NPU_OPERATORS)
    assert run_python(_ASK + _TFLM_CUSTOM, *asked, *lacking) == lacking


@pytest.mark.skipif(importlib.util.find_spec("tflite_runtime") is None, reason="tflite-runtime is not installed")
def test_tflite_runtime_has_each_operator_up_to_the_version_of_the_table(run_python):
    last = [f"{name} {version}" for name, version in sorted(TFLITE_RUNTIME_VERSIONS.items())]
    beyond = [f"{name} {version + 1}" for name, version in sorted(TFLITE_RUNTIME_VERSIONS.items())]
    absent = ["CALL 1", "STABLEHLO_ADD 1"]
    assert run_python(_ASK + _TFLITE_RUNTIME, *last, *beyond, *absent) == [*beyond, *absent]


def test_kernel_families_have_kernels_for_operators_of_tflm_only():
    assert set(CMSIS_NN_TYPES) | set(ESP_NN_TYPES) | MOVES_DATA <= TFLM_OPERATORS
    assert set(ESP_NN_TYPES) < set(CMSIS_NN_TYPES)
    assert not MOVES_DATA & {"MEAN", "CONV_2D", "TANH"}
