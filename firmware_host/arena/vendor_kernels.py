"""What the kernels of a vendor's library ask the arena for, where it is not what the reference kernels ask for.

The rules are those of `Prepare` in `tensorflow/lite/micro/kernels/cmsis_nn` (tflite-micro, 90b983c2 of August 2026,
built for speed) and in `kernels/esp_nn` (esp-tflite-micro 1.4.0, 99f49e14); the sizes are those of the libraries
themselves (`cmsis_nn`, `esp_nn`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keras_mtl.firmware_host.arena import cmsis_nn, esp_nn
from keras_mtl.firmware_host.arena.kernels import Operator, Requests, requests
from keras_mtl.firmware_host.arena.window import Window, window
from keras_mtl.firmware_host.targets import KernelBuild
from keras_mtl.tflite import flatbuffer

_INT32, _INT64 = 4, 8
#: Input of the state of an LSTM's cell.
_CELL = 19


def vendor_requests(operator: Operator, builds: Sequence[KernelBuild]) -> Requests:
    """What the kernel of an operator asks for, in the build that asks for the most.

    Raises:
        IndexError, TypeError, AttributeError, ValueError: an operator with missing tensors.
    """
    return max(
        (_requests(operator, build) for build in builds), key=lambda found: sum(found.scratch + found.persistent)
    )


def _requests(operator: Operator, build: KernelBuild) -> Requests:
    found, rule = requests(operator), _RULES.get(build.family, {}).get(operator.name)
    if rule is not None:
        rule(operator, found, build)
    return found


def _cmsis_convolution(op: Operator, found: Requests, build: KernelBuild) -> None:
    if op.dtype(0) in ("int8", "int16"):
        found.scratch = _some(cmsis_nn.convolution(_window(op), op.dtype(0) == "int16", build))


def _cmsis_depthwise(op: Operator, found: Requests, build: KernelBuild) -> None:
    if op.dtype(0) == "int8":
        found.scratch = _some(cmsis_nn.depthwise(_window(op), op.dtype(1) == "int4", build))


def _cmsis_transposed(op: Operator, found: Requests, build: KernelBuild) -> None:
    # Its inputs are the output's shape, the weights and the input.
    if op.dtype(2) != "int8":
        return
    (batch, *source, channels), (_, height, width, _) = op.shape(2), op.shape(1)
    layer = Window(
        batch, (source[0], source[1]), channels, (height, width), channels, (op.result[1], op.result[2]), op.result[3],
        (op.options.strideH, op.options.strideW),
    )  # fmt: skip
    sizes = cmsis_nn.transposed(layer, build)
    if sizes is not None:
        found.scratch = list(sizes)


def _cmsis_dense(op: Operator, found: Requests, build: KernelBuild) -> None:
    if op.dtype(0) != "int8":
        return
    outputs, steps = op.result[-1], flatbuffer.quantization(op.inputs[1])
    found.scratch = []
    if op.dtype(1) == "int4":
        return
    if len(op.result) > 2 and op.shape(1)[-1] % 4 == 0:
        # A convolution of 1x1, which has factors for each channel: they are copied where there is one for all.
        found.scratch += [] if steps is not None and len(steps.scale) > 1 else [outputs * 2 * _INT32]
    else:
        found.persistent += _some(cmsis_nn.dense(outputs, build))


def _cmsis_matrix_product(op: Operator, found: Requests, build: KernelBuild) -> None:
    if op.dtype(0) == "int8":
        found.scratch += _some(cmsis_nn.dense(op.result[-1], build))


def _cmsis_average_pool(op: Operator, found: Requests, build: KernelBuild) -> None:
    if op.dtype(0) in ("int8", "int16"):
        found.scratch += _some(cmsis_nn.average_pool(op.result[3], build))


def _cmsis_filtered_memory(op: Operator, found: Requests, build: KernelBuild) -> None:
    if op.dtype(1) == "int8":
        found.persistent += _some(cmsis_nn.dense(op.shape(1)[0], build))


def _cmsis_recurrent(op: Operator, found: Requests, build: KernelBuild) -> None:
    # Three buffers instead of four, and the sums of eight matrices of weights.
    if op.dtype(0) in ("int8", "int16") and op.dtype(_CELL) == "int16":
        del found.scratch[3:]
        found.persistent += [op.shape(_CELL)[-1] * (_INT32 if op.dtype(0) == "int8" else _INT64)] * 8


def _esp_convolution(op: Operator, found: Requests, build: KernelBuild) -> None:
    if op.dtype(0) == "int8":
        found.scratch += _some(esp_nn.convolution(_window(op), build))


def _esp_depthwise(op: Operator, found: Requests, build: KernelBuild) -> None:
    if op.dtype(0) == "int8":
        found.scratch += _some(esp_nn.depthwise(_window(op), build))


def _esp_softmax(op: Operator, found: Requests, build: KernelBuild) -> None:
    if op.dtype(0) == "int8" and flatbuffer.tensor_dtype(op.outputs[0]) == "int8" and len(op.shape(0)) > 1:
        found.scratch += _some(esp_nn.softmax(op.shape(0)[1]))


def _window(op: Operator) -> Window:
    return window(op.shape(0), op.shape(1), op.result, op.options)


def _some(size_bytes: int) -> list[int]:
    """A request, or none where nothing is needed."""
    return [size_bytes] if size_bytes > 0 else []


_RULES: dict[str, dict[str, Callable[[Operator, Requests, KernelBuild], None]]] = {
    "cmsis-nn": {
        "AVERAGE_POOL_2D": _cmsis_average_pool,
        "BATCH_MATMUL": _cmsis_matrix_product,
        "CONV_2D": _cmsis_convolution,
        "DEPTHWISE_CONV_2D": _cmsis_depthwise,
        "FULLY_CONNECTED": _cmsis_dense,
        "SVDF": _cmsis_filtered_memory,
        "TRANSPOSE_CONV": _cmsis_transposed,
        "UNIDIRECTIONAL_SEQUENCE_LSTM": _cmsis_recurrent,
    },
    "esp-nn": {"CONV_2D": _esp_convolution, "DEPTHWISE_CONV_2D": _esp_depthwise, "SOFTMAX": _esp_softmax},
}
