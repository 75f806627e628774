"""A network's calls as the text of a C file: constants, descriptions, one function."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_mtl.firmware_host.c99.layer import Layer, Source, element_bytes, size_bytes
from keras_mtl.firmware_host.c99.lowering import Program
from keras_mtl.firmware_host.c99.memory import Memory
from keras_mtl.firmware_host.c99.moves import row_elements
from keras_mtl.firmware_host.c99.text import header, opening, values
from keras_mtl.firmware_host.reference import Tensor

#: Weights that kernels read by words.
_ALIGNED = ("weights",)
_FNV_BASIS = 2166136261


def network_header(name: str, file: str, title: str) -> str:
    """The header of a network's function."""
    declared = f"""
#ifdef __cplusplus
extern "C" {{
#endif

/* {title}: pointers to the elements of each input, and to room for those of each output; a null
 * pointer is an output that is not wanted. An output may lie where an input is. memory: aligned to 8 bytes. */
void {name}(const void *const *inputs, void *const *outputs, uint8_t *memory);

/* A sum over its constants, for a self-test. */
uint32_t {name}_checksum(void);

#ifdef __cplusplus
}}
#endif
"""
    return header(name, file, f"The network {name} in plain C99.", f"#include <stdint.h>\n{declared}")


def network_source(name: str, file: str, program: Program, memory: Memory) -> tuple[str, int]:
    """The source to `network_header`, and the sum that its constants have on a little-endian core."""
    text = _Text(name, program, memory)
    return text.source(file), text.checksum


class _Text:
    def __init__(self, name: str, program: Program, memory: Memory) -> None:
        self._name, self._program, self._memory = name, program, memory
        self._constants: dict[tuple[str, bool, bytes], str] = {}
        self._declared: list[str] = []
        self._sums: list[str] = []
        self.checksum = _FNV_BASIS
        self._inputs = {tensor.index: place for place, tensor in enumerate(program.inputs)}

    def source(self, file: str) -> str:
        calls = [line for number, layer in enumerate(self._program.layers) for line in self._call(number, layer)]
        copies = [line for place, tensor in enumerate(self._program.outputs) for line in self._copy(place, tensor)]
        body = "\n".join(f"  {line}" for line in (*calls, *copies))
        declared = "\n".join(self._declared)
        about = opening(f"The network {self._name}: what its layers compute with, and their calls.")
        return f"""{about}#include "{file}"

#include <stddef.h>
#include <string.h>

#include "kmtl_nn.h"
#include "kmtl_nn_conv.h"

{declared}
void {self._name}(const void *const *inputs, void *const *outputs, uint8_t *memory) {{
{body}
}}

uint32_t {self._name}_checksum(void) {{
  uint32_t sum = KMTL_NN_CHECKSUM;
{"".join(self._sums)}  return sum;
}}
"""

    def _call(self, number: int, layer: Layer) -> list[str]:
        names = {key: self._constant(f"{key}_{number}", data, key in _ALIGNED) for key, data in layer.arrays.items()}
        words = names | {"self": f"layer_{number}", "out": self._place(layer.outputs[0])}
        if layer.kind:
            described = _braces({**layer.fields}, names)
            before, behind = (text.format(n=number) for text in layer.functions)
            described = described.replace("{n}", str(number))
            self._declared += [*filter(None, [before]), f"static const {layer.kind} layer_{number} = {described};\n"]
            self._declared += filter(None, [behind])
        words |= {letter: self._read(source) for letter, source in zip("ab", layer.sources, strict=False)}
        if number in self._memory.scratch:
            at = f"&memory[{self._memory.scratch[number]}]"
            words |= {"scratch": f"(int16_t *)(void *){at}", "scratch64": f"(int64_t *)(void *){at}"}
        lines = [f"/* {_comment(layer.title)} */"]
        if "{parts}" not in layer.call:
            return [*lines, layer.call.format(**words)]
        words["parts"] = f"parts_{number}"
        parts = [f"{words['parts']}[{place}]" for place in range(len(layer.sources))]
        declared = f"kmtl_nn_rows_t {words['parts']}[{len(parts)}];"
        sets = [
            f"{part}.{key} = {value};"
            for part, source in zip(parts, layer.sources, strict=True)
            for key, value in (("data", self._read(source)), ("rows", f"{_rows(source)}u"))
        ]
        inner = [f"  {line}" for line in (declared, *sets, layer.call.format(**words))]
        return [*lines, "{", *inner, "}"]

    def _copy(self, place: int, tensor: Tensor) -> list[str]:
        copied = f"(void)memcpy(outputs[{place}], {self._place(tensor)}, {size_bytes(tensor)}u);"
        return [f"if (outputs[{place}] != NULL) {{", f"  {copied}", "}"]

    def _read(self, source: Source) -> str:
        place = self._place(source.tensor)
        if not source.first:
            return place
        start = source.first * row_elements(source.tensor)
        return f"kmtl_nn_at_const({place}, {start}u, {element_bytes(source.tensor)}u)"

    def _place(self, tensor: Tensor) -> str:
        """An expression of type `void *` or `const void *` for a tensor's elements."""
        root = self._program.memory_of(tensor)
        if root.index in self._memory.places:
            return f"(void *)&memory[{self._memory.places[root.index]}]"
        if root.index in self._inputs:
            return f"inputs[{self._inputs[root.index]}]"
        assert root.constant is not None  # the reference has no other tensors
        return f"(const void *){self._constant(f'constant_{root.index}', root.constant, False)}"

    def _constant(self, name: str, data: np.ndarray, aligned: bool) -> str:
        """The name of a constant array; the same numbers are there once."""
        flat = np.ascontiguousarray(data).reshape(-1)
        key = (flat.dtype.name, aligned, flat.tobytes())
        if key not in self._constants:
            self._constants[key] = name
            mark = "KMTL_NN_ALIGNED " if aligned else ""
            self._sums.append(f"  sum = kmtl_nn_checksum(sum, {name}, (uint32_t)sizeof({name}));\n")
            self.checksum = _checksum(self.checksum, flat.astype(flat.dtype.newbyteorder("<")).tobytes())
            self._declared.append(
                f"{mark}static const {flat.dtype.name}_t {name}[{len(flat)}] = {{\n{values(flat)}\n}};\n"
            )
        return self._constants[key]


def _checksum(found: int, content: bytes) -> int:
    """`kmtl_nn_checksum`: FNV-1a of 32 bits."""
    for byte in content:
        found = ((found ^ byte) * 16777619) & 0xFFFFFFFF
    return found


def _rows(source: Source) -> int:
    return source.tensor.shape[1] if source.rows is None else source.rows


def _braces(value: Any, names: Mapping[str, str]) -> str:
    """An initializer."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f".{key} = {_braces(each, names)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(_braces(each, names) for each in value) + "}"
    if isinstance(value, str):
        return names.get(value, value)
    return f"({value})" if value < 0 else str(value)


def _comment(text: str) -> str:
    """A text that may hold anything, the end of a comment too."""
    return re.sub(r"[^\w ./:;-]", "_", text, flags=re.ASCII)[:100]
