"""The networks of a bundle as source: each as an array with its resolver and settings, and all behind one C call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras_mtl.firmware_host.bundle.text.resolver import resolver_header
from keras_mtl.firmware_host.bundle.text.settings import arena_lines, settings_header
from keras_mtl.firmware_host.c99 import extern_c, header, opening, values
from keras_mtl.tflite.artifact import Member

_SHARED_SETTING = """#include <stdint.h>

/* Bytes of the arena of all: what each keeps, the most that one computes in, its kernels' scratch memory with it, and a
 * reserve. */
{}
"""


@dataclass(frozen=True)
class Network:
    """One network of a bundle.

    Attributes:
        name: its identifier in C, unique in a firmware: "scenes_int8", "joint_int8_encoder".
        role: what its files begin with: "model", or a member's name.
        member: the file and what is known of it.
        arena_bytes: what TensorFlow Lite Micro used on the host.
        sizes: what to give its arena on the device, and on a PC of 64 bit, where the self-test runs, too.
    """

    name: str
    role: str
    member: Member
    arena_bytes: int
    sizes: tuple[int, int]


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
        f"{role}_resolver.h": resolver_header(name, network.member.model, f"{role}_resolver.h"),
        f"{role}_settings.h": settings_header(
            name, network.member, network.arena_bytes, network.sizes, f"{role}_settings.h"
        ),
    }


def networks_header(
    name: str, file: str, networks: Sequence[Network], shared_arena: tuple[int, int] | None = None
) -> str:
    """The header that starts and runs all networks of a bundle, for C and C++.

    `shared_arena`: sizes of the one arena that all of them share, as a network's; None where each has its own.
    """
    prefix = name.upper()
    shared = _SHARED_SETTING.format("\n".join(arena_lines(prefix, shared_arena))) if shared_arena else ""
    members = "\n".join(f"#define {_number(name, network)} {place}" for place, network in enumerate(networks))
    declared = f"""
/* Makes the interpreters. 0: done. Else the number of the first network, counted from 1, that did not start: its arena
 * is too small, or the library lacks an operator. To be called once, before anything else. */
int {name}_start(void);

/* The same with other files of the networks, one for each in their order, as those of a partition that is updated over
 * the air. Each is aligned to 16 and stays where it is. NULL: those of this firmware. */
int {name}_start_with(const unsigned char *const *models);

/* One inference of a network: pointers to the elements of each input, and to room for those of each output, in the
 * order of its settings; a null pointer is an output that is not wanted. 0: done. `context` is not used. */
int {name}_run(void *context, int network, const void *const *inputs, void *const *outputs);

/* Bytes of its arena that a network uses on this device, after the start. The start itself may take more: let the
 * setting shrink only as far as it still starts. */
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
    sizes = {"shared": name} if share_arena else {each.role: each.name for each in networks}
    arenas = "\n".join(
        f"alignas(16) KERAS_MTL_ARENA static std::uint8_t {arena}_arena[{owner.upper()}_ARENA_BYTES];"
        for arena, owner in sizes.items()
    )
    made = [f"tflite::MicroAllocator::Create({arena}_arena, sizeof({arena}_arena))" for arena in sizes]
    built_in = "\n".join(f"    {each.name}_model," for each in networks)
    shared = f"  tflite::MicroAllocator* allocator{{{made[0]}}};\n" if share_arena else ""
    allocators = ["allocator"] * len(networks) if share_arena else made
    fields = shared + "\n".join(
        f"  keras_mtl::TflmNetwork<{_space(each)}::OpResolver, {_space(each)}::kResourceVariables> {each.role}"
        f"{{models[{place}], {allocator}}};"
        for place, (each, allocator) in enumerate(zip(networks, allocators, strict=True))
    )
    starts = "\n".join(
        f"  if (all.{each.role}.Start({_space(each)}::RegisterOperators) != kTfLiteOk) {{\n    return {place};\n  }}"
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

/* Attributes of the arenas, as a section: -DKERAS_MTL_ARENA='__attribute__((section(".bss.sdram")))'. GCC and Clang
 * write the zeros of a section of any other name into the image, unless the linker script has it as (NOLOAD). Its
 * own memory TensorFlow Lite Micro sets up by itself: it need not begin as zeros. */
#ifndef KERAS_MTL_ARENA
#define KERAS_MTL_ARENA
#endif

namespace {{

{arenas}

const unsigned char* const kBuiltIn[] = {{
{built_in}
}};

struct All {{
  explicit All(const unsigned char* const* files) : models(files) {{}}

  const unsigned char* const* models;
{fields}
}};

/* Made at the first call, when all of RAM is set up, not among the constructors before main(); and never destroyed. */
All& Networks(const unsigned char* const* models = kBuiltIn) {{
  alignas(All) static unsigned char storage[sizeof(All)];
  static All* all = nullptr;
  if (all == nullptr) {{
    all = new (storage) All(models);
  }}
  return *all;
}}

}}  // namespace

extern "C" int {name}_start_with(const unsigned char* const* models) {{
  All& all = Networks(models == nullptr ? kBuiltIn : models);
{starts}
  return 0;
}}

extern "C" int {name}_start(void) {{ return {name}_start_with(nullptr); }}

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


def _space(network: Network) -> str:
    return f"keras_mtl::{network.name}"


def _number(name: str, network: Network) -> str:
    return f"{name}_{network.role}".upper()
