"""A layer that moves a window over an image, in the numbers that kernels compute their scratch memory from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """One convolution. Pairs are (height, width).

    Attributes:
        batch: images at a time.
        input, output: of the image.
        channels, outputs: of the image before and after.
        filter: of the window.
        filter_channels: of the weights: fewer than `channels` where the convolution is grouped.
        stride, dilation: of the window.
        padding: in front of the image.
        multiplier: outputs for each channel of a depthwise convolution.
    """

    batch: int
    input: Pair
    channels: int
    filter: Pair
    filter_channels: int
    output: Pair
    outputs: int
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Pair = (0, 0)
    multiplier: int = 1

    @property
    def taps(self) -> int:
        """Places of the window."""
        return self.filter[0] * self.filter[1]


def window(image: tuple[int, ...], weights: tuple[int, ...], result: tuple[int, ...], options: Any) -> Window:
    """The window of a CONV_2D or DEPTHWISE_CONV_2D from its shapes, [batch, height, width, channels] each.

    Padding is that of `ComputePaddingHeightWidth` in `tensorflow/lite/kernels/padding.h`: what is odd goes behind.

    Raises:
        ValueError: shapes of another rank.
    """
    (batch, *source, channels), (_, *sides, depth), (_, *target, outputs) = image, weights, result
    stride = (options.strideH, options.strideW)
    dilation = (options.dilationHFactor, options.dilationWFactor)
    given, window_sides, made = _pair(source), _pair(sides), _pair(target)
    same = options.padding == 0
    missing = [
        (made[side] - 1) * stride[side] + (window_sides[side] - 1) * dilation[side] + 1 - given[side] for side in (0, 1)
    ]
    padding = (max(0, missing[0]) // 2, max(0, missing[1]) // 2) if same else (0, 0)
    return Window(
        batch, given, channels, window_sides, depth, made, outputs, stride, dilation, padding,
        getattr(options, "depthMultiplier", 1),
    )  # fmt: skip


def _pair(values: list[int]) -> Pair:
    height, width = values
    return height, width
