"""What tensorflow-model-optimization refuses, and why (no TensorFlow here)."""

from __future__ import annotations

from typing import Any

from keras_mtl.core import ConversionError

_NOT_LISTED = "tfmot's 8-bit scheme has no such layer"
_RECURRENT = "tfmot's 8-bit scheme has no recurrent cells"
#: Reasons by kind, as tfmot 0.8 was found to refuse them; of any other kind it is `_NOT_LISTED`.
REASONS = {
    "BatchNormalization": "tfmot takes batch normalisation right after a convolution only",
    "FusedBatchNorm": "tfmot takes batch normalisation right after a convolution only",
    "GRN": "a layer of our own, whose squares, means and roots inside would stay in floating point",
    "GRU": _RECURRENT,
    "LSTM": _RECURRENT,
    "Bidirectional": _RECURRENT,
    "Multiply": _NOT_LISTED,
    "LayerNormalization": _NOT_LISTED,
    "Attention": _NOT_LISTED,
    "Dot": "tfmot's 8-bit scheme has no products; the mean of embeddings by softmax weights over time is rewritten",
}


def refusal(layer: Any, reason: str = "") -> ConversionError:
    """The refusal of a layer, by its name, its kind and the reason."""
    kind = type(layer).__name__
    return ConversionError(
        f"layer {layer.name} ({kind}) can't be quantized by tfmot: {reason or REASONS.get(kind, _NOT_LISTED)}",
        hint="--engine native may take it; docs/algorithms.md has the list",
    )


def require_scenes_in_8_bits(scheme: str, part: str = "scenes") -> None:
    """Refuses what tfmot has no scheme for.

    Raises:
        ConversionError: any scheme but "int8", any part but "scenes".
    """
    if scheme != "int8":
        raise ConversionError(
            f"tfmot has no scheme with 16-bit activations, so it can't make {scheme}", hint="--engine native"
        )
    if part != "scenes":
        raise ConversionError(f"part {part!r} can't be quantized by tfmot: {_RECURRENT}", hint="--engine native")
