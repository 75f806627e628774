"""Scratch memory of ESP-NN's kernels: the sizes that its `esp_nn_get_*_scratch_size` functions give.

Facts from github.com/espressif/esp-nn: v1.1.2 (596b084; the same sizes since v1.0.2), and 1.2.1 (79d59ae) and 1.2.3
(5f0a807), whose convolutions ask for more each time. Only the ESP32-S3 has kernels that need any, but for softmax;
those of the ESP32-P4 are not here.
"""

from __future__ import annotations

from keras_mtl.firmware_host.arena.window import Pair, Window
from keras_mtl.firmware_host.targets import KernelBuild

#: The versions that copy the weights, and that leave more room in front and behind.
_COPIES, _WIDER = (1, 2, 1), (1, 2, 3)
#: Bytes up to which a kernel copies the whole image; above, a strip of as many rows as the window has.
_WHOLE_8_BIT, _WHOLE_16_BIT = 40 * 1024, 48 * 1024
_INT16, _INT32 = 2, 4


def convolution(layer: Window, build: KernelBuild) -> int:
    """Bytes of a CONV_2D of 8 bits."""
    if build.variant != "esp32s3":
        return 0
    new, rows, columns = build.version >= _COPIES, *layer.input
    slack = 64 if build.version >= _WIDER else 32
    if layer.filter == (1, 1) and layer.stride == (1, 1) and layer.padding == (0, 0):
        channels = _up(layer.channels, 8)
        image = rows * columns * channels if layer.channels % 8 else 0
        turned = 2 * 8 * channels if rows * columns >= 8 else 0
        return image + channels * layer.outputs + turned + slack
    row, depth = layer.filter[1] * layer.channels, layer.taps * layer.channels
    if new and row < 16 <= depth:
        return layer.outputs * (_INT32 + _up(depth, 16)) + _up(depth, 16) + 2 * 16 + slack
    image = _padded(layer.input, (2 * layer.padding[0], 2 * layer.padding[1])) * layer.channels
    weights = layer.taps * _up(layer.channels, 16) * layer.outputs
    found = (image if any(layer.padding) else 0) + weights + layer.outputs * _INT32 + slack
    if new:
        behind = _behind(layer)
        found += _up(row, 16) * layer.filter[0] * layer.outputs
        found += _padded(layer.input, behind) * layer.channels if any(behind) else 0
    return found


def depthwise(layer: Window, build: KernelBuild) -> int:
    """Bytes of a DEPTHWISE_CONV_2D of 8 bits."""
    if build.variant != "esp32s3":
        return 0
    return _depthwise(layer) if build.version >= _COPIES else _old_depthwise(layer)


def softmax(width: int) -> int:
    """Bytes of a SOFTMAX of 8 bits, on any chip. `width`: the second dimension of its input."""
    return width * _INT32


def _old_depthwise(layer: Window) -> int:
    weights = layer.taps * layer.channels * layer.multiplier
    as_int16 = _INT16 * (weights + layer.input[0] * layer.input[1] * layer.channels) + 16
    if layer.multiplier == 1 and layer.channels % 8 == 0 and layer.filter == (3, 3):
        return weights + _image(layer) + 16 if layer.channels % 16 == 0 else as_int16
    return as_int16 if layer.multiplier % 4 == 0 else 32


def _depthwise(layer: Window) -> int:
    channels, weights = layer.channels, layer.taps * layer.channels * layer.multiplier
    pixels = layer.input[0] * layer.input[1]
    as_int16 = _INT16 * (weights + pixels * channels)
    if layer.multiplier != 1 or (channels <= 3 and channels % 8):
        return as_int16 + 32 if layer.multiplier % 4 == 0 else 32
    if channels % 8:
        return _of_padded_channels(layer)
    if layer.filter != (3, 3):
        strip = layer.input[1] * layer.filter[0] * channels
        return (as_int16 if as_int16 <= _WHOLE_16_BIT else _INT16 * (weights + strip)) + 32
    if channels % 16 == 0:
        image, width = _image(layer), layer.input[1] + _around(layer)[1]
        return weights + (image if image <= _WHOLE_8_BIT else width * layer.filter[0] * channels) + 16
    if channels < 12:
        return as_int16 + 32
    taken, behind = _up(channels, 16), _behind(layer)
    around = (2 * layer.padding[0] + behind[0], 2 * layer.padding[1] + behind[1])
    return taken * (layer.taps + _padded(layer.input, around) + layer.output[0] * layer.output[1]) + 64


def _of_padded_channels(layer: Window) -> int:
    """Weights, image, result and the numbers of each channel, side by side, for channels up to a multiple of 8."""
    channels = _up(layer.channels, 8)
    found = _up(layer.taps * channels * _INT16, 16)
    found = _up(found + layer.input[0] * layer.input[1] * channels * _INT16, 16)
    found = _up(found + layer.output[0] * layer.output[1] * channels, 16)
    return found + 3 * channels * _INT32 + 16


def _image(layer: Window) -> int:
    """The padded image, where there is anything to pad."""
    around = _around(layer)
    return _padded(layer.input, around) * layer.channels if any(around) else 0


def _around(layer: Window) -> Pair:
    """What a 3x3 kernel pads in all: on both sides, or behind alone where nothing is asked for in front."""
    if any(layer.padding):
        return 2 * layer.padding[0], 2 * layer.padding[1]
    return _reach(layer)


def _behind(layer: Window) -> Pair:
    height, width = _reach(layer)
    return max(0, height), max(0, width)


def _reach(layer: Window) -> Pair:
    """How far the library's own count of windows reaches beyond the image."""
    (rows, columns), (made_rows, made_columns) = layer.input, layer.output
    return (
        made_rows * layer.stride[0] + layer.filter[0] - 1 - rows,
        made_columns * layer.stride[1] + layer.filter[1] - 1 - columns,
    )


def _padded(image: Pair, by: Pair) -> int:
    return (image[0] + by[0]) * (image[1] + by[1])


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
