"""Names of layers, short enough for a table or a plot."""

from __future__ import annotations

_PARTS = 2


def short_name(name: str) -> str:
    """The first of the operators that a tensor's name lists, without the path that leads to it.

    The converter names a tensor after all operators that it fused, each with its whole path:
    "net/conv_1/Relu;net/conv_1/BiasAdd" is "conv_1/Relu".
    """
    first = name.split(";")[0].removesuffix(":0")
    return "/".join(first.split("/")[-_PARTS:])


def layer_of(name: str) -> str:
    """The same without the operator's name: the layer alone."""
    return short_name(name).split("/")[0]
