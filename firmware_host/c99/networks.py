"""All networks of an artifact in C99: a file of each, and one that runs them by their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_mtl.firmware_host.c99.lowering import Program, program_of
from keras_mtl.firmware_host.c99.memory import Memory, memory_of
from keras_mtl.firmware_host.c99.source import network_header, network_source
from keras_mtl.firmware_host.c99.text import extern_c, header, identifier, opening

#: The least memory: C has no array of none.
_LEAST_BYTES = 8


@dataclass(frozen=True, eq=False)
class CNetwork:
    """One network in C.

    Attributes:
        role: what its files are called.
        function: its name.
        program: its calls.
        memory: where these compute.
    """

    role: str
    function: str
    program: Program
    memory: Memory

    def source(self, header_file: str) -> tuple[str, int]:
        """Its source, and the sum of its constants."""
        return network_source(self.function, header_file, self.program, self.memory)

    @property
    def checksum(self) -> int:
        """The sum of its constants, as `FUNCTION_checksum` gives it."""
        return self.source("")[1]


def c_networks(name: str, models: Mapping[str, Any]) -> list[CNetwork]:
    """Networks in C.

    Args:
        name: what all identifiers begin with.
        models: object trees of the files by their roles, in the order of their numbers.

    Raises:
        EngineRefused: an operator that there is no C for, naming the layer.
    """
    found = []
    for role, model in models.items():
        program = program_of(model)
        found.append(CNetwork(role, f"{name}_{identifier(role)}", program, memory_of(program)))
    return found


def memory_bytes(networks: list[CNetwork], least: int = _LEAST_BYTES) -> int:
    """Bytes of the memory of all, and at least so many: none computes while another does."""
    return -(-max(least, *(network.memory.size_bytes for network in networks)) // 8) * 8


def networks_texts(
    name: str, file: str, networks: list[CNetwork], folder: str = "", least: int = _LEAST_BYTES
) -> dict[str, str]:
    """The sources, by their paths.

    Args:
        name: as of `c_networks`.
        file: of the header that runs all, without its ending.
        networks: of `c_networks`.
        folder: where the networks' own files lie, with a slash at its end.
        least: bytes of the memory at least, where others use it between two calls.
    """
    size = memory_bytes(networks, least)
    texts = {f"{file}.h": _header(name, f"{file}.h", networks, size)}
    texts[f"{file}.c"] = _source(name, file, networks, folder)
    for network in networks:
        own = f"{network.role}_network.h"
        texts[f"{folder}{own}"] = network_header(network.function, own, "One inference")
        texts[f"{folder}{network.role}_network.c"] = network.source(own)[0]
    return texts


def _number(name: str, network: CNetwork) -> str:
    return f"{name}_{identifier(network.role)}".upper()


def _header(name: str, file: str, networks: list[CNetwork], size: int) -> str:
    prefix = name.upper()
    numbers = "\n".join(f"#define {_number(name, network)} {place}" for place, network in enumerate(networks))
    declared = f"""
/* The memory that the networks compute in, one at a time; nothing in it lasts from one call to the next. */
typedef union {{
  uint64_t aligned;
  uint8_t bytes[{prefix}_MEMORY_BYTES];
}} {name}_memory_t;

/* There is nothing to be made: always 0. To be called once, before anything else. */
int {name}_start(void);

/* The memory of calls without one of their own, for what needs some between two calls. */
void *{name}_memory(void);

/* One inference of a network: pointers to the elements of each input, and to room for those of each output, in the
 * order of the file; a null pointer is an output that is not wanted. An output may lie where an input is. 0: done; 1:
 * there is no such network.
 * context  a {name}_memory_t of the caller's, or NULL for one that all such calls share, one at a time. */
int {name}_run(void *context, int network, const void *const *inputs, void *const *outputs);

/* A sum over the constants of a network, which one flipped bit changes: for a self-test. */
uint32_t {name}_checksum(int network);
"""
    body = f"""#include <stdint.h>

/* The networks by number. */
{numbers}
#define {prefix}_NETWORKS {len(networks)}

/* Bytes of the memory that they compute in: for the largest of them, or for what a front end has there. */
#define {prefix}_MEMORY_BYTES {size}

"""
    return header(name, file, f"The networks of {name} in plain C99.", body + extern_c(declared))


def _source(name: str, file: str, networks: list[CNetwork], folder: str) -> str:
    includes = "\n".join(f'#include "{folder}{network.role}_network.h"' for network in networks)
    cases = "\n".join(
        f"    case {_number(name, network)}:\n      {network.function}(inputs, outputs, memory);\n      return 0;"
        for network in networks
    )
    sums = "\n".join(
        f"    case {_number(name, network)}:\n      return {network.function}_checksum();" for network in networks
    )
    return f"""{opening(f"The networks of {name} by their numbers.")}#include "{file}.h"

#include <stddef.h>

{includes}

/* The memory of callers that have none of their own. */
static {name}_memory_t shared;

int {name}_start(void) {{ return 0; }}

void *{name}_memory(void) {{ return shared.bytes; }}

int {name}_run(void *context, int network, const void *const *inputs, void *const *outputs) {{
  uint8_t *const memory = (context != NULL) ? (({name}_memory_t *)context)->bytes : shared.bytes;

  switch (network) {{
{cases}
    default:
      return 1;
  }}
}}

uint32_t {name}_checksum(int network) {{
  switch (network) {{
{sums}
    default:
      return 0u;
  }}
}}
"""
