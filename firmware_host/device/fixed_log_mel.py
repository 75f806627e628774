"""The fixed-point log-mel of the bundle's C (`kmtl_log_mel_fixed.c`), to the integer, and the tables of both.

Samples are 16 bits, and so is what lies in memory between the stages of the FFT, with one exponent a frame (block
floating point). A stage adds up in 32 bits, rounds once, and shifts no more than its input's headroom asks for; the
last one keeps 18 bits. Each stage is a radix-4 one in Stockham's order, so nothing is reversed bit by bit. Powers are
sums of 32 bits, bands of 64, and the logarithm is a table of 33 values with lines between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mtl.core import LogMelSettings, frame_window, mel_edges_hz

#: Steps of a level: 1 / 256 dB.
STEPS_PER_DB = 256
#: 1.0 of the window, just under 2**14, so that four windowed samples never overflow; of twiddle factors; of those of
#: the last pass, whose input has 18 bits; of the mel weights.
_WINDOW, _TWIDDLE, _SPLIT, _WEIGHT = 16_380, 32_767, 8_192, 32_768
_LOG2_INTERVALS = 32
#: Parts of a frame whose largest samples are looked for.
_PARTS = 32
#: 10 log10(2), of 2**13.
_DB_PER_OCTAVE = 24_660
_FRAMES_AT_A_TIME = 256


@dataclass(frozen=True, eq=False)
class FixedTables:
    """What the fixed-point front end reads.

    Attributes:
        window: int16 [fft], zeros around the window.
        fades: of each 32nd part of the window the bits by which even its largest weight is below 1, uint8 [32].
        twiddles: int16 [3 * fft / 8, 2], cosine and sine of 2 pi k / (fft / 2).
        split: int16 [fft / 4 + 1, 2], cosine and sine of 2 pi k / fft.
        segments: the first bin at or above each mel edge, int64 [mel_bands + 2].
        rising: weight of each bin from the first edge on in the band that rises there, uint16.
        log2: log2(1 + k / 32) of 2**16, int32 [33].
        offset: log2 of the scale between the integers and a power, of 2**10.
        floor: level of the least power, in steps.
    """

    window: np.ndarray
    fades: np.ndarray
    twiddles: np.ndarray
    split: np.ndarray
    segments: np.ndarray
    rising: np.ndarray
    log2: np.ndarray
    offset: int
    floor: int


def mel_segments(settings: LogMelSettings) -> tuple[np.ndarray, np.ndarray]:
    """The mel filters as the C front end has them.

    Returns:
        The first bin at or above each mel edge, int64 [mel_bands + 2]; and of each bin from the first edge up to the
        last one the weight with which it counts in the band that rises there, float64 [bins].
    """
    edges = mel_edges_hz(settings)
    bins_hz = np.linspace(0.0, settings.sample_rate_hz / 2, settings.fft // 2 + 1)
    segments = np.searchsorted(bins_hz, edges, side="left")
    inside = np.arange(segments[0], segments[-1])
    segment = np.searchsorted(segments, inside, side="right") - 1
    return segments, (bins_hz[inside] - edges[segment]) / (edges[segment + 1] - edges[segment])


def fixed_tables(settings: LogMelSettings) -> FixedTables:
    """The tables of some features, whose FFT must be a power of two from 32 on."""
    points = settings.fft // 2
    segments, rising = mel_segments(settings)
    log2 = np.log2(1.0 + np.arange(_LOG2_INTERVALS + 1) / _LOG2_INTERVALS)
    # Of the weights 15 bits, of powers 6 and the 2 of a doubled spectrum, of samples 30, of a window's 1.0 twice 2**15.
    offset = -15 + 6 - 2 - 30 + 2.0 * np.log2(32768 / _WINDOW)
    window = np.rint(frame_window(settings) * _WINDOW).astype(np.int16)
    largest = window.reshape(_PARTS, -1).max(axis=1)
    return FixedTables(
        window,
        np.floor(np.log2((1 << 14) / np.maximum(largest, 1))).astype(np.uint8),
        _circle(np.arange(3 * points // 4) / points, _TWIDDLE),
        _circle(np.arange(points // 2 + 1) / settings.fft, _SPLIT),
        segments,
        np.rint(rising * _WEIGHT).astype(np.uint16),
        np.rint(log2 * 65536).astype(np.int32),
        round(offset * 1024),
        max(-32768, round(10.0 * np.log10(settings.floor) * STEPS_PER_DB)),
    )


class FixedLogMel:
    """Log-mel of a clip in integer arithmetic, as the C with `KMTL_LOG_MEL_FIXED` computes it.

    Example:
        >>> FixedLogMel(LogMelSettings())(np.zeros(16_000, np.int16)).shape
        (100, 128)
    """

    def __init__(self, settings: LogMelSettings) -> None:
        self._settings, self._tables = settings, fixed_tables(settings)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Log-mel in steps of 1 / 256 dB: int16 [settings.frames(samples), mel_bands].

        Args:
            samples: int16 [samples] at the settings' rate.
        """
        fft, frames = self._settings.fft, self._settings.frames(len(samples))
        before = (fft - self._settings.window) // 2
        padded = np.pad(samples.astype(np.int64), (fft // 2, fft // 2 + fft))
        # Nothing but the window's own samples counts in the headroom.
        padded = np.lib.stride_tricks.sliding_window_view(padded, fft)[:: self._settings.hop]
        inside = np.zeros(fft, np.int64)
        inside[before : before + self._settings.window] = 1
        levels = np.empty((frames, self._settings.mel_bands), np.int16)
        for first in range(0, frames, _FRAMES_AT_A_TIME):
            part = slice(first, min(first + _FRAMES_AT_A_TIME, frames))
            levels[part] = self._levels(*_power(padded[part] * inside, self._tables))
        return levels

    def _levels(self, power: np.ndarray, exponent: np.ndarray) -> np.ndarray:
        """Powers [frames, bins] and the exponents of the frames' spectra to steps."""
        tables, bands = self._tables, self._settings.mel_bands
        sums = np.zeros((len(power), bands + 2), np.uint64)
        for segment in range(bands + 1):
            bins = slice(tables.segments[segment], tables.segments[segment + 1])
            first = tables.segments[0]
            weights = tables.rising[bins.start - first : bins.stop - first].astype(np.uint64)
            rises = (power[:, bins] * weights).sum(axis=1, dtype=np.uint64)
            sums[:, segment + 1] += rises
            sums[:, segment] += power[:, bins].sum(axis=1, dtype=np.uint64) * np.uint64(_WEIGHT) - rises
        total = sums[:, 1:-1]
        octaves = (_log2(total, tables.log2) >> 6) + tables.offset - 2 * 1024 * exponent[:, None]
        steps = (octaves * _DB_PER_OCTAVE + (1 << 14)) >> 15
        return np.where(total == 0, tables.floor, np.maximum(steps, tables.floor)).astype(np.int16)


def _circle(turns: np.ndarray, one: int) -> np.ndarray:
    angle = 2.0 * np.pi * turns
    return np.rint(np.stack([np.cos(angle), np.sin(angle)], axis=-1) * one).astype(np.int16)


def _bits(values: np.ndarray) -> np.ndarray:
    """Bits that the largest of the int16s [..., n] takes, without its sign: int64 [...]."""
    most = np.bitwise_or.reduce(values ^ (values >> 63), axis=-1)
    return np.ceil(np.log2(most + 1.0)).astype(np.int64)


def _quarters(parts: list[np.ndarray]) -> list[np.ndarray]:
    """A radix-4 butterfly of complex integers [..., 2]."""
    a, b, c, d = parts
    even, odd, sums, turned = a + c, a - c, b + d, b - d
    turned = np.stack([turned[..., 1], -turned[..., 0]], axis=-1)
    return [even + sums, odd + turned, even - sums, odd - turned]


def _power(samples: np.ndarray, tables: FixedTables) -> tuple[np.ndarray, np.ndarray]:
    """Samples [frames, fft] to the power of each bin, uint64 [frames, fft // 2 + 1], and exponents [frames]."""
    frames, points = len(samples), samples.shape[1] // 2
    # Four weights add up to 2 at most; each sample alone may be weighted with 1.
    room = 15 - _bits(samples.reshape(frames, _PARTS, -1))
    exponent = np.maximum(room.min(axis=1), (room + tables.fades).min(axis=1) - 1)
    products = (samples * tables.window).reshape(frames, points, 2)
    if points.bit_length() % 2:  # a power of four
        count = 4
        parts = _quarters(list(np.moveaxis(products.reshape(frames, 4, points // 4, 2), 1, 0)))
    else:
        count = 2
        first, second = np.moveaxis(products.reshape(frames, 2, points // 2, 2), 1, 0)
        parts = [first + second, first - second]
    # [frames, frequency, rest, 2]
    data = ((np.stack(parts, axis=1) << exponent[:, None, None, None]) + (1 << 14)) >> 15
    while count < points:
        rest = points // (4 * count)
        shift = np.minimum(3, np.maximum(0, _bits(data.reshape(frames, -1)) - 12))[:, None, None, None]
        inputs = np.moveaxis(data.reshape(frames, count, 4, rest, 2), 2, 0)
        parts = [(inputs[0] << 15) >> shift]
        for part in (1, 2, 3):
            turn = tables.twiddles[np.arange(count) * part * rest].astype(np.int64)[None, :, None, :]
            cosine, sine = np.moveaxis(turn, -1, 0)
            real, imaginary = inputs[part][..., 0], inputs[part][..., 1]
            turned = np.stack([real * cosine + imaginary * sine, imaginary * cosine - real * sine], axis=-1)
            parts.append(turned >> shift)
        sums = np.concatenate(_quarters(parts), axis=1)
        last = 4 * count == points
        data = (sums + (1 << 12)) >> 13 if last else (sums + (1 << 14)) >> 15
        exponent = exponent + (2 if last else 0) - shift[:, 0, 0, 0]
        count *= 4
    return _split(data[:, :, 0], tables.split), exponent


def _split(data: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """The spectrum [frames, points, 2] of pairs of samples to powers of the real spectrum, doubled."""
    points = data.shape[1]
    low = np.arange(points // 2 + 1)
    at, mirrored = data[:, low], data[:, (points - low) % points]
    even_r, even_i = at[..., 0] + mirrored[..., 0], at[..., 1] - mirrored[..., 1]
    odd_r, odd_i = at[..., 0] - mirrored[..., 0], at[..., 1] + mirrored[..., 1]
    cosine, sine = turns[:, 0].astype(np.int64), turns[:, 1].astype(np.int64)
    turned_r = (odd_i * cosine - odd_r * sine + (1 << 12)) >> 13
    turned_i = (odd_r * cosine + odd_i * sine + (1 << 12)) >> 13
    power = np.empty((len(data), points + 1), np.uint64)
    power[:, low] = ((even_r + turned_r) ** 2 + (even_i - turned_i) ** 2) >> 6
    power[:, points - low] = ((even_r - turned_r) ** 2 + (even_i + turned_i) ** 2) >> 6
    return power


def _log2(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """log2 of integers from 1 on, of 2**16."""
    values = np.maximum(values, np.uint64(1))
    whole = np.zeros(values.shape, np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        large = (values >> (whole + step).astype(np.uint64)) > 0
        whole = np.where(large, whole + step, whole)
    mantissa = (values << (63 - whole).astype(np.uint64)) >> np.uint64(32)
    place = ((mantissa >> np.uint64(26)) & np.uint64(31)).astype(np.int64)
    between = ((mantissa >> np.uint64(11)) & np.uint64(0x7FFF)).astype(np.int64)
    steps = table[place + 1].astype(np.int64) - table[place]
    return (whole << 16) + table[place] + ((steps * between) >> 15)
