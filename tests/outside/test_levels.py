"""Recordings that lose something as mono in [-1, 1]: floats beyond full scale, channels that cancel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from keras_mtl.cli.data_listen import command as data_listen
from keras_mtl.datasets.audio import LevelMeter, Levels, inspect

RATE_HZ = 16_000
TONE = 0.25 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE_HZ) / RATE_HZ)
NOISE = np.random.default_rng(7).normal(0, 0.05, len(TONE))


def levels(tmp_path: Path, audio: np.ndarray, subtype: str = "FLOAT") -> Levels:
    soundfile.write(tmp_path / "a.wav", audio, RATE_HZ, subtype=subtype)
    return inspect(tmp_path / "a.wav").levels


@pytest.mark.parametrize(("gain", "beyond"), [(1.0, 0.0), (4.0, 0.0), (8.0, 2 / 3), (120_000.0, 1.0)])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_samples_beyond_full_scale_are_counted(tmp_path: Path, gain: float, beyond: float, subtype: str) -> None:
    found = levels(tmp_path, gain * TONE, subtype)
    assert found.beyond == pytest.approx(beyond, abs=0.02)
    assert found.peak == pytest.approx(0.25 * gain, rel=1e-3)
    assert bool(found.warnings) == bool(beyond)
    assert any("not divided by 32768" in warning for warning in found.warnings) == (gain > 1000)


def test_one_sample_is_enough(tmp_path: Path) -> None:
    audio = TONE.copy()
    audio[1000] = -1.5
    (warning,) = levels(tmp_path, audio).warnings
    assert "less than 0.1% of its samples lie beyond full scale (peak +3.5 dBFS)" in warning


CHANNELS = {
    "inverted": ((TONE, -TONE), True),
    "inverted, with an offset": ((TONE + 0.2, -TONE), True),
    "nearly inverted": ((TONE, -0.8 * TONE), True),
    "inverted under some noise": ((TONE + 0.3 * NOISE, -TONE), True),
    "four that cancel in pairs": ((TONE, -TONE, NOISE, -NOISE), True),
    "the same": ((TONE, TONE), False),
    "one silent": ((TONE, 0 * TONE), False),
    "nothing in common": ((TONE, NOISE), False),
    "a quarter of a period apart": ((TONE[:-9], TONE[9:]), False),
    "one of four inverted": ((TONE, TONE, TONE, -TONE), False),
    "silence": ((0 * TONE, 0 * TONE), False),
    "one channel": ((TONE,), False),
}


@pytest.mark.parametrize("kind", CHANNELS)
def test_channels_that_cancel_are_found(tmp_path: Path, kind: str) -> None:
    channels, cancel = CHANNELS[kind]
    found = levels(tmp_path, np.stack(channels, axis=1), "PCM_16")
    assert (found.cancelled_db > 0) == cancel
    assert bool(found.warnings) == cancel


def test_the_size_of_the_blocks_changes_nothing() -> None:
    channels = np.stack([TONE, -0.9 * TONE + NOISE], axis=1)
    found = []
    for size in (len(TONE), 777):
        meter = LevelMeter()
        for first in range(0, len(TONE), size):
            meter.push(channels[first : first + size], channels[first : first + size].mean(axis=1))
        found.append(meter.levels())
    assert vars(found[0]) == pytest.approx(vars(found[1]))


def test_data_listen_warns(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([TONE, -TONE], axis=1), RATE_HZ)
    text = CliRunner().invoke(data_listen, [str(path)], catch_exceptions=False).output
    assert "  warning its channels cancel each other to silence" in text
    soundfile.write(path, 30_000 * TONE, RATE_HZ, subtype="FLOAT")
    document = json.loads(CliRunner().invoke(data_listen, [str(path), "--json"], catch_exceptions=False).output)
    assert "beyond full scale" in document["warnings"][0]
    soundfile.write(path, TONE, RATE_HZ)
    assert "warning" not in CliRunner().invoke(data_listen, [str(path)], catch_exceptions=False).output
