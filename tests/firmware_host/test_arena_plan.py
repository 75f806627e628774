"""The arena planned from the file, held against what TensorFlow Lite Micro's interpreter uses: the same to the byte."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.arena import arena_of, arena_of_members
from keras_mtl.firmware_host.arena.plan import plan_arena
from keras_mtl.firmware_host.arena.sizes import HOST
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import report_text
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Member
from keras_mtl.tflite.flatbuffer import Block, extent_bytes, offsets

# All models of a folder in one process: the arena that the interpreter used, by name.
_MEASURE = """
import json, sys
from pathlib import Path
from keras_mtl.firmware_host.engines.interpreters import open_model
from keras_mtl.firmware_host.engines.exchange import native_words
folder, found = Path(sys.argv[1]), {}
for path in sorted(folder.glob("*.tflite")):
    with native_words(folder):
        request = {"engine": "tflm", "arena_bytes": 1 << 22, "folder": str(folder)}
        opened = open_model(path.read_bytes(), (), (), request)
        found[path.stem] = opened.arena()
print(json.dumps(found))
"""


def _options(name, **fields):
    made = getattr(schema, name + "OptionsT")()
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def _strided(name, **fields):
    return _options(name, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1, **fields)


_ONES, _PAIRS = np.ones, np.int32([[0, 0], [1, 1]])
_POOL = {"options": _options("Pool2D", strideH=1, strideW=1, filterHeight=2, filterWidth=2), "shape": (1, 6, 6, 3)}
_REDUCE = {"options": _options("Reducer", keepDims=True), "shape": (1, 4, 1), "extra": [np.int32([2])]}
_MATRIX = {"shape": (1, 4, 4), "inputs": 2}
_UNARY = """
    ABS SIN COS LOG SQRT RSQRT SQUARE EXP FLOOR CEIL ROUND NEG RELU RELU6 LOGISTIC TANH ELU HARD_SWISH LOG_SOFTMAX
    ZEROS_LIKE
"""
_BINARY = "MAXIMUM MINIMUM SQUARED_DIFFERENCE FLOOR_DIV FLOOR_MOD"
# By operator: kind of the tensors, options, how often the input is given, constants that follow it, shapes.
_CASES = {
    **{name: {} for name in _UNARY.split()},
    **{name: {"inputs": 2} for name in _BINARY.split()},
    **{name.upper(): {"inputs": 2, "options": _options(name)} for name in ("Add", "Sub", "Mul", "Div")},
    "ADD int8": {"inputs": 2, "options": _options("Add"), "kind": "int8"},
    "MUL int16": {"inputs": 2, "options": _options("Mul"), "kind": "int16"},
    "RELU int8": {"kind": "int8"},
    "TANH int16": {"kind": "int16", "step": 1 / 32768},
    "ADD_N": {"inputs": 3},
    "ADD_N int8": {"inputs": 3, "kind": "int8"},
    "SOFTMAX": {"options": _options("Softmax", beta=1.0)},
    "SOFTMAX int16": {"options": _options("Softmax", beta=1.0), "kind": "int16", "step": 1 / 32768},
    "LEAKY_RELU": {"options": _options("LeakyRelu", alpha=0.1)},
    "PRELU": {"extra": [_ONES(4, np.float32)]},
    "FULLY_CONNECTED": {
        "options": _options("FullyConnected"),
        "extra": [_ONES((4, 4), np.float32), _ONES(4, np.float32)],
    },
    "BATCH_MATMUL": {"options": _options("BatchMatMul"), **_MATRIX},
    "BATCH_MATMUL adjoint": {"options": _options("BatchMatMul", adjX=True, adjY=True), **_MATRIX},
    "BATCH_MATMUL int8": {"options": _options("BatchMatMul"), "kind": "int8", **_MATRIX},
    "CONV_2D": {
        "options": _strided("Conv2D"),
        "shape": (1, 6, 6, 3),
        "extra": [_ONES((3, 3, 3, 3), np.float32), _ONES(3, np.float32)],
    },
    "DEPTHWISE_CONV_2D": {
        "options": _strided("DepthwiseConv2D", depthMultiplier=1),
        "shape": (1, 6, 6, 3),
        "extra": [_ONES((1, 3, 3, 3), np.float32), _ONES(3, np.float32)],
    },
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D", "L2_POOL_2D"), _POOL),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"), _REDUCE),
    "MEAN int8": {**_REDUCE, "kind": "int8"},
    "SUM int16": {**_REDUCE, "kind": "int16"},
    "RESHAPE": {"options": _options("Reshape", newShape=[1, 4]), "extra": [np.int32([1, 4])]},
    "SQUEEZE": {"options": _options("Squeeze", squeezeDims=[0]), "result": (4,)},
    "EXPAND_DIMS": {"extra": [np.int32([0])], "result": (1, 1, 4)},
    "CONCATENATION": {"options": _options("Concatenation", axis=1), "inputs": 2, "result": (1, 8)},
    "PAD": {"extra": [_PAIRS], "result": (1, 6)},
    "MIRROR_PAD": {"options": _options("MirrorPad"), "extra": [_PAIRS], "result": (1, 6)},
    "STRIDED_SLICE": {
        "options": _options("StridedSlice"),
        "extra": [np.int32([0, 0]), np.int32([1, 2]), np.int32([1, 1])],
        "result": (1, 2),
    },
    "SLICE": {"extra": [np.int32([0, 0]), np.int32([1, 2])], "result": (1, 2)},
    "TRANSPOSE": {"options": _options("Transpose"), "extra": [np.int32([1, 0])], "result": (4, 1)},
    "PACK": {"options": _options("Pack", valuesCount=2, axis=0), "inputs": 2, "result": (2, 1, 4)},
    "GATHER": {"options": _options("Gather"), "extra": [np.int32([0])]},
    "L2_NORMALIZATION": {"options": _options("L2Norm")},
    "BROADCAST_TO": {"extra": [np.int32([1, 4])]},
    "CUMSUM": {"options": _options("Cumsum"), "extra": [np.int32(1)]},
    "RESIZE_BILINEAR": {
        "options": _options("ResizeBilinear"),
        "shape": (1, 2, 2, 1),
        "extra": [np.int32([4, 4])],
        "result": (1, 4, 4, 1),
    },
    "SPACE_TO_DEPTH": {
        "options": _options("SpaceToDepth", blockSize=2),
        "shape": (1, 2, 2, 1),
        "result": (1, 1, 1, 4),
    },
    "DEPTH_TO_SPACE": {
        "options": _options("DepthToSpace", blockSize=2),
        "shape": (1, 1, 1, 4),
        "result": (1, 2, 2, 1),
    },
    "REVERSE_V2": {"options": _options("ReverseV2"), "extra": [np.int32([1])]},
}


def _chain(builder, case, count):
    """The operator `count` times, in a row where its output has the shape of its input."""
    facts = {"kind": "float32", "inputs": 1, "shape": (1, 4), "extra": (), "step": 1 / 32, **_CASES[case]}
    shape, result = facts["shape"], facts.get("result", facts["shape"])
    made, step = builder(), facts["step"] if facts["kind"] != "float32" else None
    source = now = made.tensor("in", shape, facts["kind"], None, step)
    for number in range(count):
        output = made.tensor(f"out_{number}", result, facts["kind"], None, step)
        constants = [made.tensor(f"c{number}", v.shape, str(v.dtype), v) for v in map(np.asarray, facts["extra"])]
        made.op(case.split()[0], 1, [now] * facts["inputs"] + constants, [output], facts.get("options"))
        now = output if result == shape else source
    made.ends[0] = ([source], [output])
    return made.bytes()


def _branches(builder, seed):
    """A random graph of additions and of joins that are cut again: branches of many sizes and lifetimes."""
    generator, made = np.random.default_rng(seed), builder()
    sizes = [4, 8, 24, 64]
    pools = {size: [made.tensor(f"in_{size}", (1, size), "float32")] for size in sizes}
    inputs = [pool[0] for pool in pools.values()]
    for number in range(int(generator.integers(6, 30))):
        size = int(generator.choice(sizes))
        a, b = (int(generator.choice(pools[size])) for _ in range(2))
        output = made.tensor(f"sum_{number}", (1, size), "float32")
        made.op("ADD", 1, [a, b], [output], _options("Add"))
        pools[size].append(output)
    outputs = [pool[-1] for pool in pools.values() if len(pool) > 1]
    made.ends[0] = (inputs, outputs)
    return made.bytes()


def _cell(builder):
    """One step of a gated cell in 16 bits: dense layers, gates, and a state that is input and output."""
    made, step = builder(), 1 / 32768
    source, state = (made.tensor(name, (1, 16), "int16", None, step) for name in ("step", "state"))

    def dense(name, given):
        weights = made.tensor(f"{name}_w", (16, 16), "int8", np.ones((16, 16)), 1 / 128)
        bias = made.tensor(f"{name}_b", (16,), "int64", np.zeros(16), step / 128)
        found = made.tensor(name, (1, 16), "int16", None, step)
        made.op("FULLY_CONNECTED", 4, [given, weights, bias], [found], _options("FullyConnected"))
        return found

    def binary(kind, name, *given):
        found = made.tensor(name, (1, 16), "int16", None, step)
        made.op(kind, 1, list(given), [found], _options(kind.capitalize()) if len(given) > 1 else None)
        return found

    gate = binary("LOGISTIC", "gate", binary("ADD", "both", dense("from_step", source), dense("from_state", state)))
    fresh = binary("TANH", "fresh", dense("candidate", source))
    change = binary("MUL", "change", gate, binary("SUB", "far", state, fresh))
    made.ends[0] = ([source, state], [binary("ADD", "next", fresh, change)])
    return made.bytes()


@pytest.fixture(scope="module")
def planned(builder, models, odd_models):
    """Models of every kind, by name."""
    found = {fmt: models[fmt] for fmt in ("float32", "int8", "int16x8")}
    found |= {name: odd_models[name] for name in ("several_ports", "per_channel_dense", "float_island")}
    found |= {f"{case} x{count}": _chain(builder, case, count) for case in _CASES for count in (1, 3)}
    found |= {f"branches {seed}": _branches(builder, seed) for seed in range(30)}
    return found | {"cell": _cell(builder)}


@pytest.fixture(scope="module")
def measured(planned, tmp_path_factory):
    """What the interpreter used for each."""
    folder = tmp_path_factory.mktemp("arena")
    for name, content in planned.items():
        (folder / f"{name}.tflite").write_bytes(content)
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(folder)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_plan_is_what_the_interpreter_uses(planned, measured):
    """To the byte. The promise is looser: never below, at most 5 % above."""
    plans = {name: plan_arena(flatbuffer.read_model(content)) for name, content in planned.items()}
    differing = {
        name: (plan.planned_bytes, measured[name])
        for name, plan in plans.items()
        if plan.planned_bytes != measured[name]
    }
    assert differing == {}
    assert len(plans) > 150
    assert not any(plan.assumed for plan in plans.values())


def test_most_branches_have_gaps_or_ties(planned):
    """Else the order of equal sizes and the search for gaps were never tried."""
    plans = [
        plan_arena(flatbuffer.read_model(content)) for name, content in planned.items() if name.startswith("branches")
    ]
    assert sum(plan.activations_bytes > max(plan.timeline()) for plan in plans) >= 3


def test_blocks_that_are_alive_together_do_not_meet(planned):
    most = 0
    for name, content in planned.items():
        blocks = plan_arena(flatbuffer.read_model(content)).blocks
        most = max(most, len(blocks))
        for i, a in enumerate(blocks):
            for b in blocks[:i]:
                apart = a.last < b.first or b.last < a.first
                below = a.offset + a.size_bytes <= b.offset or b.offset + b.size_bytes <= a.offset
                assert apart or below, name
    assert most > 10


def test_the_arena_is_told_by_hand(models):
    """conv [8, 6, 4] is 192 bytes, its input 48, the pool's output 48, the logits 5, rounded up to 16."""
    arena = arena_of(flatbuffer.read_model(models["int8"]), 2000)
    assert arena["timeline"] == [48 + 192, 192 + 48, 48 + 16]
    assert [(t["name"], t["kind"], t["bytes"], t["first_operator"], t["last_operator"]) for t in arena["tensors"]] == [
        ("log_mel", "input", 48, 0, 0),
        ("maps", "activation", 192, 0, 1),
        ("pooled", "activation", 48, 1, 2),
        ("logits", "output", 16, 2, 2),
    ]
    assert (arena["activations_bytes"], arena["activations_peak_bytes"], arena["peak_operator"]) == (240, 240, 0)
    assert arena["planned_bytes"] == 240 + arena["persistent_bytes"]
    assert sum(arena["persistent_parts"].values()) == arena["persistent_bytes"]
    assert arena["explained"] == "at operator 0, CONV_2D, 240 bytes are alive: maps (192), log_mel (48)"
    assert arena["measured_bytes"] == 2000
    assert 240 < arena["planned_32bit_bytes"] < arena["planned_bytes"]


def test_scratch_memory_lives_with_its_operator(builder):
    arena = arena_of(flatbuffer.read_model(_chain(builder, "MEAN int8", 2)), None)
    scratch = [tensor for tensor in arena["tensors"] if tensor["kind"] == "scratch"]
    assert [(t["name"], t["first_operator"], t["last_operator"]) for t in scratch] == [
        (f"scratch of out_{number}", number, number) for number in (0, 0, 0, 1, 1, 1)
    ]


def test_a_set_is_the_sum_of_its_members(models):
    arena = arena_of_members({"a": Member.of(models["int8"]), "b": Member.of(models["int16x8"])}, {"a": 10, "b": 20})
    one, other = (arena_of(flatbuffer.read_model(models[fmt]), None) for fmt in ("int8", "int16x8"))
    assert arena["planned_bytes"] == one["planned_bytes"] + other["planned_bytes"]
    assert (arena["measured_bytes"], arena["peak_member"]) == (30, "b")
    assert arena["shared_bytes"] == arena["planned_bytes"] - one["activations_bytes"]
    assert arena["explained"].startswith("b needs the most: at operator 0, CONV_2D")
    assert arena_of_members({"a": Member.of(models["int8"])}, {})["measured_bytes"] is None


def test_a_file_that_tflm_refuses_is_planned_all_the_same(models, odd_models):
    assert (
        plan_arena(flatbuffer.read_model(models["float16"])).planned_bytes
        > plan_arena(flatbuffer.read_model(models["float32"])).planned_bytes
    )
    steps = plan_arena(flatbuffer.read_model(odd_models["endless_loop"])).steps
    assert [step.op for step in steps] == ["enter", "WHILE", "enter", "EQUAL", "REDUCE_ANY", "enter", "RELU"]


def test_an_unknown_kernel_is_said_to_be_one(odd_models):
    arena = arena_of(flatbuffer.read_model(odd_models["no_tflm_kernel"]), None)
    assert arena["assumed_operators"] == ["RELU_N1_TO_1"]
    assert HOST.kernel("RELU_N1_TO_1").data >= HOST.kernel("SQUARED_DIFFERENCE").data


def test_what_has_no_arena_is_one_clear_error(builder, odd_models):
    with pytest.raises(ArtifactError, match="WHILE runs the subgraph that it stands in"):
        plan_arena(flatbuffer.read_model(odd_models["endless_recursion"]))
    made = builder()
    source, result = made.tensor("in", (1, -1), "float32"), made.tensor("out", (1, 4), "float32")
    made.op("RELU", 1, [source], [result])
    made.ends[0] = ([source], [result])
    with pytest.raises(ArtifactError, match="tensor in has no fixed shape"):
        plan_arena(flatbuffer.read_model(made.bytes()))


def test_blocks_of_one_size_are_placed_from_the_last():
    blocks = [Block(32, 0, 1), Block(32, 1, 2), Block(16, 0, 0), Block(1, 2, 2)]
    assert offsets(blocks) == [32, 0, 0, 32]
    assert (extent_bytes(blocks), extent_bytes([])) == (64, 0)


def test_report_tells_the_plan_beside_the_measure(make_artifact):
    report = emulate(make_artifact("int8"), load_target("stm32h743"), ["tflm"])
    arena = report.arena
    assert arena["measured_bytes"] == arena["planned_bytes"]
    device = arena["device"]
    assert report.check("arena_bytes").value == device["arena_bytes"] + device["interpreter_bytes"]
    assert arena["planned_32bit_bytes"] < device["arena_bytes"] < arena["measured_bytes"]
    assert f"planned from the file {arena['planned_bytes']:,}" in report.check("arena_bytes").why
    assert "at operator 0, CONV_2D, 240 bytes are alive: maps (192), log_mel (48)" in report_text(report)


def test_report_of_a_file_that_did_not_run_tells_the_plan(make_artifact):
    report = emulate(make_artifact("float16"), replace(load_target("stm32h743"), name="mine"), ["tflm"])
    assert report.arena["measured_bytes"] is None
    assert f"planned from the file {report.arena['planned_bytes']:,}" in report.check("arena_bytes").why


def test_report_without_a_plan_says_why(odd_models):
    artifact = Artifact.build(odd_models["endless_recursion"], {"part": "unknown", "audio_seconds": 1.0})
    report = emulate(artifact, load_target("dcase-asc"), [])
    assert report.arena is None
    assert any("WHILE runs the subgraph that it stands in" in note for note in report.notes)
