"""`kmtl_log_mel_tables.h` and `.c`: the settings and tables of the C front end, from a network's feature settings.

The float32 and the fixed-point front end have theirs, of which one is compiled. Two things make those of float32 small.
The window is symmetric, so half of it will do. And the mel filters are triangles
whose falling side is 1 minus the next one's rising side, so each bin needs one weight, and each edge the bin behind it.
"""

from __future__ import annotations

import numpy as np

from keras_mtl.core import ArtifactError, LogMelSettings, hann_window
from keras_mtl.firmware_host.bundle.text.c_source import extern_c, header, opening, real, values
from keras_mtl.firmware_host.device import FixedTables, fixed_tables, mel_segments

#: Lengths that CMSIS-DSP's `arm_rfft_fast_f32` has.
FFT_LENGTHS = tuple(2**power for power in range(5, 13))


def log_mel_tables(settings: LogMelSettings, name: str, prefix: str = "kmtl_log_mel") -> dict[str, str]:
    """The generated files of the C front end.

    `prefix`: what the files, the tables and the macros are called; one for each kind of features in a firmware.

    Returns:
        Texts by file name: `{prefix}_tables.h` with the macros `{PREFIX}_WINDOW`, `_SCRATCH`, `_BANDS`, `_HOP`,
        `_SAMPLE_RATE_HZ` and the constant `{prefix}_tables`, and `{prefix}_tables.c`.

    Raises:
        ArtifactError: CMSIS-DSP has no FFT of this length, a number is too large for the tables, or the hop is longer
            than half a window and the last frame is not kept.
    """
    if settings.fft not in FFT_LENGTHS:
        raise ArtifactError(
            f"no C front end for an FFT of {settings.fft} points: CMSIS-DSP has powers of two from 32 to 4096",
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
    segments, rising = mel_segments(settings)
    half_window = hann_window(settings.window)[: settings.window // 2 + 1].astype(np.float32)
    return {
        f"{prefix}_tables.h": _header(settings, name, prefix),
        f"{prefix}_tables.c": _source(
            settings, prefix, segments, rising.astype(np.float32), half_window, fixed_tables(settings)
        ),
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


def _source(
    settings: LogMelSettings,
    prefix: str,
    segments: np.ndarray,
    rising: np.ndarray,
    half_window: np.ndarray,
    fixed: FixedTables,
) -> str:
    # C has no empty arrays; filters between two bins would need one.
    rising = rising if len(rising) else np.zeros(1, np.float32)
    rising_fixed = fixed.rising if len(fixed.rising) else np.zeros(1, np.uint16)
    first, twiddles = _pairs(fixed.first), _pairs(fixed.twiddles)
    return f"""{opening("Tables of the log-mel front end.")}#include "{prefix}_tables.h"

static const uint16_t segments[{len(segments)}] = {{
{values(segments)}
}};

#if KMTL_LOG_MEL_FIXED
static const uint32_t first[{len(first)}] = {{
{values(first)}
}};

static const uint16_t heaviest[{len(fixed.heaviest)}] = {{
{values(fixed.heaviest)}
}};

static const uint32_t twiddles[{len(twiddles)}] = {{
{values(twiddles)}
}};

static const uint16_t order[{len(fixed.order)}] = {{
{values(fixed.order)}
}};

static const int32_t split[{fixed.split.size}] = {{
{values(fixed.split.reshape(-1))}
}};

static const uint16_t logarithms[{len(fixed.logarithms)}] = {{
{values(fixed.logarithms)}
}};

static const uint16_t rising[{len(rising_fixed)}] = {{
{values(rising_fixed)}
}};
#else
static const float half_window[{len(half_window)}] = {{
{values(half_window)}
}};

static const float rising[{len(rising)}] = {{
{values(rising)}
}};
#endif

const kmtl_log_mel_tables_t {prefix}_tables = {{
    {settings.sample_rate_hz}u,
    {settings.window}u,
    {settings.fft}u,
    {settings.hop}u,
    {settings.mel_bands}u,
    {str(settings.keep_last_frame).lower()},
#if KMTL_LOG_MEL_FIXED
    {{first, heaviest, twiddles, order, split, segments, rising, logarithms, {fixed.offset}, {fixed.floor}}},
#else
    {real(settings.floor)},
    half_window,
    segments,
    rising,
    arm_rfft_fast_init_{settings.fft}_f32,
#endif
}};
"""


def _pairs(table: np.ndarray) -> np.ndarray:
    """Pairs of int16 as one uint32 each, the first one in the lower half."""
    # C has no empty arrays; the shortest FFTs have no stage between the first and the last one.
    return np.ascontiguousarray(table if len(table) else np.zeros((1, 2)), "<i2").reshape(-1).view("<u4")
