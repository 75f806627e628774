"""Files of one operator, drawn by hypothesis: shapes, steps, zero points and options; contents by a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from file_builder import Builder
from hypothesis import strategies as st

ACTIVATIONS = (0, 1, 2, 3)
_INPUTS = 2


@dataclass
class Case:
    """A file under construction.

    Attributes:
        draw: of hypothesis.
        dtype: of data: int8 or int16.
        made: the file.
        generator: of contents.
        sources: its inputs so far.
        zeros: zero points by tensor.
    """

    draw: Callable[[Any], Any]
    dtype: str
    made: Builder = field(default_factory=Builder)
    generator: np.random.Generator = field(default_factory=np.random.default_rng)
    sources: list[int] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    @classmethod
    def start(cls, draw: Callable[[Any], Any], dtypes: Sequence[str] = ("int8", "int16")) -> Case:
        """With a type and a seed that are drawn."""
        dtype, seed = draw(st.sampled_from(dtypes)), draw(st.integers(0, 1 << 20))
        return cls(draw, dtype, generator=np.random.default_rng(seed))

    def size(self, most: int, least: int = 1) -> int:
        """A number of elements, rows or axes."""
        return self.draw(st.integers(least, most))

    def one_of(self, *choices: Any) -> Any:
        """One of these."""
        return self.draw(st.sampled_from(choices))

    def step(self, least: float = 2.0**-14, most: float = 4.0) -> float:
        """A step, float32; some are powers of two."""
        bits = self.size(int(np.floor(np.log2(most))), int(np.ceil(np.log2(least))))
        return float(np.float32(2.0**bits * self.one_of(1.0, self.generator.uniform(0.5, 1))))

    def zero(self) -> int:
        """A zero point."""
        return self.one_of(0, -128, 127, self.size(127, -128)) if self.dtype == "int8" else 0

    def values(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Data, among them many of the least and greatest."""
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        drawn = self.generator.integers(low, high + 1, shape, dtype=np.int64)
        ends = self.generator.choice([low, high, 0], shape)
        return np.where(self.generator.random(shape) < 0.2, ends, drawn).astype(dtype)

    def input(self, shape: tuple[int, ...], step: float | None, zero: int = 0, dtype: str = "") -> int:
        """An input of the file."""
        place = self.made.tensor(f"in_{len(self.sources)}", shape, dtype or self.dtype, None, step, zero)
        self.sources.append(place)
        self.shapes.append(shape)
        return place

    def constant(self, values: Any, dtype: str = "int32", steps: Any = None, axis: int = 0, zeros: Any = 0) -> int:
        """A constant."""
        values = np.asarray(values, dtype)
        name = f"constant_{len(self.made.tensors[0])}"
        return self.made.tensor(name, values.shape, dtype, values, steps, zeros, axis)

    def output(self, shape: Sequence[int], step: float | None, zero: int = 0, dtype: str = "") -> int:
        """An output."""
        name = f"out_{len(self.made.tensors[0])}"
        return self.made.tensor(name, tuple(int(n) for n in shape), dtype or self.dtype, None, step, zero)

    def finish(
        self, op: str, inputs: Sequence[int], outputs: Sequence[int], options: Any = None, version: int = 1
    ) -> tuple[bytes, list[list[np.ndarray]]]:
        """The file, and the inputs of some inferences."""
        self.made.op(op, version, list(inputs), list(outputs), options)
        self.made.ends[0] = (self.sources, list(outputs))
        kinds = [schema_name(self.made.tensors[0][place].type) for place in self.sources]
        pairs = [*zip(self.shapes, kinds, strict=True)]
        runs = [[self.values(shape, kind) for shape, kind in pairs] for _ in range(_INPUTS)]
        return self.made.bytes(), runs


def schema_name(number: int) -> str:
    """Name of a type of the schema, as numpy has it."""
    return next(name for name, each in vars(schema.TensorType).items() if each == number).lower()


def options(kind: str, **values: Any) -> Any:
    """Options of an operator."""
    made = getattr(schema, f"{kind}T")()
    for name, value in values.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


def bias(case: Case, count: int, step: Any, axis: int = 0, kinds: Sequence[str] | None = None) -> int:
    """A bias, of 32 or 64 bits, or none."""
    kinds = kinds or {"int8": ("", "int32"), "int16": ("", "int32", "int64")}[case.dtype]
    kind = case.one_of(*kinds)
    if not kind:
        return -1
    most = case.one_of(100, 1 << 16, 1 << 22) if kind == "int32" else case.one_of(100, 1 << 20, 1 << 40)
    return case.constant(case.generator.integers(-most, most + 1, count), kind, step)


def weights(case: Case, shape: tuple[int, ...], axis: int) -> tuple[int, np.ndarray]:
    """Weights and their steps: one, or one for each channel."""
    steps = np.float32([case.step(2.0**-10, 1.0)])
    if case.draw(st.booleans()):
        steps = np.float32(steps * case.generator.uniform(0.01, 3, shape[axis]))
    values = case.generator.integers(-127, 128, shape)
    return case.constant(values, "int8", steps, axis), steps


def result_step(case: Case, sums: float, most_factor: float = 100.0) -> float:
    """A step for what sums of that step become: from far too small to far too large, whose factor is 0."""
    return float(np.float32(sums / case.step(case.one_of(2.0**-20, 2.0**-36), most_factor)))


def convolution(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """CONV_2D, grouped or not."""
    case = Case.start(draw)
    groups, depth = case.size(2), case.size(4)
    images = (case.size(2), case.size(9), case.size(9), groups * depth)
    shape = (groups * case.size(4), case.size(4), case.size(4), depth)
    made, rows, columns = _window_options(case, "Conv2DOptions", images, shape)
    step, (places, steps) = case.step(), weights(case, shape, 0)
    sums = step * steps
    inputs = [case.input(images, step, case.zero()), places, bias(case, shape[0], sums)]
    output = case.output((images[0], rows, columns, shape[0]), result_step(case, float(sums.max())), case.zero())
    return case.finish("CONV_2D", inputs, [output], made, 5)


def depthwise(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """DEPTHWISE_CONV_2D."""
    case = Case.start(draw)
    multiplier, depth = case.size(3), case.size(5)
    images = (case.size(2), case.size(9), case.size(9), depth)
    shape = (1, case.size(4), case.size(4), depth * multiplier)
    made, rows, columns = _window_options(case, "DepthwiseConv2DOptions", images, shape)
    made.depthMultiplier = multiplier
    step, (places, steps) = case.step(), weights(case, shape, 3)
    sums = step * steps
    own = bias(case, shape[3], sums, kinds=["int32" if case.dtype == "int8" else "int64"])
    inputs = [case.input(images, step, case.zero()), places, own]
    output = case.output((images[0], rows, columns, shape[3]), result_step(case, float(sums.max())), case.zero())
    return case.finish("DEPTHWISE_CONV_2D", inputs, [output], made, 3)


def _window_options(case: Case, kind: str, images: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Any, int, int]:
    """Options of a convolution or a pool, and the rows and columns of its output: at least one each."""
    found: dict[str, int] = {}
    outputs = []
    padding = case.one_of(0, 1)
    for axis, side in ((1, "H"), (2, "W")):
        stride, dilation = case.size(3), case.size(2) if "Conv" in kind else 1
        covered = (shape[axis] - 1) * dilation + 1
        if covered > images[axis]:
            padding = 0
        found[f"stride{side}"] = stride
        if "Conv" in kind:
            found[f"dilation{side}Factor"] = dilation
        outputs.append((stride, covered, images[axis]))
    sizes = [-(-n // stride) if padding == 0 else (n - covered) // stride + 1 for stride, covered, n in outputs]
    made = options(kind, padding=padding, fusedActivationFunction=case.one_of(*ACTIVATIONS), **found)
    return made, sizes[0], sizes[1]


def dense(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """FULLY_CONNECTED."""
    case = Case.start(draw)
    rows, depth, outputs = case.size(3), case.one_of(1, 7, 40, 1200), case.size(6)
    step, (places, steps) = case.step(), weights(case, (outputs, depth), 0)
    sums = step * steps
    inputs = [case.input((rows, depth), step, case.zero()), places, bias(case, outputs, sums)]
    output = case.output((rows, outputs), result_step(case, float(sums.max())), case.zero())
    made = options("FullyConnectedOptions", fusedActivationFunction=case.one_of(*ACTIVATIONS))
    return case.finish("FULLY_CONNECTED", inputs, [output], made, 9)


def pool(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    case = Case.start(draw)
    images = (case.size(2), case.size(9), case.size(9), case.size(4))
    shape = (1, case.size(4), case.size(4), 1)
    made, rows, columns = _window_options(case, "Pool2DOptions", images, shape)
    made.filterHeight, made.filterWidth = shape[1:3]
    step, zero = case.step(), case.zero()
    source = case.input(images, step, zero)
    output = case.output((images[0], rows, columns, images[3]), step, zero)
    return case.finish(case.one_of("MAX_POOL_2D", "AVERAGE_POOL_2D"), [source], [output], made, 2)


def elementwise(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """ADD, SUB and MUL, with shapes that broadcast."""
    case = Case.start(draw)
    op = case.one_of("ADD", "SUB", "MUL")
    shape = tuple(case.size(4) for _ in range(case.size(4)))
    shapes = [tuple(case.one_of(1, n) for n in shape) for _ in range(2)]
    cut = case.size(len(shape), 0)
    whole = case.size(1, 0)
    shapes[whole] = shapes[whole][cut:]
    result = np.broadcast_shapes(*shapes)
    steps = [case.step(2.0**-10), case.step(2.0**-10)]
    if op == "MUL":
        step = result_step(case, steps[0] * steps[1])
    else:
        step = float(np.float32(max(steps) * case.step(2.0**-9, 16)))
    inputs = [case.input(each, own, case.zero()) for each, own in zip(shapes, steps, strict=True)]
    made = options(f"{op.capitalize()}Options", fusedActivationFunction=case.one_of(*ACTIVATIONS))
    return case.finish(op, inputs, [case.output(result, step, case.zero())], made, 2)


def unary(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """LOGISTIC, TANH, RELU and RELU6, of all 256 values, or 512 of 16 bits."""
    case = Case.start(draw)
    op = case.one_of("LOGISTIC", "TANH", "RELU", "RELU6")
    shape, step, zero = ((1, 256) if case.dtype == "int8" else (1, 512)), case.step(2.0**-16, 2.0), case.zero()
    source = case.input(shape, step, zero)
    if op in ("LOGISTIC", "TANH"):
        fixed = {"int8": (2.0**-8, -128) if op == "LOGISTIC" else (2.0**-7, 0), "int16": (2.0**-15, 0)}
        output = case.output(shape, *fixed[case.dtype])
    elif op == "RELU":
        output = case.output(shape, result_step(case, step), case.zero())
    else:
        output = case.output(shape, step, zero)
    content, runs = case.finish(op, [source], [output])
    if case.dtype == "int8":
        runs[0] = [np.arange(-128, 128).astype("int8").reshape(shape)]
    return content, runs


def joined(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """CONCATENATION."""
    case = Case.start(draw, ("int8", "int16", "int32"))
    shape = [case.size(4) for _ in range(case.size(4))]
    axis = case.size(len(shape) - 1, 0)
    step, zero = (None, 0) if case.dtype == "int32" else (case.step(), case.zero())
    sizes = [case.size(3) for _ in range(case.size(4))]
    inputs = [case.input((*shape[:axis], size, *shape[axis + 1 :]), step, zero) for size in sizes]
    output = case.output((*shape[:axis], sum(sizes), *shape[axis + 1 :]), step, zero)
    made = options("ConcatenationOptions", axis=axis - len(shape) * case.one_of(0, 1))
    return case.finish("CONCATENATION", inputs, [output], made)


def parted(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """SPLIT and SPLIT_V."""
    case = Case.start(draw, ("int8", "int16", "int32"))
    op, shape = case.one_of("SPLIT", "SPLIT_V"), [case.size(4) for _ in range(case.size(4))]
    axis = case.size(len(shape) - 1, 0)
    step, zero = (None, 0) if case.dtype == "int32" else (case.step(), case.zero())
    count = case.size(3)
    sizes = [case.size(3)] * count if op == "SPLIT" else [case.size(3) for _ in range(count)]
    source = case.input((*shape[:axis], sum(sizes), *shape[axis + 1 :]), step, zero)
    outputs = [case.output((*shape[:axis], size, *shape[axis + 1 :]), step, zero) for size in sizes]
    place = case.constant([axis - len(shape) * case.one_of(0, 1)])
    if op == "SPLIT":
        return case.finish(op, [place, source], outputs, options("SplitOptions", numSplits=count))
    made = options("SplitVOptions", numSplits=count)
    return case.finish(op, [source, case.constant(sizes), place], outputs, made, 2)


def cut(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """SLICE, with sizes that reach to the end of their axis."""
    case = Case.start(draw, ("int8", "int16", "int32"))
    shape = tuple(case.size(6) for _ in range(case.size(4)))
    begins = [case.size(size - 1, 0) for size in shape]
    sizes = [case.size(size - begin) for size, begin in zip(shape, begins, strict=True)]
    told = [
        case.one_of(-1, length) if begin + length == size else length
        for size, begin, length in zip(shape, begins, sizes, strict=True)
    ]
    step, zero = (None, 0) if case.dtype == "int32" else (case.step(), case.zero())
    inputs = [case.input(shape, step, zero), case.constant(begins), case.constant(told)]
    return case.finish("SLICE", inputs, [case.output(sizes, step, zero)], options("SliceOptions"), 2)


def sliced(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """STRIDED_SLICE, with ends that count from the last place, and beyond the ends; never empty."""
    case = Case.start(draw, ("int8", "int16", "int32"))
    shape = tuple(case.size(6) for _ in range(case.size(4)))
    masks = {name: case.size((1 << len(shape)) - 1, 0) for name in ("begin", "end", "shrink")}
    begins, ends, strides, result = [], [], [], []
    for axis, size in enumerate(shape):
        bit, stride = 1 << axis, case.one_of(1, 1, 2, 3, -1, -2)
        first, last = sorted((case.size(size - 1, 0), case.size(size - 1, 0)))
        begin, end = (first, last + 1) if stride > 0 else (last, first - 1)
        if masks["shrink"] & bit:
            begins.append(begin - size * case.one_of(0, 1))
            ends.append(case.size(3, -3))
            strides.append(1)
            masks["begin"] &= ~bit
            continue
        start = begin if not masks["begin"] & bit else 0 if stride > 0 else size - 1
        stop = end if not masks["end"] & bit else size if stride > 0 else -1
        result.append(len(range(start, stop, stride)))
        far = begin == (0 if stride > 0 else size - 1) and case.one_of(False, True)
        begins.append((-size - 2 if stride > 0 else size + 2) if far else begin - size * case.one_of(0, 1))
        if stride > 0:
            ends.append(case.one_of(end - size, end) if end < size else case.one_of(size, size + 5))
        else:
            ends.append(end - size if end < 0 else case.one_of(end, end - size))
        strides.append(stride)
    step, zero = (None, 0) if case.dtype == "int32" else (case.step(), case.zero())
    inputs = [case.input(shape, step, zero), *(case.constant(values) for values in (begins, ends, strides))]
    made = options(
        "StridedSliceOptions", beginMask=masks["begin"], endMask=masks["end"], shrinkAxisMask=masks["shrink"]
    )
    return case.finish("STRIDED_SLICE", inputs, [case.output(result, step, zero)], made, 2)


def filled(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """PAD and PADV2."""
    case = Case.start(draw, ("int8", "int16"))
    op, shape = case.one_of("PAD", "PADV2"), tuple(case.size(4) for _ in range(case.size(4)))
    widths = np.array([[case.size(3, 0), case.size(3, 0)] for _ in shape])
    step, zero = case.step(), case.zero()
    inputs = [case.input(shape, step, zero), case.constant(widths)]
    if op == "PADV2":
        inputs.append(case.constant(case.values((1,), case.dtype), case.dtype, step, zeros=zero))
    return case.finish(
        op, inputs, [case.output(widths.sum(axis=1) + shape, step, zero)], options(f"{_title(op)}Options")
    )


def _title(op: str) -> str:
    return {"PAD": "Pad", "PADV2": "PadV2"}[op]


def shaped(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """RESHAPE, EXPAND_DIMS, SQUEEZE and TRANSPOSE."""
    case = Case.start(draw)
    op = case.one_of("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "TRANSPOSE")
    shape = tuple(case.size(4) for _ in range(case.size(4)))
    step, zero = case.step(), case.zero()
    inputs, made, version = [case.input(shape, step, zero)], None, 1
    result: Sequence[int]
    if op == "RESHAPE":
        result = (1, int(np.prod(shape)))
        inputs.append(case.constant(result))
        made = options("ReshapeOptions", newShape=result)
    elif op == "EXPAND_DIMS":
        axis = case.size(len(shape), 0)
        result, made = (*shape[:axis], 1, *shape[axis:]), options("ExpandDimsOptions")
        inputs.append(case.constant(axis))
    elif op == "SQUEEZE":
        result, made = tuple(n for n in shape if n > 1), options("SqueezeOptions", squeezeDims=[])
    else:
        axes = case.generator.permutation(len(shape))
        result, made, version = [shape[axis] for axis in axes], options("TransposeOptions"), 2
        inputs.append(case.constant(axes))
    return case.finish(op, inputs, [case.output(result, step, zero)], made, version)


def converted(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """QUANTIZE of integers and real values, and DEQUANTIZE."""
    case = Case.start(draw)
    target = case.one_of("int8", "int16", "int32", "float32", "uint8" if case.dtype == "int8" else "int8")
    step = case.step()
    factor = case.step(2.0**-10, 2.0**10)
    source = case.input((1, 256), step, case.zero())
    if target == "float32":
        output = case.output((1, 256), None, 0, target)
        return case.finish("DEQUANTIZE", [source], [output], options("DequantizeOptions"), 2)
    zero = {"int8": case.size(127, -128), "uint8": case.size(255, 0)}.get(target, 0)
    output = case.output((1, 256), float(np.float32(step * factor)), zero, target)
    content, runs = case.finish("QUANTIZE", [source], [output], options("QuantizeOptions"), 2)
    if case.dtype == "int8":
        runs[0] = [np.arange(-128, 128).astype("int8").reshape(1, 256)]
    return content, runs


def from_real(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """QUANTIZE of real values, among them halves of the step."""
    case = Case.start(draw)
    step, zero = case.step(), case.zero()
    source = case.made.tensor("in_0", (1, 256), "float32")
    case.sources.append(source)
    case.shapes.append((1, 256))
    output = case.output((1, 256), step, zero)
    case.made.op("QUANTIZE", 1, [source], [output], options("QuantizeOptions"))
    case.made.ends[0] = ([source], [output])
    halves = np.float32(case.generator.integers(-300, 300, (1, 256)) / 2 * step)
    return case.made.bytes(), [[halves], [np.float32(case.generator.normal(0, 500 * step, (1, 256)))]]


def transposed(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """TRANSPOSE_CONV."""
    case = Case.start(draw)
    images = (case.size(2), case.size(5), case.size(5), case.size(4))
    shape, strides = (case.size(4), case.size(4), case.size(4), images[3]), (case.size(3), case.size(3))
    padding = case.one_of(0, 1)
    rows, columns = (
        images[axis] * strides[axis - 1] if padding == 0 else (images[axis] - 1) * strides[axis - 1] + shape[axis]
        for axis in (1, 2)
    )
    step, (places, steps) = case.step(), weights(case, shape, 0)
    sums = step * steps
    own = bias(case, shape[0], sums, kinds=["", "int32"] if case.dtype == "int8" else ["", "int64"])
    result = (images[0], rows, columns, shape[0])
    inputs = [case.constant(result), places, case.input(images, step, case.zero())]
    output = case.output(result, result_step(case, float(sums.max())), case.zero())
    made = options(
        "TransposeConvOptions", padding=padding, strideH=strides[0], strideW=strides[1],
        fusedActivationFunction=case.one_of(*ACTIVATIONS),
    )  # fmt: skip
    return case.finish("TRANSPOSE_CONV", [*inputs, *([own] if own >= 0 else [])], [output], made, 3)


def matrices(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """BATCH_MATMUL, with axes that broadcast, of a constant or not."""
    case = Case.start(draw)
    rows, depth, columns = case.size(4), case.one_of(1, 5, 60), case.size(4)
    batch = tuple(case.size(3) for _ in range(case.size(2, 0)))
    turned = (case.one_of(False, True), case.one_of(False, True))
    shapes = [(*(case.one_of(1, n) for n in batch), *pair) for pair in ((rows, depth), (depth, columns))]
    result = (*np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2]), rows, columns)
    shapes = [(*s[:-2], *s[-2:][:: -1 if t else 1]) for s, t in zip(shapes, turned, strict=True)]
    steps = [case.step(2.0**-10), case.step(2.0**-10)]
    inputs = [case.input(shapes[0], steps[0], case.zero())]
    if case.one_of(False, True):
        values = case.values(shapes[1], case.dtype)
        inputs.append(case.constant(values, case.dtype, steps[1], zeros=case.zero()))
    else:
        inputs.append(case.input(shapes[1], steps[1], case.zero()))
    output = case.output(result, result_step(case, steps[0] * steps[1]), case.zero())
    made = options("BatchMatMulOptions", adjX=turned[0], adjY=turned[1])
    return case.finish("BATCH_MATMUL", inputs, [output], made, 2)


def reduced(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """MEAN and SUM."""
    case = Case.start(draw)
    shape = tuple(case.size(7) for _ in range(case.size(4)))
    axes = [axis for axis in range(len(shape)) if case.one_of(False, True)] or [len(shape) - 1]
    kept = case.one_of(False, True)
    result = [1 if axis in axes else size for axis, size in enumerate(shape) if kept or axis not in axes]
    step = case.step()
    inputs = [
        case.input(shape, step, case.zero()),
        case.constant([axis - len(shape) * case.one_of(0, 1) for axis in axes]),
    ]
    output = case.output(result, float(np.float32(step * case.step(2.0**-6, 2.0**9))), case.zero())
    return case.finish(case.one_of("MEAN", "SUM"), inputs, [output], options("ReducerOptions", keepDims=kept), 2)


def shares(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """SOFTMAX."""
    case = Case.start(draw)
    shape = (*(case.size(3) for _ in range(case.size(2, 0))), case.one_of(1, 2, 7, 300))
    source = case.input(shape, case.step(2.0**-16, 2.0), case.zero())
    fixed = {"int8": (2.0**-8, -128), "int16": (2.0**-15, 0)}
    made = options("SoftmaxOptions", beta=case.one_of(1.0, 0.5, 2.7))
    return case.finish("SOFTMAX", [source], [case.output(shape, *fixed[case.dtype])], made)


def roots(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """RSQRT, of values not below 0."""
    case = Case.start(draw)
    step, zero = case.step(), case.zero()
    source = case.input((1, 400), step, zero)
    output = case.output((1, 400), case.step(2.0**-12, 1.0), case.zero())
    content, runs = case.finish("RSQRT", [source], [output])
    return content, [[np.maximum(values, zero).astype(values.dtype) for values in inputs] for inputs in runs]


def cells(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """UNIDIRECTIONAL_SEQUENCE_LSTM, of several inferences, between which it keeps its states."""
    case = Case.start(draw)
    batch, times, size, units = case.size(2), case.size(4), case.size(6), case.size(5)
    major = case.one_of(False, True)
    shape = (times, batch) if major else (batch, times)
    step, zero = case.step(2.0**-9, 2.0**-4), case.zero()
    hidden_step, hidden_zero = (2.0**-7 if case.dtype == "int8" else 2.0**-15) * case.one_of(1, 0.9), case.zero()
    cell_step = 2.0 ** case.size(-10, -13)
    inputs = [case.input((*shape, size), step, zero)]
    own_steps = [float(np.float32(case.step(2.0**-10, 2.0**-5))) for _ in range(8)]
    for place in range(8):
        values = case.generator.integers(-127, 128, (units, size if place < 4 else units))
        inputs.append(case.constant(values, "int8", own_steps[place]))
    inputs += [-1, -1, -1]
    kind, most = ("int32", 1 << 14) if case.dtype == "int8" else ("int64", 1 << 20)
    for place in range(4):
        values = case.generator.integers(-most, most, units)
        inputs.append(case.constant(values, kind, float(np.float32(step * own_steps[place]))))
    inputs += [-1, -1]
    for name, dtype, own, own_zero in (
        ("hidden", case.dtype, hidden_step, hidden_zero), ("cell", "int16", cell_step, 0),
    ):  # fmt: skip
        inputs.append(case.made.tensor(name, (batch, units), dtype, None, own, own_zero))
        case.made.tensors[0][inputs[-1]].isVariable = True
    inputs += [-1, -1, -1, -1]
    output = case.output((*shape, units), hidden_step, hidden_zero)
    made = options(
        "UnidirectionalSequenceLSTMOptions", fusedActivationFunction=schema.ActivationFunctionType.TANH,
        timeMajor=major, cellClip=case.one_of(0.0, 0.5, 10.0),
    )  # fmt: skip
    return case.finish("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [output], made)


def leaky(draw: Callable[[Any], Any]) -> tuple[bytes, list[list[np.ndarray]]]:
    """LEAKY_RELU, and PRELU with slopes that broadcast."""
    case = Case.start(draw)
    op, shape, step = case.one_of("LEAKY_RELU", "PRELU"), (1, 4, 8, 8), case.step()
    inputs, made = (
        [case.input(shape, step, case.zero())],
        options("LeakyReluOptions", alpha=case.one_of(0.1, 0.3, -0.2)),
    )
    if op == "PRELU":
        slopes = (case.one_of(1, 4), case.one_of(1, 8), 8)
        zero = case.size(127, -128)
        inputs.append(case.constant(case.values(slopes, "int8"), "int8", case.step(2.0**-9, 0.1), zeros=zero))
        made = None
    return case.finish(op, inputs, [case.output(shape, result_step(case, step), case.zero())], made)
