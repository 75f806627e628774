"""Instructions that kernels take on a core, as data; `row_rates` makes ranges of them.

Measured kernel by kernel under QEMU (`-icount`, which counts instructions and not cycles) with the sources of
TensorFlow Lite Micro of August and CMSIS-NN of July 2026, built by GCC 12 with -O2 and NDEBUG, on convolutions 3x3 and
1x1 of 1 to 64 input and 8 to 56 output channels, dense layers of 16 to 256 inputs, and depthwise convolutions 3x3. How
much a multiply-accumulate (MAC) costs depends most on how many of them add up to one output, the depth: what is done
once for an output is spread over them. Within a cell the ends are what was measured; cells between two that were not
measured take the ends of both.
"""

from __future__ import annotations

#: Depths up to which the columns of the tables below go; the last one has no end.
DEPTHS = (16, 48, 128)

# Least and most for a MAC: convolutions and dense layers by depth (up to 16, 48, 128, beyond), depthwise at any.
_M4_INT8 = "14.0-14.0 2.7-4.8 2.0-3.5 1.7-2.0 | 9.6-11.0 2.8-11.0 2.2-2.8 1.7-2.3 | 8.0-8.3"
_M4_INT16 = "14.7-14.8 3.5-5.2 2.7-3.5 1.9-2.2 | 8.9-10.5 3.4-10.5 2.8-3.4 2.6-2.8 | 32.6-33.3"
_M0_INT8 = "25.3-25.4 9.0-11.7 7.5-10.0 6.3-6.9 | 23.1-23.1 8.1-23.1 6.7-8.1 6.4-6.7 | 36.9-38.3"
_M0_INT16 = "26.3-26.4 10.2-12.5 8.6-9.6 7.0-7.4 | 65.2-65.2 55.7-65.2 54.7-55.8 54.4-54.5 | 61.4-62.6"
_M3_INT8 = "14.2-14.3 3.6-5.5 3.0-4.6 2.7-3.0 | 13.7-13.7 4.4-13.7 3.6-4.5 3.5-3.9 | 9.5-9.9"
_M3_INT16 = "14.2-14.3 4.0-5.5 3.3-4.1 2.6-2.9 | 11.1-11.1 5.9-11.1 5.3-6.0 5.2-5.3 | 36.1-36.9"
_M55_INT8 = "6.0-6.1 0.6-1.4 0.4-0.9 0.2-0.3 | 9.1-9.2 1.0-9.1 0.5-1.1 0.5-0.7 | 2.7-3.6"
_M55_INT16 = "8.5-8.6 1.4-2.3 0.9-1.3 0.3-0.5 | 10.1-10.2 2.0-10.2 1.1-2.0 1.0-1.2 | 30.1-30.7"
_M4_REFERENCE_INT8 = "49.4-49.5 10.4-20.6 9.0-12.0 6.9-7.5 | 10.0-10.0 6.2-10.0 6.2-10.0 6.2-6.2 | 25.4-25.5"
_M4_REFERENCE_INT16 = "65.5-65.6 19.0-30.8 17.0-20.6 14.1-14.9 | 12.5-12.5 8.2-12.5 8.2-12.5 8.2-8.3 | 25.9-26.0"
_M0_REFERENCE_INT8 = "76.2-76.2 20.6-33.8 17.0-21.1 13.4-14.4 | 14.3-14.3 7.4-14.3 7.4-14.3 7.4-7.5 | 45.5-45.6"
_M0_REFERENCE_INT16 = "98.6-98.7 29.5-46.0 26.0-30.5 20.8-21.9 | 31.5-31.5 23.4-31.5 23.4-31.5 23.4-23.5 | 91.9-92.0"
# Networks in plain C99 (`firmware_host/c99`), by `benchmarks/kernel_rates.py`, which measures layers of these shapes.
_M4_C99_INT8 = "2.8-5.9 1.9-3.7 1.6-1.6 1.1-1.3 | 5.0-5.0 2.9-2.9 1.7-2.1 1.5-1.5 | 10.7-12.1"
_M4_C99_INT16 = "2.7-6.1 1.9-3.7 1.5-1.6 1.1-1.3 | 3.8-3.8 2.3-2.3 1.5-1.8 1.4-1.4 | 10.5-12.0"
#: A range for each column: (least, most).
Cells = tuple[tuple[float, float], ...]


def _read(text: str) -> dict[str, Cells]:
    kinds = (part.split() for part in text.split("|"))
    cells = [tuple((float(low), float(high)) for low, high in (cell.split("-") for cell in kind)) for kind in kinds]
    return dict(zip(("conv", "dense", "depthwise"), cells, strict=True))


#: Of a core (`row_rates` lists which others are estimated as it), kernel family and type: cells by kind of layer.
RATES = {
    ("m4", "cmsis-nn", "int8"): _read(_M4_INT8),
    ("m4", "cmsis-nn", "int16x8"): _read(_M4_INT16),
    ("m0", "cmsis-nn", "int8"): _read(_M0_INT8),
    ("m0", "cmsis-nn", "int16x8"): _read(_M0_INT16),
    ("m3", "cmsis-nn", "int8"): _read(_M3_INT8),
    ("m3", "cmsis-nn", "int16x8"): _read(_M3_INT16),
    ("m55", "cmsis-nn", "int8"): _read(_M55_INT8),
    ("m55", "cmsis-nn", "int16x8"): _read(_M55_INT16),
    ("m4", "c99", "int8"): _read(_M4_C99_INT8),
    ("m4", "c99", "int16x8"): _read(_M4_C99_INT16),
    ("m4", "reference", "int8"): _read(_M4_REFERENCE_INT8),
    ("m4", "reference", "int16x8"): _read(_M4_REFERENCE_INT16),
    ("m0", "reference", "int8"): _read(_M0_REFERENCE_INT8),
    ("m0", "reference", "int16x8"): _read(_M0_REFERENCE_INT16),
}
#: Operators without MACs, on a Cortex-M4 with CMSIS-NN: least and most for an element of the input. MEAN, TANH,
#: LOGISTIC and SUB are TFLM's reference kernels, as on any core.
PER_ELEMENT = {
    ("MEAN", "int8"): (130.0, 130.0),
    ("MEAN", "int16x8"): (130.0, 130.0),
    ("MAX_POOL_2D", "int8"): (9.0, 15.3),
    ("MAX_POOL_2D", "int16x8"): (9.8, 16.1),
    ("ADD", "int16x8"): (83.7, 83.9),
    ("SUB", "int16x8"): (103.7, 103.9),
    ("MUL", "int16x8"): (36.8, 37.0),
    ("TANH", "int8"): (376.3, 376.5),
    ("TANH", "int16x8"): (25.2, 25.8),
    ("LOGISTIC", "int16x8"): (24.0, 40.0),
    ("SOFTMAX", "int8"): (534.0, 535.0),
    ("SOFTMAX", "int16x8"): (59.0, 60.0),
}
