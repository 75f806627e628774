"""`golden_audio` and `golden_vectors`: golden data as C arrays for a self-test in flash, and as binary files."""

from __future__ import annotations

import numpy as np

from keras_mtl.firmware_host.bundle.golden import C_VECTORS, STEPS_PER_DB, Chain, GoldenVectors
from keras_mtl.firmware_host.c99 import extern_c, header, opening, values
from keras_mtl.firmware_host.device import C_TYPES


def audio_texts(name: str, chain: Chain) -> dict[str, str]:
    """The C files of a chain: arrays `NAME_golden_audio`, `_levels`, `_fixed_levels`, `_network_input`, and results.

    Macros give the numbers of samples and frames, and the rows of each array of two dimensions.
    """
    frames, bands = chain.log_mel.shape
    prefix, arrays = name.upper(), _arrays(chain)
    macros = [
        f"#define {prefix}_GOLDEN_SAMPLES {len(chain.waveform)}",
        f"#define {prefix}_GOLDEN_FRAMES {frames}",
        f"/* The log-mel, {bands} a frame, in steps of 1/{STEPS_PER_DB} dB. */",
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
    """The binary files of a chain, little-endian; log-mel is float32 in dB here."""
    arrays = {**_arrays(chain), "levels": chain.log_mel_db}
    return {f"golden_{key}.bin": array.astype(array.dtype.newbyteorder("<")).tobytes() for key, array in arrays.items()}


def _arrays(chain: Chain) -> dict[str, np.ndarray]:
    given = {"audio": chain.waveform, "levels": chain.log_mel, "fixed_levels": chain.fixed_log_mel}
    return given | {"network_input": chain.inputs} | chain.results


def vectors_texts(name: str, vectors: GoldenVectors) -> dict[str, str]:
    """`golden_vectors.h` and `.c`: the first few vectors as C arrays."""
    prefix, count = name.upper(), min(C_VECTORS, len(vectors))
    body = f"#include <stdint.h>\n\n#define {prefix}_GOLDEN_COUNT {count}\n\n" + extern_c(
        "\n".join(
            f"extern {_declare(name, kind, array, f'[{count}][{array.shape[1]}]')};" for kind, array in vectors.named()
        )
    )
    parts = [
        f"{_declare(name, kind, array, f'[{count}][{array.shape[1]}]')} = {{\n"
        + "\n".join(f"  {{\n{values(vector)}\n  }}," for vector in array[:count])
        + "\n};\n"
        for kind, array in vectors.named()
    ]
    source = opening(f"Golden vectors of {name}.") + '#include "golden_vectors.h"\n\n' + "\n".join(parts)
    about = f"The first {count} golden vectors of {name}."
    return {"golden_vectors.h": header(name, "golden_vectors.h", about, body), "golden_vectors.c": source}


def _declare(name: str, key: str, array: np.ndarray, extent: str = "") -> str:
    # C has no empty arrays.
    return f"const {C_TYPES[array.dtype.name]} {name}_golden_{key}{extent or f'[{max(1, array.size)}]'}"
