"""Files whose structure leads astray: out of the file, to the same place over and over, to more than memory holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import ArtifactError, EngineError
from keras_mtl.firmware_host.compute import op_rows
from keras_mtl.firmware_host.emulate import random_inputs
from keras_mtl.firmware_host.engines import ENGINES, run
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Member
from keras_mtl.tflite.flatbuffer import macs
from keras_mtl.tflite.flatbuffer import verify as flatbuffer_verify
from keras_mtl.tflite.flatbuffer.verify import fault_of, structure_fault


def test_sound_files_have_no_fault(models, odd_models):
    assert {name: structure_fault(content) for name, content in (models | odd_models).items()} == dict.fromkeys(
        models | odd_models
    )


def _reader(suffix: str) -> dict[str, str]:
    """The source of the schema's classes, by their name without the suffix: a new version of it may read more."""
    source = Path(schema.__file__).read_text("utf-8")
    classes = re.finditer(rf"^class (\w+){suffix}\(object\):(.*?)(?=^class |^def |\Z)", source, re.S | re.M)
    found = {each[1]: each[2] for each in classes}
    assert {"Model", "SubGraph", "Tensor", "Operator"} <= set(found), "the schema's classes have another form"
    return found


def test_every_table_that_the_reader_follows_is_verified():
    for name, source in _reader("T").items():
        unpack = source.partition("def _UnPack")[2].partition("def Pack")[0]
        followed = set(re.findall(r"(\w+)T\.InitFromObj", unpack))
        kinds = flatbuffer_verify._FIELDS.get(name, {}).values()
        assert followed == {str(kind).strip("[]") for kind in kinds if kind not in (1, 4, 8, "text")}, name
        assert unpack.count("Creator(") == len(flatbuffer_verify._UNIONS.get(name, ())), name


def test_every_text_that_the_reader_copies_is_verified():
    for name, source in _reader("").items():
        texts = re.findall(r"_tab\.Offset\((\d+)\)\)\n\s+if o != 0:\n\s+return self\._tab\.String", source)
        listed = flatbuffer_verify._FIELDS.get(name, {}).items()
        assert set(map(int, texts)) == {slot for slot, kind in listed if kind == "text"}, name


def test_a_file_that_is_cut_anywhere_is_refused(models):
    content = models["int8"]
    for length in range(1, len(content), 13):
        with pytest.raises(ArtifactError):
            flatbuffer.read_model(content[:length])


def _over_and_over(times: int) -> bytes:
    """So many subgraphs of so many operators, all of them the same two tables."""
    builder = flatbuffers.Builder(1 << 16)
    schema.OperatorStart(builder)
    operator = schema.OperatorEnd(builder)

    def vector(start, offset: int) -> int:
        start(builder, times)
        for _ in range(times):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    operators = vector(schema.SubGraphStartOperatorsVector, operator)
    schema.SubGraphStart(builder)
    schema.SubGraphAddOperators(builder, operators)
    subgraphs = vector(schema.ModelStartSubgraphsVector, schema.SubGraphEnd(builder))
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, subgraphs)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_one_table_in_many_places_is_refused():
    content = _over_and_over(20_000)
    assert len(content) < 200_000
    with pytest.raises(ArtifactError, match="used over and over"):
        flatbuffer.read_model(content)


def test_a_vector_longer_than_the_file_is_refused(models):
    content = models["int8"]
    model = flatbuffer.read_model(content)
    listed = len(model.subgraphs[0].tensors).to_bytes(4, "little")
    places = [found.start() for found in re.finditer(re.escape(listed), content) if found.start() % 4 == 0]
    refused = 0
    for place in places:
        try:
            flatbuffer.read_model(content[:place] + (1 << 30).to_bytes(4, "little") + content[place + 4 :])
        except ArtifactError:
            refused += 1
    assert refused > 0


def _changed(content: bytes, change: Callable[[Any], None]) -> bytes:
    model = flatbuffer.read_model(content)
    change(model)
    return flatbuffer.write_model(model)


def test_constants_outside_of_the_flatbuffer_are_refused(models):
    """Their bytes would be counted as none."""
    builder = flatbuffers.Builder(64)
    schema.BufferStart(builder)
    schema.BufferAddOffset(builder, 4096)
    schema.BufferAddSize(builder, 100)
    builder.Finish(schema.BufferEnd(builder))
    outside = schema.BufferT.InitFromPackedBuf(bytes(builder.Output()))
    model = flatbuffer.read_model(models["int8"])
    model.buffers.append(outside)
    assert fault_of(model) == "keeps constants outside of its flatbuffer, as files over 2 GB do"


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("end", ["inputs", "outputs"])
def test_ports_whose_scale_is_no_positive_number_are_refused(models, scale, end):
    def change(model):
        graph = model.subgraphs[0]
        graph.tensors[int(getattr(graph, end)[0])].quantization.scale = np.array([scale], np.float32)

    with pytest.raises(ArtifactError, match=f"{end} 0 of subgraph 0 has a scale"):
        flatbuffer.read_model(_changed(models["int8"], change))


def test_names_that_would_steer_a_terminal_are_shown_in_one_line(models):
    def change(model):
        model.subgraphs[0].tensors[0].name = "\x1b[2J\nlog_mel"

    content = _changed(models["int8"], change)
    assert Member.of(content).inputs[0].name == "\ufffd[2J\ufffdlog_mel"


def _loops_within_loops(builder: Any, depth: int) -> bytes:
    """Each graph runs the next one in two loops of two steps: 4^depth operators, and a file of some kB."""
    made = builder()
    source, result = made.tensor("in", (), "int32"), made.tensor("out", (), "int32")
    made.ends[0] = ([source], [result])
    condition = made.graph()
    counter, limit = made.tensor("n", (), "int32", graph=condition), made.tensor("m", (), "int32", [2], graph=condition)
    less = made.tensor("less", (), "bool", graph=condition)
    made.op("LESS", 1, [counter, limit], [less], graph=condition)
    made.ends[condition] = ([counter], [less])
    graphs = [0, *(made.graph() for _ in range(depth))]
    for graph, body in zip(graphs, [*graphs[1:], None], strict=True):
        if graph:
            source, result = (made.tensor(name, (), "int32", graph=graph) for name in ("in", "out"))
            one = made.tensor("one", (), "int32", [1], graph=graph)
            made.op("ADD", 1, [source, one], [result], schema.AddOptionsT(), graph=graph)
            made.ends[graph] = ([source], [result])
        for _ in range(2 if body else 0):
            start, end = (
                made.tensor("start", (), "int32", [0], graph=graph),
                made.tensor("end", (), "int32", graph=graph),
            )
            loop = schema.WhileOptionsT()
            loop.condSubgraphIndex, loop.bodySubgraphIndex = condition, body
            made.op("WHILE", 1, [start], [end], loop, graph=graph)
    return made.bytes()


def test_loops_that_share_their_bodies_are_counted_once_and_not_listed_without_an_end(builder):
    assert len(op_rows(flatbuffer.read_model(_loops_within_loops(builder, 3)))) == 2 + 2 * 3 + 4 * 3 + 8
    assert macs(flatbuffer.read_model(_loops_within_loops(builder, 30))) == 0
    with pytest.raises(ArtifactError, match="more than 20,000 operators"):
        op_rows(flatbuffer.read_model(_loops_within_loops(builder, 30)))


def test_a_condition_that_asks_the_same_over_and_over_is_read(builder):
    """LOGICAL_AND(x, x) of LOGICAL_AND(x, x) of ...: 2^60 paths to one LESS."""
    made = builder()
    start, end = made.tensor("start", (), "int32", [0]), made.tensor("end", (), "int32")
    condition, body = made.graph(), made.graph()
    counter, limit = made.tensor("n", (), "int32", graph=condition), made.tensor("m", (), "int32", [7], graph=condition)
    verdict = made.tensor("less", (), "bool", graph=condition)
    made.op("LESS", 1, [counter, limit], [verdict], graph=condition)
    for _ in range(60):
        both = made.tensor("and", (), "bool", graph=condition)
        made.op("LOGICAL_AND", 1, [verdict, verdict], [both], graph=condition)
        verdict = both
    made.ends[condition] = ([counter], [verdict])
    before, one, after = (made.tensor(n, (), "int32", d, graph=body) for n, d in (("a", None), ("1", [1]), ("b", None)))
    made.op("ADD", 1, [before, one], [after], schema.AddOptionsT(), graph=body)
    made.ends[body] = ([before], [after])
    loop = schema.WhileOptionsT()
    loop.condSubgraphIndex, loop.bodySubgraphIndex = condition, body
    made.op("WHILE", 1, [start], [end], loop)
    made.ends[0] = ([start], [end])
    assert [row.repeats for row in op_rows(flatbuffer.read_model(made.bytes()))] == [1, 7]


def test_tensors_of_more_elements_than_interpreters_can_count_are_refused(builder):
    made = builder()
    source, result = (made.tensor(name, (1, 1 << 16, 1 << 15), "int8") for name in ("in", "out"))
    made.op("RELU", 1, [source], [result])
    made.ends[0] = ([source], [result])
    with pytest.raises(ArtifactError, match="tensor 0 of subgraph 0 is too large: 1 x 65536 x 32768"):
        flatbuffer.read_model(made.bytes())


def test_inputs_of_a_huge_shape_are_not_made(builder):
    made = builder()
    source, result = (made.tensor(name, (1 << 10, 1 << 20), "int8") for name in ("in", "out"))
    made.op("RELU", 1, [source], [result])
    made.ends[0] = ([source], [result])
    with pytest.raises(ArtifactError, match="too large to be tried"):
        random_inputs(Member.of(made.bytes()))


@pytest.mark.parametrize("engine", ENGINES)
def test_tensors_of_a_huge_shape_do_not_take_the_machines_memory(builder, engine):
    """8 GB, of which an engine's process can have none."""
    made = builder()
    source, result = made.tensor("in", (1, 4), "float32"), made.tensor("out", (1, 4), "float32")
    shape, one = made.tensor("shape", (2,), "int32", [1 << 15, 1 << 16]), made.tensor("one", (), "float32", 1.0)
    made.op("FILL", 1, [shape, one], [made.tensor("huge", (1 << 15, (1 << 16) - 1), "float32")], schema.FillOptionsT())
    made.op("RELU", 1, [source], [result])
    made.ends[0] = ([source], [result])
    with pytest.raises(EngineError) as refused:
        run(engine, Artifact.of(made.bytes()), {"input_0": np.zeros((1, 4), np.float32)})
    assert "\n" not in str(refused.value)
