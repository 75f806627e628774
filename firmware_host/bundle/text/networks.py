"""The networks of a bundle as source: each as an array with its resolver and settings, and all behind one C call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras_mtl.core import VerdictFailed
from keras_mtl.firmware_host.bundle.text.c_source import extern_c, header, identifier, opening, values
from keras_mtl.firmware_host.bundle.text.settings import settings_header
from keras_mtl.firmware_host.compute import OpRow
from keras_mtl.tflite.artifact import Member

#: Operators whose method is not simply their name in camel case.
_METHODS = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}
#: Operators that have typed registrations, and for which types of the first input.
_TYPED = {
    "ADD": ("int8", "int16"),
    "AVERAGE_POOL_2D": ("int8", "int16"),
    "BATCH_MATMUL": ("int8", "int16"),
    "CONV_2D": ("int8", "int16"),
    "DEPTHWISE_CONV_2D": ("int8", "int16"),
    "FULLY_CONNECTED": ("int8", "int16"),
    "MAX_POOL_2D": ("int8", "int16"),
    "MUL": ("int8",),
    "SOFTMAX": ("int8", "int16"),
    "SVDF": ("int8",),
    "TRANSPOSE_CONV": ("int8",),
}
_SHARED_SETTING = """/* Bytes of the arena of all: what each keeps, the most that one computes in with its kernels' scratch memory, and a
 * small reserve. */
#define {}_ARENA_BYTES {}
"""


def registrations(rows: Sequence[OpRow]) -> tuple[str, ...]:
    """The calls that register a file's operators, as "AddConv2D(tflite::Register_CONV_2D_INT8())", sorted by operator.

    Raises:
        VerdictFailed: a custom operator, which the firmware's author has to bring.
    """
    calls = []
    for op in sorted({row.op for row in rows}):
        if op.startswith(("CUSTOM:", "UNKNOWN_")):
            raise VerdictFailed(f"no resolver can be written for operator {op}", hint="convert the network without it")
        uses = {(row.input_dtypes[0] if row.input_dtypes else "-", row.output_dtype) for row in rows if row.op == op}
        source, result = next(iter(uses))
        typed = len(uses) == 1 and source in _TYPED.get(op, ()) and source == result
        calls.append(f"{_method(op)}({f'tflite::Register_{op}_{source.upper()}()' if typed else ''})")
    return tuple(calls)


def resolver_header(name: str, rows: Sequence[OpRow], file: str = "model_resolver.h") -> str:
    """The text of a resolver's header (C++)."""
    calls = registrations(rows)
    guard = f"KERAS_MTL_{name}_{identifier(file)}_".upper()
    adds = "\n".join(f"  if (resolver->{call} != kTfLiteOk) {{\n    return kTfLiteError;\n  }}" for call in calls)
    return f"""{opening(f"The {len(calls)} operators that {name} uses, and no other (C++).")}#ifndef {guard}
#define {guard}

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace keras_mtl {{
namespace {name} {{

using OpResolver = tflite::MicroMutableOpResolver<{len(calls)}>;

inline TfLiteStatus RegisterOperators(OpResolver* resolver) {{
{adds}
  return kTfLiteOk;
}}

}}  // namespace {name}
}}  // namespace keras_mtl

#endif  // {guard}
"""


def _method(op: str) -> str:
    parts = (part if part[0].isdigit() else part.capitalize() for part in op.split("_"))
    return _METHODS.get(op) or "Add" + "".join(parts)


@dataclass(frozen=True)
class Network:
    """One network of a bundle.

    Attributes:
        name: its identifier in C, unique in a firmware: "scenes_int8", "joint_int8_encoder".
        role: what its files begin with: "model", or a member's name.
        member: the file and what is known of it.
        ops: its operators.
        arena_bytes: what TensorFlow Lite Micro used on the host.
        arena_setting_bytes: what to give its arena on the device.
    """

    name: str
    role: str
    member: Member
    ops: Sequence[OpRow]
    arena_bytes: int
    arena_setting_bytes: int


def network_texts(network: Network) -> dict[str, str]:
    """The sources of one network: `ROLE_data.h`, `ROLE_data.cc`, `ROLE_resolver.h` and `ROLE_settings.h`."""
    name, role, content = network.name, network.role, network.member.content
    declared = f"extern const unsigned char {name}_model[];\nextern const unsigned int {name}_model_bytes;"
    return {
        f"{role}_data.h": header(name, f"{role}_data.h", f"The model {name} as an array.", extern_c(declared)),
        f"{role}_data.cc": (
            opening(f"The model {name}: the .tflite file, byte for byte, aligned for TensorFlow Lite Micro.")
            + f'#include "{role}_data.h"\n\n'
            + f"alignas(16) const unsigned char {name}_model[] = {{\n{values(content)}\n}};\n"
            + f"const unsigned int {name}_model_bytes = {len(content)}u;\n"
        ),
        f"{role}_resolver.h": resolver_header(name, network.ops, f"{role}_resolver.h"),
        f"{role}_settings.h": settings_header(
            name, network.member, network.arena_bytes, network.arena_setting_bytes, f"{role}_settings.h"
        ),
    }


def networks_header(name: str, file: str, networks: Sequence[Network], shared_arena_bytes: int | None = None) -> str:
    """The header that starts and runs all networks of a bundle, for C and C++.

    `shared_arena_bytes`: of the one arena that all of them share; None where each has its own.
    """
    prefix = name.upper()
    shared = "" if shared_arena_bytes is None else _SHARED_SETTING.format(prefix, shared_arena_bytes)
    members = "\n".join(f"#define {_number(name, network)} {place}" for place, network in enumerate(networks))
    declared = f"""
/* Makes the interpreters. 0: done. Else the number of the first network, counted from 1, that did not start: its arena
 * is too small, or the library lacks an operator. To be called once, before anything else. */
int {name}_start(void);

/* One inference of a network: pointers to the elements of each input, and to room for those of each output, in the
 * order of its settings; a null pointer is an output that is not wanted. 0: done. `context` is not used. */
int {name}_run(void *context, int network, const void *const *inputs, void *const *outputs);

/* Bytes of its arena that a network uses on this device, after the start: its setting may shrink to that. */
unsigned long {name}_arena_used_bytes(int network);
"""
    body = f"/* The networks by number. */\n{members}\n#define {prefix}_NETWORKS {len(networks)}\n{shared}\n"
    return header(name, file, f"The networks of {name} on TensorFlow Lite Micro.", body + extern_c(declared))


def networks_source(
    name: str, file: str, networks: Sequence[Network], folder: str = "", share_arena: bool = False
) -> str:
    """The C++ source to `networks_header`.

    `folder`: where the networks' own files lie, with a slash at its end. `share_arena`: whether they have one arena,
    over each other; `networks_header` then has its size.
    """
    kinds = ("data", "resolver", "settings")
    includes = "\n".join(f'#include "{folder}{each.role}_{kind}.h"' for each in networks for kind in kinds)
    arenas = "\n".join(
        f"alignas(16) KERAS_MTL_ARENA static std::uint8_t {each.role}_arena[{each.name.upper()}_ARENA_BYTES];"
        for each in networks
    )
    places = {each.role: f"{each.role}_arena, sizeof({each.role}_arena)" for each in networks}
    allocator = ""
    if share_arena:
        arenas = f"alignas(16) KERAS_MTL_ARENA static std::uint8_t shared_arena[{name.upper()}_ARENA_BYTES];"
        places = dict.fromkeys(places, "allocator")
        made = "tflite::MicroAllocator::Create(shared_arena, sizeof(shared_arena))"
        allocator = f"  tflite::MicroAllocator* allocator{{{made}}};\n"
    fields = allocator + "\n".join(
        f"  keras_mtl::TflmNetwork<keras_mtl::{each.name}::OpResolver> {each.role}"
        f"{{{each.name}_model, {places[each.role]}}};"
        for each in networks
    )
    starts = "\n".join(
        f"  if (all.{each.role}.Start(keras_mtl::{each.name}::RegisterOperators) != kTfLiteOk) {{\n"
        f"    return {place};\n  }}"
        for place, each in enumerate(networks, start=1)
    )
    runs = "\n".join(
        f"    case {_number(name, each)}:\n"
        f"      return Networks().{each.role}.Run(inputs, outputs) == kTfLiteOk ? 0 : 1;"
        for each in networks
    )
    used = "\n".join(
        f"    case {_number(name, each)}:\n"
        f"      return static_cast<unsigned long>(Networks().{each.role}.arena_used_bytes());"
        for each in networks
    )
    return f"""{opening(f"The networks of {name} on TensorFlow Lite Micro (C++11).")}#include "{file}"

#include <cstdint>
#include <new>

{includes}
#include "kmtl/kmtl_tflm.h"

/* Attributes of the arenas, as a section: -DKERAS_MTL_ARENA='__attribute__((section(".sdram")))'. */
#ifndef KERAS_MTL_ARENA
#define KERAS_MTL_ARENA
#endif

namespace {{

{arenas}

struct All {{
{fields}
}};

/* Made at the first call, when all of RAM is set up, not among the constructors before main(); and never destroyed. */
All& Networks() {{
  alignas(All) static unsigned char storage[sizeof(All)];
  static All* all = nullptr;
  if (all == nullptr) {{
    all = new (storage) All;
  }}
  return *all;
}}

}}  // namespace

extern "C" int {name}_start(void) {{
  All& all = Networks();
{starts}
  return 0;
}}

extern "C" int {name}_run(void*, int network, const void* const* inputs, void* const* outputs) {{
  switch (network) {{
{runs}
    default:
      return 1;
  }}
}}

extern "C" unsigned long {name}_arena_used_bytes(int network) {{
  switch (network) {{
{used}
    default:
      return 0;
  }}
}}
"""


def _number(name: str, network: Network) -> str:
    return f"{name}_{network.role}".upper()
