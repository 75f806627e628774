"""An input or an output of a `.tflite` file: its type, its shape, and the grid of its integers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_mtl.tflite import flatbuffer


@dataclass(frozen=True)
class Port:
    """One input or output.

    Attributes:
        name: of its tensor.
        dtype: of its elements, as NumPy names it.
        shape: with the batch dimension.
        scale, zero_point: real value = scale x (integer - zero_point); None for a float port.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None

    @classmethod
    def of(cls, tensor: Any) -> Port:
        """The port of a tensor of a file's object tree."""
        found = flatbuffer.quantization(tensor)
        scale, zero_point = (found.scale[0], found.zero_point[0]) if found else (None, None)
        shape = tuple(flatbuffer.tensor_shape(tensor))
        return cls(flatbuffer.tensor_name(tensor), flatbuffer.tensor_dtype(tensor), shape, scale, zero_point)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**asdict(self), "shape": list(self.shape)}

    @property
    def is_float(self) -> bool:
        """Whether its elements are floating-point numbers."""
        return np.dtype(self.dtype).kind == "f"

    @property
    def zero(self) -> int:
        """The element that stands for 0."""
        return self.zero_point or 0

    @property
    def size(self) -> int:
        """Number of its last dimension: classes, units or channels."""
        return self.shape[-1]

    @property
    def elements(self) -> int:
        """Elements of one inference."""
        return math.prod(self.shape)

    @property
    def element_bytes(self) -> int:
        """Bytes of one element."""
        return np.dtype(self.dtype).itemsize

    def zeros(self) -> np.ndarray:
        """An array of the port's shape and type, every element of it standing for 0."""
        return np.full(self.shape, self.zero, self.dtype)

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Real values as the port's elements, of any shape; a float port's only change their type.

        Rounds half to even, as every engine's reference does for inputs, and saturates.
        """
        if self.is_float:
            return np.asarray(values, self.dtype)
        limits = np.iinfo(self.dtype)
        integers = np.rint(np.asarray(values, np.float64) / (self.scale or 1.0)) + self.zero
        return np.clip(integers, limits.min, limits.max).astype(self.dtype)

    def dequantize(self, elements: np.ndarray) -> np.ndarray:
        """The port's elements as real values, float32."""
        if self.is_float:
            return np.asarray(elements, np.float32)
        return ((elements.astype(np.float64) - self.zero) * (self.scale or 1.0)).astype(np.float32)


def name_ports(model: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    """Names the ports of a file in place, and puts them in the order of the names.

    Args:
        model: the object tree of a file.
        inputs: their names. Where there are several, the converter was given the inputs by these names.
        outputs: the same for the outputs.
    """
    signature = model.signatureDefs[0] if model.signatureDefs else None
    for end, names in (("inputs", inputs), ("outputs", outputs)):
        if len(names) > 1:
            listed = {flatbuffer.text(entry.name): entry.tensorIndex for entry in getattr(signature, end)}
            setattr(model.subgraphs[0], end, [listed[name] for name in names])
    ports = (*flatbuffer.graph_inputs(model), *flatbuffer.graph_outputs(model))
    for port, name in zip(ports, (*inputs, *outputs), strict=True):
        port.name = name
