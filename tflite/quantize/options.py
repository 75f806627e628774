"""The options of `quantize`, and which of them do not go together (no TensorFlow here)."""

from __future__ import annotations

from keras_mtl.core import ConversionError
from keras_mtl.tflite.qat import LEARNING, SCHEMES

#: The tasks whose decoders each part has.
PARTS = {"scenes": ("scenes",), "events": ("events",), "joint": ("scenes", "events")}
ENGINES = ("native", "tfmot")


def require_options(scheme: str, part: str, engine: str, cells: str | None, learning: str | None) -> None:
    """Refuses what is unknown, and what would have no effect.

    Args:
        scheme: of encoder and scene decoder.
        part: one of `PARTS`.
        engine: one of `ENGINES`.
        cells: scheme of the event decoder; None where none was named.
        learning: how ranges change in fine-tuning; None where no way was named.

    Raises:
        ConversionError: naming the option.
    """
    for value, known, what in (
        (scheme, SCHEMES, "scheme"),
        (part, PARTS, "part"),
        (engine, ENGINES, "engine"),
        (cells, (None, *SCHEMES), "scheme of the cells"),
        (learning, (None, *LEARNING), "way for ranges to learn"),
    ):
        if value not in known:
            raise ConversionError(f"unknown {what} {value!r}", hint=f"one of {', '.join(filter(None, known))}")
    if engine == "tfmot":
        if scheme != "int8":
            raise ConversionError(
                f"tfmot has no scheme with 16-bit activations, so it can't make {scheme}", hint="--engine native"
            )
        if part != "scenes":
            raise ConversionError(
                f"part {part!r} can't be quantized by tfmot: its 8-bit scheme has no recurrent cells",
                hint="--engine native",
            )
        if learning is not None:
            raise ConversionError(
                f"tfmot's ranges are moving averages always, so {learning!r} can't be chosen",
                hint="leave --ranges out, or --engine native",
            )
    if cells is not None and "events" not in PARTS[part]:
        raise ConversionError(
            f"part {part!r} has no recurrent cells, so their scheme can't be chosen ({cells!r})",
            hint="leave --cells out, or --part events or joint",
        )
