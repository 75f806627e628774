"""`audio.h` and `.c`: the golden chain as C arrays for a self-test in flash, and as binary files."""

from __future__ import annotations

import numpy as np

from keras_mtl.firmware_host.bundle.golden import STEPS_PER_DB, Chain
from keras_mtl.firmware_host.bundle.source import extern_c, header, opening, values
from keras_mtl.firmware_host.device import C_TYPES


def audio_texts(name: str, chain: Chain) -> dict[str, str]:
    """The C files of a chain: arrays `NAME_golden_audio`, `_levels`, `_network_input` and one for each result.

    Macros say how many samples and frames there are and, of each array of two dimensions, how many rows.

    Args:
        name: the bundle's identifier.
        chain: its golden chain.
    """
    frames, bands = chain.levels.shape
    prefix, arrays = name.upper(), _arrays(chain)
    macros = [
        f"#define {prefix}_GOLDEN_SAMPLES {len(chain.waveform)}",
        f"#define {prefix}_GOLDEN_FRAMES {frames}",
        f"/* Levels of the log-mel, {bands} a frame, in steps of 1/{STEPS_PER_DB} dB. */",
    ]
    macros += [
        f"#define {prefix}_GOLDEN_{key.upper()}_ROWS {len(array)}" for key, array in arrays.items() if array.ndim > 1
    ]
    declared = "\n".join(f"extern {_declare(name, key, array)};" for key, array in arrays.items())
    body = "#include <stdint.h>\n\n" + "\n".join(macros) + "\n\n" + extern_c(declared)
    about = f"A made-up sound and what comes of it in {name}, stage by stage."
    source = "\n".join(
        f"{_declare(name, key, array)} = {{\n{values(array) if array.size else '    0,'}\n}};\n"
        for key, array in arrays.items()
    )
    return {
        "golden_audio.h": header(name, "golden_audio.h", about, body),
        "golden_audio.c": opening(about) + '#include "golden_audio.h"\n\n' + source,
    }


def audio_binaries(chain: Chain) -> dict[str, bytes]:
    """The binary files of a chain, little-endian; levels are float32 in dB here."""
    arrays = {**_arrays(chain), "levels": chain.levels_db}
    return {f"golden_{key}.bin": array.astype(array.dtype.newbyteorder("<")).tobytes() for key, array in arrays.items()}


def _arrays(chain: Chain) -> dict[str, np.ndarray]:
    given = {"audio": chain.waveform, "levels": chain.levels, "network_input": chain.inputs}
    return given | chain.results


def _declare(name: str, key: str, array: np.ndarray) -> str:
    # C has no empty arrays.
    return f"const {C_TYPES[array.dtype.name]} {name}_golden_{key}[{max(1, array.size)}]"
