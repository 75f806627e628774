"""`kmtl_log_mel_tables.h` and `.c`: the settings and tables of the C front end, from a network's feature settings.

Both the float32 and the fixed-point front end have theirs, of which one is compiled. The mel filters are triangles
whose falling side is 1 minus the next one's rising side, so each bin needs one weight, and each edge the bin behind it.
"""

from __future__ import annotations

import numpy as np

from keras_mtl.core import ArtifactError, LogMelSettings
from keras_mtl.firmware_host.c99 import extern_c, header, opening, real, values
from keras_mtl.firmware_host.device import fft_factors, fixed_tables, frequency_order, mel_segments

#: Lengths that the C front end's FFT has.
FFT_LENGTHS = tuple(2**power for power in range(5, 13))


def log_mel_tables(settings: LogMelSettings, name: str, prefix: str = "kmtl_log_mel") -> dict[str, str]:
    """The generated files of the C front end.

    `prefix`: what the files, the tables and the macros are called; one for each kind of features in a firmware.

    Returns:
        Texts by file name: `{prefix}_tables.h` with the macros `{PREFIX}_WINDOW`, `_SCRATCH`, `_BANDS`, `_HOP`,
        `_SAMPLE_RATE_HZ` and the constant `{prefix}_tables`, and `{prefix}_tables.c`.

    Raises:
        ArtifactError: the C front end has no FFT of this length, a number is too large for the tables, or the hop is
            longer than half a window and the last frame is not kept.
    """
    if settings.fft not in FFT_LENGTHS:
        raise ArtifactError(
            f"no C front end for an FFT of {settings.fft} points: it has powers of two from 32 to 4096",
            hint=f"train with features.fft = {min(4096, 2 ** int(np.ceil(np.log2(max(settings.fft, 32)))))}",
        )
    if max(settings.hop, settings.mel_bands) > 0xFFFF:
        raise ArtifactError(f"no C front end for a hop of {settings.hop} and {settings.mel_bands} bands: 65535 at most")
    ready = (settings.fft - settings.window) // 2 + settings.window - settings.fft // 2
    if settings.hop > ready and not settings.keep_last_frame:
        # A frame would be given before it is known whether the clip is long enough to have it.
        raise ArtifactError(
            f"no C front end for a hop of {settings.hop} samples: more than half the window of {settings.window}",
            hint="train with a shorter hop, or with features.keep_last_frame",
        )
    return {
        f"{prefix}_tables.h": _header(settings, name, prefix),
        f"{prefix}_tables.c": _source(settings, prefix),
    }


def _header(settings: LogMelSettings, name: str, prefix: str) -> str:
    macro = prefix.upper()
    body = f"""#include "kmtl_log_mel.h"

/* Length of the history, and of the scratch. */
#define {macro}_WINDOW {settings.window}
#define {macro}_SCRATCH {2 * settings.fft}
/* Mel bands: values of a frame. */
#define {macro}_BANDS {settings.mel_bands}
/* Samples from one frame to the next, and samples a second. */
#define {macro}_HOP {settings.hop}
#define {macro}_SAMPLE_RATE_HZ {settings.sample_rate_hz}

{extern_c(f"extern const kmtl_log_mel_tables_t {prefix}_tables;")}"""
    return header(name, f"{prefix}_tables.h", "Settings of the log-mel front end.", body)


def _source(settings: LogMelSettings, prefix: str) -> str:
    fixed = fixed_tables(settings)
    _, rising = mel_segments(settings)
    weights, (turns, *more), split = fft_factors(settings)
    # Half the weights, for the sums of two that the real spectrum is of.
    first = np.concatenate([weights.reshape(len(weights), -1) / 2, _circle(turns)], axis=1)
    in_integers = [
        _array("uint32_t", "first", _pairs(fixed.first)),
        _array("uint16_t", "heaviest", fixed.heaviest),
        _array("uint32_t", "twiddles", _pairs(fixed.twiddles)),
        _array("uint32_t", "split", fixed.split),
        _array("uint16_t", "rising", fixed.rising),
        _array("uint16_t", "logarithms", fixed.logarithms),
    ]
    in_float = [
        _array("float", "first", first.astype(np.float32)),
        _array("float", "twiddles", np.concatenate([[], *(_circle(each).ravel() for each in more)]).astype(np.float32)),
        _array("float", "split", _circle(split[:, None]).astype(np.float32)),
        _array("float", "rising", rising.astype(np.float32)),
    ]
    both = [
        _array("uint16_t", "order", frequency_order(settings.fft // 2)),
        _array("uint16_t", "segments", fixed.segments),
    ]
    of_fixed = f"first, heaviest, twiddles, order, split, segments, rising, logarithms, {fixed.offset}, {fixed.floor}"
    return f"""{opening("Tables of the log-mel front end.")}#include "{prefix}_tables.h"

{"".join(both)}
#if KMTL_LOG_MEL_FIXED
{"".join(in_integers)}#else
{"".join(in_float)}#endif

const kmtl_log_mel_tables_t {prefix}_tables = {{
    {settings.sample_rate_hz}u,
    {settings.window}u,
    {settings.fft}u,
    {settings.hop}u,
    {settings.mel_bands}u,
    {str(settings.keep_last_frame).lower()},
#if KMTL_LOG_MEL_FIXED
    {{{of_fixed}}},
#else
    {{first, twiddles, order, split, segments, rising, {real(settings.floor)}}},
#endif
}};
"""


def _array(kind: str, name: str, table: np.ndarray) -> str:
    # C has no empty arrays; filters between two bins and the shortest FFTs would need one.
    table = table.ravel() if table.size else np.zeros(1, table.dtype)
    return f"static const {kind} {name}[{len(table)}] = {{\n{values(table)}\n}};\n"


def _circle(turns: np.ndarray) -> np.ndarray:
    """Cosine and sine of each angle in a row: [butterfly, 2 * results]."""
    angle = 2.0 * np.pi * turns
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(len(turns), -1)


def _pairs(table: np.ndarray) -> np.ndarray:
    """Pairs of int16 as one uint32 each, the first one in the lower half."""
    return np.ascontiguousarray(table, "<i2").reshape(-1).view("<u4")
