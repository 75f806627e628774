"""The fixed-point log-mel of the bundle's C (`kmtl_log_mel_fixed.c`), to the integer, and the tables of both.

A real FFT as a complex one of pairs of samples, decimated in frequency by stages of radix 4. What lies in memory
between stages are integers of 16 bits with one exponent a frame (block floating point). A stage loses as few bits as
bounds on the magnitudes of its inputs allow, which are kept for each quarter of them: a click is in one quarter only.
Powers are sums of 32 bits, bands of 64, and the logarithm comes from a table of 256 values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mtl.core import LogMelSettings, frame_window, mel_edges_hz

#: Steps of a level: 1 / 256 dB.
STEPS_PER_DB = 256
#: 1.0 of the window at most, just under 2**15, so that the sum of four windowed samples never overflows, whose weights
#: add up to 2 at most; of the twiddle factors, for sums of 16 bits and of more; of those of the split; of the mel
#: weights.
_WINDOW, _TWIDDLES, _SPLIT, _WEIGHT = 32_760, (32_768, 16_384), 8_192, 32_768
_INTERVALS = 256
#: Parts of a frame whose largest samples are looked for.
_PARTS = 32
#: Of 2**12: 1 and the square root of 2; magnitudes whose components have 16 bits, and those from which on a stage
#: halves what would still fit, since the next one would have to sum more than 16 bits, which takes more instructions.
_MAGNITUDES, _LARGEST, _LARGE = (4_096, 5_793), 0x8000 << 12, 23_171 << 12
#: Levels are added up in parts of a step.
_PARTS_PER_STEP = 64
#: Of a doubled power.
_PARTS_PER_OCTAVE = 49_321
_FRAMES_AT_A_TIME = 64


@dataclass(frozen=True, eq=False)
class FixedTables:
    """What the fixed-point front end reads. `points` is fft / 2, `radix` that of the first stage: 4 or 2.

    Attributes:
        first: of each butterfly of the first stage the weights of its inputs' real parts, two by two (the first and
            third, the second and fourth), each followed by those of the imaginary parts; then cosine and sine of its
            outputs but the first, of 2**15: int16 [points / radix, 2 * radix - 1, 2].
        heaviest: the largest weight in each part of a frame, and 1: uint16 [min(32, points / 4)].
        twiddles: cosine and sine of the stages between the first and the last one, of their butterflies in turn, of
            each output but the first, of 2**15 and then of 2**14: int16 [2, n, 2].
        order: uint16 [points / 4], the frequency of the first result of each butterfly of the last stage.
        split: int32 [points / 2 + 1, 2], cosine and sine of 2 pi k / fft.
        segments: the first bin at or above each mel edge, int64 [mel_bands + 2].
        rising: weight of each bin from the first edge on in the band that rises there, uint16.
        logarithms: levels of 1 + (k + 1 / 2) / 256 in 64ths of a step, uint16 [256].
        offset: level of the scale between the integers and a power, in 64ths of a step.
        floor: level of the least power, in steps.
    """

    first: np.ndarray
    heaviest: np.ndarray
    twiddles: np.ndarray
    order: np.ndarray
    split: np.ndarray
    segments: np.ndarray
    rising: np.ndarray
    logarithms: np.ndarray
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


def fft_factors(settings: LogMelSettings) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """What both front ends multiply by in the FFT, exactly, for an FFT of a power of two from 32 on.

    Returns:
        Weights of the samples as the first stage's butterflies read them, float64 [butterfly, input, part]; of each
        stage but the last one the angles by which a butterfly's results are turned, but the first result,
        [butterfly, result], in turns; the angles of the split, [fft / 4 + 1].
    """
    points = settings.fft // 2
    lengths = stage_lengths(points)
    radices = [_first_radix(points), *[4] * (len(lengths) - 2)]
    weights = frame_window(settings).reshape(radices[0], -1, 2).transpose(1, 0, 2)
    turns = [
        np.outer(np.arange(length // radix), np.arange(1, radix)) / length
        for length, radix in zip(lengths, radices, strict=False)
    ]
    return weights, turns, np.arange(points // 2 + 1) / settings.fft


def fixed_tables(settings: LogMelSettings) -> FixedTables:
    """The tables of some features, whose FFT must be a power of two from 32 on."""
    points = settings.fft // 2
    radix = _first_radix(points)
    segments, rising = mel_segments(settings)
    weights, turns, split = fft_factors(settings)
    one = int(2 * _WINDOW / max(2.0, weights.sum(axis=1).max()))
    window = np.rint(frame_window(settings) * one).astype(np.int16)
    # [butterfly, input of the half, half of the inputs, part] to [butterfly, (half, part), input]
    reads = np.rint(weights * one).astype(np.int16).reshape(-1, 2, radix // 2, 2).transpose(0, 2, 3, 1)
    further = np.concatenate([[], *(each.ravel() for each in turns[1:])])
    mantissas = 1.0 + (np.arange(_INTERVALS) + 0.5) / _INTERVALS
    per_level = _PARTS_PER_STEP * STEPS_PER_DB
    # Of the weights 15 bits, of powers 6, of samples 30, of a window's 1.0 twice 2**15.
    octaves = -15 + 6 - 30 + 2.0 * np.log2(32_768 / one)
    return FixedTables(
        np.concatenate([reads.reshape(-1, radix, 2), _circle(turns[0], _TWIDDLES[0])], axis=1),
        (window.reshape(min(_PARTS, points // 4), -1).max(axis=1) + 1).astype(np.uint16),
        np.stack([_circle(further, one_of_circle) for one_of_circle in _TWIDDLES]),
        frequency_order(points),
        _circle(split, _SPLIT).astype(np.int32),
        segments,
        np.rint(rising * _WEIGHT).astype(np.uint16),
        np.rint(10.0 * np.log10(mantissas) * per_level).astype(np.uint16),
        round(octaves * _PARTS_PER_OCTAVE) + _PARTS_PER_STEP // 2,
        max(-32_768, round(10.0 * np.log10(settings.floor) * STEPS_PER_DB)),
    )


class FixedLogMel:
    """Log-mel of whole batches in integer arithmetic, as the C with `KMTL_LOG_MEL_FIXED` computes it.

    Example:
        >>> FixedLogMel(LogMelSettings())(np.zeros((2, 16_000), np.int16)).shape
        (2, 100, 128)
    """

    def __init__(self, settings: LogMelSettings) -> None:
        self.settings, self._tables = settings, fixed_tables(settings)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Log-mel of clips of one length.

        Args:
            audio: int16 [clips, samples] at the settings' rate, or float in [-1, 1], which is rounded to 16 bits.

        Returns:
            float32 [clips, settings.frames(samples), mel_bands] in dB: whole steps.
        """
        if audio.dtype != np.int16:
            audio = np.rint(audio * 32_768.0).clip(-32_768, 32_767).astype(np.int16)
        levels = np.empty((len(audio), self.settings.frames(audio.shape[1]), self.settings.mel_bands), np.float32)
        for clip, samples in enumerate(audio):
            self._of_clip(samples, levels[clip])
        return levels

    def _of_clip(self, samples: np.ndarray, levels: np.ndarray) -> None:
        fft = self.settings.fft
        before = (fft - self.settings.window) // 2
        padded = np.pad(samples.astype(np.int32), (fft // 2, fft // 2 + fft))
        # Nothing but the window's own samples counts in the headroom.
        padded = np.lib.stride_tricks.sliding_window_view(padded, fft)[:: self.settings.hop]
        inside = np.zeros(fft, np.int32)
        inside[before : before + self.settings.window] = 1
        for first in range(0, len(levels), _FRAMES_AT_A_TIME):
            part = slice(first, min(first + _FRAMES_AT_A_TIME, len(levels)))
            levels[part] = self._levels(*_power(padded[part] * inside, self._tables)) / np.float32(STEPS_PER_DB)

    def _levels(self, power: np.ndarray, exponent: np.ndarray) -> np.ndarray:
        """Powers [frames, bins] and the exponents of the frames' spectra to steps."""
        tables = self._tables
        edges, first = tables.segments, tables.segments[0]
        power = power.T[first : edges[-1]].astype(np.uint64)  # [bins, frames]: sums over segments are of rows
        weighted = power * tables.rising[:, None].astype(np.uint64)
        rises, everything = (_sums(values, edges - first) for values in (weighted, power))
        total = (rises[:-1] + (everything[1:] * np.uint64(_WEIGHT) - rises[1:])).T
        scale = tables.offset - 2 * _PARTS_PER_OCTAVE * exponent[:, None].astype(np.int64)
        steps = (_logarithms(total, tables.logarithms) + scale) // _PARTS_PER_STEP
        return np.where(total == 0, tables.floor, np.maximum(steps, tables.floor)).astype(np.int16)


def stage_lengths(points: int) -> list[int]:
    """Points of the transforms that each stage of the FFT takes apart."""
    lengths = [points, points // _first_radix(points)]
    while lengths[-1] > 4:
        lengths.append(lengths[-1] // 4)
    return lengths


def _first_radix(points: int) -> int:
    return 4 if points.bit_length() % 2 else 2


def frequency_order(points: int) -> np.ndarray:
    """Frequencies where the last stage's butterflies put the first of their results: uint16 [points // 4]."""
    order, weight = np.zeros(1, np.int64), 1
    for radix in [_first_radix(points), *[4] * (len(stage_lengths(points)) - 2)]:
        order = (order[:, None] + weight * np.arange(radix)).ravel()
        weight *= radix
    return order.astype(np.uint16)


def _circle(turns: np.ndarray, one: int) -> np.ndarray:
    angle = 2.0 * np.pi * turns
    circle = np.rint(np.stack([np.cos(angle), np.sin(angle)], axis=-1) * one)
    return np.minimum(circle, 32_767).astype(np.int16)


def _sums(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Sums of rows from each edge up to the next one: uint64 [segments, frames]."""
    before = np.concatenate([np.zeros((1, values.shape[1]), np.uint64), np.cumsum(values, axis=0, dtype=np.uint64)])
    return before[edges[1:]] - before[edges[:-1]]


def _bits(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Bits that the largest of some int16s takes, without its sign: int32."""
    most = np.bitwise_or.reduce(values ^ (values >> 31), axis=axes)
    return np.ceil(np.log2(most + 1.0)).astype(np.int32)


def _bounds(data: np.ndarray, length: int) -> np.ndarray:
    """Of the inputs of a stage, by their place in its butterflies, what no magnitude reaches, of 2**12: [frames, 4]."""
    parts = data.reshape(2, data.shape[1], -1, 4, length // 4)
    squared = np.bitwise_or.reduce(parts[0] * parts[0] + parts[1] * parts[1], axis=(1, 3))
    bits = np.floor(np.log2(np.maximum(1, squared))).astype(np.int32) + 1
    return np.asarray(_MAGNITUDES, np.int32)[bits % 2] << (bits // 2)


def _turned(
    parts: tuple[np.ndarray, np.ndarray] | np.ndarray, turns: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers times cosine - j sine, rounded to what is left after a shift."""
    real, imaginary = parts
    cosine, sine = turns[..., 0].astype(np.int32), turns[..., 1].astype(np.int32)
    half = np.int32(1) << (shift - 1)
    return (real * cosine + imaginary * sine + half) >> shift, (imaginary * cosine - real * sine + half) >> shift


def _scaling(data: np.ndarray, length: int) -> np.ndarray:
    """How a stage keeps its sums within 16 bits, 0 to 3 bits that it loses: int32 [frames]."""
    bounds = _bounds(data, length)
    pairs = bounds[:, :2] + bounds[:, 2:]
    total = pairs.sum(axis=1)
    mode = np.where(pairs.max(axis=1) <= _LARGEST, 2, 3)
    mode = np.where(total <= _LARGEST, 1, mode)
    return np.where(total <= _LARGE, 0, mode).astype(np.int32)


def _first_stage(samples: np.ndarray, tables: FixedTables) -> tuple[np.ndarray, np.ndarray]:
    """Samples [frames, fft] to the first stage's results, [2, frames, points], and exponents [frames]."""
    frames, points = len(samples), samples.shape[1] // 2
    radix, parts = _first_radix(points), len(tables.heaviest)
    bits = _bits(samples.reshape(frames, parts, -1), (2,))
    bound = (tables.heaviest.astype(np.int64) << bits).reshape(frames, radix, -1).sum(axis=1)
    bound = np.floor(np.log2(np.maximum(1, np.bitwise_or.reduce(bound, axis=1)))).astype(np.int32)
    room = np.maximum(0, 30 - bound)[:, None]
    rounds = 0x8000 >> room
    window = tables.first[:, :radix].reshape(-1, radix // 2, 2, 2).transpose(3, 1, 0, 2).reshape(radix, -1, 2)
    real, imaginary = np.moveaxis(samples.reshape(frames, radix, -1, 2) * window.astype(np.int32), (3, 1), (0, 1))
    if radix == 4:
        even = real[0] + real[2] + rounds, imaginary[0] + imaginary[2] + rounds
        odd = real[0] - real[2] + rounds, imaginary[0] - imaginary[2] + rounds
        total = real[1] + real[3], imaginary[1] + imaginary[3]
        apart = real[1] - real[3], imaginary[1] - imaginary[3]
        results = [
            (even[0] + total[0], even[1] + total[1]),
            (odd[0] + apart[1], odd[1] - apart[0]),
            (even[0] - total[0], even[1] - total[1]),
            (odd[0] - apart[1], odd[1] + apart[0]),
        ]
    else:
        results = [
            (real[0] + real[1] + rounds, imaginary[0] + imaginary[1] + rounds),
            (real[0] - real[1] + rounds, imaginary[0] - imaginary[1] + rounds),
        ]
    narrow = [((r << room) >> 16, (i << room) >> 16) for r, i in results]
    first, second = narrow[:2]
    data = [((first[0] + (second[0] & 1)) >> 1, (first[1] + (second[1] & 1)) >> 1)]
    data += [_turned(each, tables.first[:, radix + k], np.full(1, 16, np.int32)) for k, each in enumerate(narrow[1:])]
    return np.stack([np.concatenate(part, axis=1) for part in zip(*data, strict=True)]), room[:, 0] - 2


def _power(samples: np.ndarray, tables: FixedTables) -> tuple[np.ndarray, np.ndarray]:
    """Samples int32 [frames, fft] to the power of each bin, uint64 [frames, fft // 2 + 1], and exponents [frames]."""
    frames, points = len(samples), samples.shape[1] // 2
    lengths = stage_lengths(points)
    data, exponent = _first_stage(samples, tables)
    used = 0
    for length in lengths[1:-1]:
        quarter = length // 4
        mode = _scaling(data, length)
        turns = tables.twiddles[:, used : used + 3 * quarter].reshape(2, quarter, 3, 2)
        used += 3 * quarter
        data = _stage(data.reshape(2, frames, -1, 4, quarter), turns, mode[:, None, None])
        exponent = exponent - mode
    halved = (_scaling(data, 4) == 3).astype(np.int32)
    a, b, c, d = np.moveaxis(data.reshape(2, frames, -1, 4), 3, 0)
    even, odd, total, apart = (each >> halved[:, None] for each in (a + c, a - c, b + d, b - d))
    data = np.empty_like(data)
    places = tables.order.astype(np.int64)
    data[:, :, places] = even + total
    data[:, :, places + points // 4] = odd + _quarter_turn(apart)
    data[:, :, places + points // 2] = even - total
    data[:, :, places + 3 * points // 4] = odd - _quarter_turn(apart)
    return _split(data, tables.split), exponent + 1 - halved


def _quarter_turn(data: np.ndarray) -> np.ndarray:
    """Complex numbers, their parts apart, times -j."""
    return np.stack([data[1], -data[0]])


def _stage(inputs: np.ndarray, turns: np.ndarray, mode: np.ndarray) -> np.ndarray:
    """A stage of radix 4: int32 [2, frames, groups, 4, quarter] to [2, frames, points], by what the frames lose."""
    a, b, c, d = np.moveaxis(inputs, 3, 0)
    three, two, any_ = ((mode >= lost).astype(np.int32) for lost in (3, 2, 1))
    a, b = a + (b & three), b + (c & three)
    even, odd, total, apart = (a + c) >> three, (a - c) >> three, (b + d) >> three, (b - d) >> three
    first = (even + total + two + (odd & any_)) >> (two + any_)
    results = [odd + _quarter_turn(apart), even - total, odd - _quarter_turn(apart)]
    turned = [
        _turned(each, np.where(two[..., None], turns[1, :, k], turns[0, :, k]), 15 + any_)
        for k, each in enumerate(results)
    ]
    return np.stack([first, *map(np.stack, turned)], axis=3).reshape(2, inputs.shape[1], -1)


def _split(data: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """The spectrum int32 [2, frames, points] of pairs of samples to powers of the real spectrum, doubled."""
    points = data.shape[2]
    low = np.arange(points // 2 + 1)
    at, mirrored = data[:, :, low], data[:, :, (points - low) % points]
    even = at[0] + mirrored[0], at[1] - mirrored[1]
    odd = at[0] - mirrored[0], at[1] + mirrored[1]
    cosine, sine = turns[:, 0].astype(np.int32), turns[:, 1].astype(np.int32)
    real, imaginary = odd[1] * cosine - odd[0] * sine, odd[0] * cosine + odd[1] * sine
    even = even[0] << 13, even[1] << 13
    power = np.empty((len(at[0]), points + 1), np.uint64)
    power[:, points - low] = _squares(even[0] - real, even[1] + imaginary)
    power[:, low] = _squares(even[0] + real, even[1] - imaginary)
    return power


def _squares(real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
    real, imaginary = real.astype(np.int64), imaginary.astype(np.int64)
    return ((real * real + (1 << 31)) >> 32) + ((imaginary * imaginary + (1 << 31)) >> 32)


def _logarithms(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Levels of integers from 1 on, in parts of a step."""
    values = np.maximum(values, np.uint64(1))
    octaves = np.zeros(values.shape, np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        large = (values >> (octaves + step).astype(np.uint64)) > 0
        octaves = np.where(large, octaves + step, octaves)
    mantissa = (values << (63 - octaves).astype(np.uint64)) >> np.uint64(55)
    return octaves * _PARTS_PER_OCTAVE + table[(mantissa & np.uint64(0xFF)).astype(np.int64)]
