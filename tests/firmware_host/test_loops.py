"""Loops: how many steps they have is read from the file or not told at all, and their costs count every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.compute import op_rows, uncounted
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import report_html, report_text
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.flatbuffer import macs

DENSE = 4 * 4


@dataclass(frozen=True)
class Form:
    """One way to write a loop. `limit` is where the limit stands: "condition", "input" or "changed" (by the body)."""

    start: Any = 0
    stop: Any = 7
    step: Any = 1
    compare: str = "LESS"
    advance: str = "ADD"
    limit: str = "condition"
    dtype: str = "int32"


def loop_in(made: Any, holder: int, form: Form, fill_body: Callable[[int, int], int]) -> tuple[int, int]:
    """Puts a WHILE over a value [1, 4] into a subgraph; `fill_body(graph, value)` gives what a step makes of it.

    Returns:
        The value before and after the loop, as tensors of the holder.
    """
    condition, body = made.graph(), made.graph()
    outside = form.limit != "condition"

    def number(name: str, graph: int, data: Any = None) -> int:
        return made.tensor(name, (), form.dtype, data, graph=graph)

    counts = [number(f"counter_{g}", g) for g in (condition, body)]
    values = [made.tensor(f"value_{g}", (1, 4), "float32", graph=g) for g in (condition, body)]
    limits = [number(f"limit_{g}", g) for g in (condition, body)] if outside else []
    limit = limits[0] if outside else number("limit", condition, form.stop)
    go_on = made.tensor("go_on", (), "bool", graph=condition)
    made.op(form.compare, 1, [counts[0], limit], [go_on], graph=condition)
    made.ends[condition] = ([counts[0], values[0], *limits[:1]], [go_on])

    after = number("counter_after", body)
    step = number("step", body, form.step)
    made.op(form.advance, 1, [counts[1], step], [after], graph=body)
    limit_after = limits[1:]
    if form.limit == "changed":
        limit_after = [number("limit_after", body)]
        made.op("ADD", 1, [limits[1], step], limit_after, graph=body)
    made.ends[body] = ([counts[1], values[1], *limits[1:]], [after, fill_body(body, values[1]), *limit_after])

    start = number("start", holder, form.start)
    before, result = (made.tensor(f"{end}_{body}", (1, 4), "float32", graph=holder) for end in ("before", "result"))
    options = schema.WhileOptionsT()
    options.condSubgraphIndex, options.bodySubgraphIndex = condition, body
    stop = [number("stop", holder, form.stop)] if outside else []
    last = [number(f"last_{body}", holder)]
    ends = [number("stop_after", holder)] if outside else []
    made.op("WHILE", 1, [start, before, *stop], [*last, result, *ends], options, graph=holder)
    return before, result


def dense(made: Any) -> Callable[[int, int], int]:
    """A loop's body: a dense layer [1, 4] -> [1, 4]."""

    def fill(graph: int, value: int) -> int:
        result = made.tensor("dense", (1, 4), "float32", graph=graph)
        weights = made.tensor("weights", (4, 4), "float32", np.full((4, 4), 0.2), graph=graph)
        made.op("FULLY_CONNECTED", 4, [value, weights, -1], [result], schema.FullyConnectedOptionsT(), graph=graph)
        return result

    return fill


@pytest.fixture
def loop(builder) -> Callable[..., bytes]:
    """A file of one loop with a dense layer in it; `inner` puts that into a loop in the loop."""

    def make(form: Form = Form(), inner: Form | None = None) -> bytes:
        made = builder()

        def nested(graph: int, value: int) -> int:
            before, result = loop_in(made, graph, inner, dense(made))
            made.op("RELU", 1, [value], [before], graph=graph)
            return result

        made.ends[0] = tuple([end] for end in loop_in(made, 0, form, nested if inner else dense(made)))
        return made.bytes()

    return make


@pytest.mark.parametrize(
    ("form", "steps"),
    [
        (Form(), 7),
        (Form(start=3, stop=4), 1),
        (Form(start=9), 0),
        (Form(step=2), 4),
        (Form(start=1, step=3), 2),
        (Form(limit="input"), 7),
        (Form(dtype="int64"), 7),
    ],
)
def test_steps_are_read_from_the_file(loop, form, steps):
    content = loop(form)
    assert macs(flatbuffer.read_model(content)) == steps * DENSE
    assert sum(row.macs for row in op_rows(flatbuffer.read_model(content))) == steps * DENSE
    assert {row.repeats for row in op_rows(flatbuffer.read_model(content))} == {1, steps}


def test_a_loop_in_a_loop_multiplies(loop):
    content = loop(Form(stop=3), Form(stop=5))
    assert macs(flatbuffer.read_model(content)) == 15 * DENSE
    (row,) = (row for row in op_rows(flatbuffer.read_model(content)) if row.op == "FULLY_CONNECTED")
    assert (row.macs, row.repeats) == (15 * DENSE, 15)


@pytest.mark.parametrize(
    ("form", "why"),
    [
        (Form(compare="GREATER"), "ends in GREATER, not in LESS"),
        (Form(start=None), "start is no constant integer"),
        (Form(step=None), "step is no constant integer"),
        (Form(step=0), "does not grow"),
        (Form(step=-1), "does not grow"),
        (Form(advance="MUL"), "MUL makes a counter's next value"),
        (Form(limit="changed"), "changes the counter's limit"),
        (Form(stop=None), "limit is no constant integer"),
        (Form(dtype="float32"), "is no constant integer"),
    ],
)
def test_a_loop_whose_steps_are_not_told_is_never_counted(loop, form, why):
    for content in (loop(form), loop(Form(), form)):
        with pytest.raises(ArtifactError, match=f"operator WHILE can't be counted.*{why}"):
            macs(flatbuffer.read_model(content))
        assert why in uncounted(flatbuffer.read_model(content))
        assert None in [row.macs for row in op_rows(flatbuffer.read_model(content))]
        assert "\n" not in uncounted(flatbuffer.read_model(content))


def test_counts_beyond_all_reason_are_refused(loop):
    huge = Form(stop=2**62, dtype="int64")
    with pytest.raises(ArtifactError, match="do not fit 64 bits"):
        macs(flatbuffer.read_model(loop(huge, huge)))


def test_a_loop_that_holds_itself_is_refused(odd_models):
    assert "WHILE can't be counted" in uncounted(flatbuffer.read_model(odd_models["endless_recursion"]))
    assert len(op_rows(flatbuffer.read_model(odd_models["endless_recursion"]))) == 1


def test_loops_that_lead_nowhere_are_corrupt(loop):
    for damage, message in (
        (lambda model: setattr(_while(model).builtinOptions, "bodySubgraphIndex", 9), "subgraphs that are not there"),
        (lambda model: setattr(_while(model), "inputs", [0]), "does not hand on its 1 values"),
    ):
        model = flatbuffer.read_model(loop())
        damage(model)
        with pytest.raises(ArtifactError, match=message):
            flatbuffer.read_model(flatbuffer.write_model(model))
    model = flatbuffer.read_model(loop())
    _while(model).builtinOptions, _while(model).builtinOptionsType = None, 0
    with pytest.raises(ArtifactError, match="WHILE names no subgraphs"):
        macs(flatbuffer.read_model(flatbuffer.write_model(model)))


def _while(model: Any) -> Any:
    return next(o for _, o in flatbuffer.operators(model) if flatbuffer.op_name(model, o) == "WHILE")


def test_weights_in_a_body_are_parameters_once(loop):
    numbers = 4 * 3  # start, limit and step
    assert flatbuffer.parameter_bytes(flatbuffer.read_model(loop())) == 4 * DENSE + numbers


def test_the_report_shows_the_body_with_its_repeats(loop, tmp_path):
    artifact = Artifact.build(loop(), {"part": "unknown", "audio_seconds": 1.0})
    report = emulate(artifact, load_target("dcase-asc"), engines=("litert", "litert-reference"))
    assert report.passed, report.failures()
    assert report.check("macs_per_second").value == 7 * DENSE
    rows = {row["op"]: (row["repeats"], row["macs"]) for row in report.to_dict()["ops"]}
    assert rows == {"WHILE": (1, 0), "ADD": (7, 0), "FULLY_CONNECTED": (7, 7 * DENSE)}
    assert "FULLY_CONNECTED v4 x7" in report_text(report)
    assert "WHILE v1 " in report_text(report)
    assert "FULLY_CONNECTED v4 x7" in report_html([report])
    assert Report.load(report.save(tmp_path / "report.json")) == report
