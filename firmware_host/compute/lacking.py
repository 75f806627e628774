"""What the target's TensorFlow Lite Micro (TFLM), its kernel family or tflite-runtime lacks of a file, layer by layer.

A finding blocks (the firmware would refuse the file, hang, or give wrong results), is slow (it runs on a path that
takes several times the instructions), or is a note. Facts about CMSIS-NN are from TFLM's `kernels/cmsis_nn`, those
about ESP-NN from esp-tflite-micro's `kernels/esp_nn`, of the commits that `operator_tables` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

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
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.flatbuffer import LOOPS

_FAMILIES: dict[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    "cmsis-nn": ("CMSIS-NN", CMSIS_NN_TYPES),
    "esp-nn": ("ESP-NN", ESP_NN_TYPES),
}
_PER_TENSOR = "convert with dense layers per tensor"
_NO_SUM = "MEAN or BATCH_MATMUL in its place, on which all runtimes agree"
_INT64 = "patch the bias to INT64, as `keras_mtl convert` does"


@dataclass(frozen=True)
class Finding:
    """Something that a runtime or a kernel family lacks.

    Attributes:
        op, version: the operator, as "MEAN", and its version in the file.
        layer: name of the layer that brought it (the operator's first output); "and N more" where it recurs.
        where: "tflm", "cmsis-nn", "esp-nn", "tflite-runtime" or "litert".
        severity: "blocks", "slow" or "note".
        why: what is lacking.
        remedy: what to do about it; "try" in JSON.
        count: layers that it was found in.
    """

    op: str
    version: int
    layer: str
    where: str
    severity: str
    why: str
    remedy: str
    count: int = 1

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for a report."""
        values = {key: getattr(self, key) for key in ("op", "version", "layer", "where", "severity", "why")}
        return {**values, "try": self.remedy, "layers": self.count}

    def sentence(self) -> str:
        """In one line, for a check: what is lacking, which layer brought it, what to do."""
        return f"{self.why} (layer {self.layer}); {self.remedy}"


def compatibility(models: Mapping[str, Any], target: Target) -> tuple[Finding, ...]:
    """All that is lacking, what blocks first; what recurs in several layers is one finding.

    Args:
        models: object trees of the files by the names that go before their layers' names; "" for a single file.
        target: a budget has no firmware, so that only the host's runtimes are looked at.
    """
    layers = [layer for member, model in models.items() for layer in _layers(model, member)]
    found = [finding for layer in layers if target.is_board for finding in _firmware(layer, target)]
    found += [finding for layer in layers for finding in _host_runtimes(layer)]
    order = ("blocks", "slow", "note")
    return tuple(sorted(_joined(found), key=lambda finding: order.index(finding.severity)))


def tflm_blocks(model: Any) -> tuple[Finding, ...]:
    """What no TensorFlow Lite Micro takes, whatever its kernels; found before anything is run."""
    return _joined(finding for layer in _layers(model) for finding in _tflm(layer))


@dataclass(frozen=True)
class _Layer:
    """One operator of a file with what the rules look at; `name` is what a person knows it by."""

    name: str
    op: str
    version: int
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    options: Any

    def dtype(self, index: int = 0) -> str:
        tensor = self.inputs[index] if index < len(self.inputs) else None
        return "-" if tensor is None else flatbuffer.tensor_dtype(tensor)

    def per_channel(self) -> bool:
        quantization = flatbuffer.quantization(self.inputs[1]) if len(self.inputs) > 1 and self.inputs[1] else None
        return quantization is not None and len(quantization.scale) > 1

    def dilated(self) -> bool:
        factors = (getattr(self.options, f"dilation{side}Factor", 1) for side in "HW")
        return any(factor > 1 for factor in factors)

    def finding(self, where: str, severity: str, why: str, remedy: str) -> Finding:
        return Finding(self.op, self.version, self.name, where, severity, why, remedy)


def _layers(model: Any, member: str = "") -> Iterator[_Layer]:
    for graph, operator in flatbuffer.operators(model):
        inputs, outputs = tuple(flatbuffer.op_inputs(graph, operator)), tuple(flatbuffer.op_outputs(graph, operator))
        # The converter joins the names of layers that it fused by semicolons: the first is enough.
        name = flatbuffer.tensor_name(outputs[0]).partition(";")[0] if outputs else "without an output"
        named = f"{member}/{name}" if member else name
        kind = flatbuffer.op_name(model, operator), flatbuffer.op_version(model, operator)
        yield _Layer(named, *kind, inputs, outputs, operator.builtinOptions)


def _joined(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding for each that recurs in several layers, in the order in which they came up."""
    found: dict[tuple[Any, ...], list[Finding]] = {}
    for finding in findings:
        found.setdefault((finding.op, finding.version, finding.where, finding.why), []).append(finding)
    more = {key: f" and {len(alike) - 1} more" if len(alike) > 1 else "" for key, alike in found.items()}
    return tuple(replace(alike[0], layer=alike[0].layer + more[key], count=len(alike)) for key, alike in found.items())


def _firmware(layer: _Layer, target: Target) -> Iterator[Finding]:
    blocked = list(_tflm(layer))
    yield from blocked
    # Of an operator that TFLM does not run at all it does not matter which kernels it lacks besides.
    if not blocked and target.kernels in _FAMILIES:
        yield from _KERNELS[target.kernels](layer)
        yield from _reference_kernels(layer, target.kernels)


def _tflm(layer: _Layer) -> Iterator[Finding]:
    if layer.op in LOOPS:
        why = "TFLM can't run loops: it loads WHILE and hangs on the first invocation"
        remedy = "convert cells instead: one step of the loop as a model of its own; LiteRT runs the file as it is"
        yield layer.finding("tflm", "blocks", why, remedy)
    elif layer.op in NPU_OPERATORS:
        why = f"{layer.op.removeprefix(CUSTOM)} runs on the device's own processing unit: nothing on this host runs it"
        yield layer.finding("tflm", "blocks", why, "check the file that it was compiled from")
    elif layer.op in TFLM_CUSTOM_OPERATORS:
        return
    elif layer.op.startswith((CUSTOM, "UNKNOWN_")):
        why = f"no resolver can be generated for {layer.op}, which is none of TFLM's operators"
        yield layer.finding("tflm", "blocks", why, "convert the network without it")
    elif layer.op not in TFLM_OPERATORS:
        yield layer.finding("tflm", "blocks", f"TFLM has no kernel for {layer.op}", "convert the network without it")
    elif "float16" in (layer.dtype(), *map(flatbuffer.tensor_dtype, layer.outputs[:1])):
        remedy = "convert to int8 or int16x8 for a microcontroller; float16 is for LiteRT-class devices"
        yield layer.finding("tflm", "blocks", "TFLM has no float16 kernels", remedy)
    elif layer.op == "DEPTHWISE_CONV_2D" and (layer.dtype(), layer.dtype(2)) == ("int16", "int32"):
        why = "TFLM reads an int16 depthwise convolution's bias as INT64, and this one is INT32: wrong results"
        yield layer.finding("tflm", "blocks", why, _INT64)


def _cmsis_nn(layer: _Layer) -> Iterator[Finding]:
    if layer.dtype() != "int16":
        return
    if layer.op == "FULLY_CONNECTED" and layer.per_channel():
        why = "CMSIS-NN's int16x8 FULLY_CONNECTED refuses per-channel weights"
        yield layer.finding("cmsis-nn", "blocks", why, _PER_TENSOR)
    if layer.op == "FULLY_CONNECTED" and layer.dtype(2) == "int32":
        why = "CMSIS-NN's int16x8 FULLY_CONNECTED reads an INT64 bias, and this one is INT32: wrong results"
        yield layer.finding("cmsis-nn", "blocks", why, _INT64)
    if layer.op == "DEPTHWISE_CONV_2D":
        why = (
            "int16x8 depthwise convolutions take CMSIS-NN's generic path: 3.9 times the instructions of int8, measured"
        )
        yield layer.finding("cmsis-nn", "slow", why, "int8 for this layer, or a convolution of another kind")


def _esp_nn(layer: _Layer) -> Iterator[Finding]:
    if layer.dtype() == "int16" and layer.op == "FULLY_CONNECTED":
        if layer.per_channel():
            why = (
                "esp-tflite-micro's int16x8 FULLY_CONNECTED takes per-channel weights as per-tensor ones: wrong results"
            )
            yield layer.finding("esp-nn", "blocks", why, _PER_TENSOR)
        if layer.dtype(2) == "int32":
            why = "esp-tflite-micro's int16x8 FULLY_CONNECTED reads an INT64 bias, and this one is INT32: wrong results"
            yield layer.finding("esp-nn", "blocks", why, _INT64)
    if layer.op in ("CONV_2D", "DEPTHWISE_CONV_2D") and layer.dtype() == "int8" and layer.dilated():
        why = "ESP-NN has no dilated convolution: TFLM's reference kernel runs it"
        yield layer.finding("esp-nn", "slow", why, "a convolution without dilation")


_KERNELS: dict[str, Callable[[_Layer], Iterator[Finding]]] = {"cmsis-nn": _cmsis_nn, "esp-nn": _esp_nn}


def _reference_kernels(layer: _Layer, kernels: str) -> Iterator[Finding]:
    """Operators and types that the family has no kernel for, so that TFLM's own runs, in plain C."""
    family, types = _FAMILIES[kernels]
    dtype = layer.dtype()
    if layer.op in MOVES_DATA:
        return
    if dtype in types.get(layer.op, ()):
        if layer.op in ("ADD", "MUL") and len({_shape(tensor) for tensor in layer.inputs[:2]}) > 1:
            why = f"{family}'s {layer.op} takes two inputs of one shape: broadcasting runs TFLM's reference kernel"
            yield layer.finding(kernels, "slow", why, "inputs of the same shape, where the layer is a large one")
        return
    if layer.op == "MEAN":
        why = f"{family} has no kernel for MEAN: TFLM's reference kernel takes 130 instructions an element, measured"
        yield layer.finding(kernels, "slow", why, "AVERAGE_POOL_2D where the result is the same")
    elif layer.op in types:
        why = f"{family} has no {dtype} kernel for {layer.op}: TFLM's reference kernel runs it"
        remedy = "int8, or another target" if dtype == "int16" else "int8 or int16x8"
        yield layer.finding(kernels, "slow", why, remedy)
    else:
        why = f"{family} has no kernel for {layer.op}: TFLM's reference kernel runs it"
        yield layer.finding(kernels, "note", why, "nothing, where its tensors are small")


def _host_runtimes(layer: _Layer) -> Iterator[Finding]:
    remedy = "nothing for a firmware: this runtime is a check only; LiteRT takes the file"
    most = TFLITE_RUNTIME_VERSIONS.get(layer.op)
    if layer.op.startswith((CUSTOM, "UNKNOWN_")):
        return
    if most is None:
        yield layer.finding("tflite-runtime", "note", f"tflite-runtime 2.14 has no {layer.op}", remedy)
    elif layer.version > most:
        why = f"tflite-runtime 2.14 has {layer.op} up to version {most}, not {layer.version}"
        yield layer.finding("tflite-runtime", "note", why, remedy)
    elif layer.op == "SUM" and layer.dtype() == "int16":
        why = "LiteRT's reference kernel gives a wrong int16 SUM, without a word; its optimised one and TFLM agree"
        yield layer.finding("litert", "note", why, _NO_SUM)
        if [_scale(tensor) for tensor in layer.inputs[:1]] != [_scale(tensor) for tensor in layer.outputs[:1]]:
            why = "tflite-runtime 2.14 refuses an int16 SUM whose output has another scale than its input"
            yield layer.finding("tflite-runtime", "note", why, _NO_SUM)
    elif layer.op == "REVERSE_V2" and len(layer.inputs) > 1 and max(_shape(layer.inputs[1]), default=1) > 1:
        why = "tflite-runtime 2.14 reverses the first of several axes only, without a word"
        yield layer.finding("tflite-runtime", "note", why, "one REVERSE_V2 for each axis")


def _scale(tensor: Any) -> tuple[float, ...]:
    quantization = flatbuffer.quantization(tensor)
    return quantization.scale if quantization else ()


def _shape(tensor: Any) -> tuple[int, ...]:
    return () if tensor is None else flatbuffer.tensor_shape(tensor)
