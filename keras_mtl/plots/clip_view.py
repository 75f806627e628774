"""One recording looked at: format, level, waveform and log-mel, in constant memory; and the picture of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from keras_mtl.core import LogMelSettings
from keras_mtl.datasets.audio import AudioFormat, LevelMeter, audio_format, decibels, mono_blocks
from keras_mtl.decoding import Event
from keras_mtl.features import LogMelStream
from keras_mtl.inference import Overview
from keras_mtl.plots.timeline import draw_log_mel, save

_MOST_COLUMNS = 1 << 14
_COLOURS = ("#2e8b3d", "#1f6fb2")


@dataclass(frozen=True)
class ClipView:
    """What a recording is.

    Attributes:
        path: the recording.
        format: what its header says.
        peak_dbfs, rms_dbfs: of the samples of all channels, full scale being 0 dB; -inf for silence.
        envelope: largest and smallest sample of neighbours, mono at the features' rate: float32 [columns, 2].
        log_mel: log-mel in dB [rows, mel_bands], thinned where there are many frames.
        warnings: what is lost by reading it as mono in [-1, 1], in words.
    """

    path: Path
    format: AudioFormat
    peak_dbfs: float
    rms_dbfs: float
    envelope: np.ndarray
    log_mel: np.ndarray
    warnings: tuple[str, ...] = ()


def look_at(path: str | Path, settings: LogMelSettings) -> ClipView:
    """Reads a recording once, for its levels, its waveform and its log-mel.

    Raises:
        DataError: it is missing or no recording.
    """
    known, meter = audio_format(path), LevelMeter()
    wave, log_mel = Overview(_MOST_COLUMNS, np.max), Overview(_MOST_COLUMNS, np.mean)
    stream, samples = LogMelStream(settings), 0
    for block in mono_blocks(path, settings.sample_rate_hz, meter):
        samples += len(block)
        wave.push(np.stack([block, -block], axis=1))
        log_mel.push(stream.push(block))
    log_mel.push(stream.finish(-(-samples // settings.hop)))
    levels, envelope = meter.levels(), wave.rows() * np.asarray([1, -1], np.float32)
    peak_dbfs, rms_dbfs = decibels(levels.peak), decibels(levels.rms)
    return ClipView(Path(path), known, peak_dbfs, rms_dbfs, envelope, log_mel.rows(), levels.warnings)


def plot_clip(
    view: ClipView, path: str | Path, rows: Sequence[tuple[str, Sequence[Event]]] = (), title: str = ""
) -> Path:
    """Draws waveform, log-mel and events under one time axis.

    Args:
        view: the recording.
        path: the picture to write; its suffix says the format (.png, .svg, .pdf).
        rows: (what they are, events): the labels, a prediction.
        title: behind the file's name.
    """
    names = sorted({event.label for _, events in rows for event in events})
    heights = [1.2, 2.4, *([0.5 + 0.3 * len(names)] if names else [])]
    figure = Figure(figsize=(10, 1.3 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    end_s = view.format.seconds
    at_s = (np.arange(len(view.envelope)) + 0.5) * end_s / len(view.envelope)
    axes[0].fill_between(at_s, view.envelope[:, 1], view.envelope[:, 0], color="0.3", linewidth=0.4, edgecolor="0.3")
    axes[0].set_ylabel("sample")
    axes[0].set_title(f"{view.path.name}{title}", loc="left")
    draw_log_mel(axes[1], view.log_mel, end_s)
    if names:
        for number, (what, events) in enumerate(rows):
            shift = 0.0 if len(rows) == 1 else (number - 0.5) * 0.4
            places = [names.index(event.label) + shift for event in events]
            lengths = [event.offset_s - event.onset_s for event in events]
            onsets = [event.onset_s for event in events]
            axes[2].barh(places, lengths, left=onsets, height=0.36, color=_COLOURS[number % 2], label=what)
        axes[2].set_yticks(range(len(names)), names, fontsize=8)
        axes[2].set_ylim(len(names) - 0.4, -0.6)
        axes[2].legend(fontsize=7, loc="upper right", frameon=False)
    axes[0].set_xlim(0, end_s)
    axes[-1].set_xlabel("time in s")
    return save(figure, path)
