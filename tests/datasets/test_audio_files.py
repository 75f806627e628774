"""Reading recordings of every kind, and refusing what is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import read_audio, to_int16


def _sine(hz: float, seconds: float, rate_hz: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
def test_any_rate_and_depth_gives_the_same_sound_at_16_khz(tmp_path: Path, subtype: str, rate_hz: int) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, _sine(1000.0, 1.0, rate_hz), rate_hz, subtype=subtype)
    audio = read_audio(path)
    assert audio.shape == (16_000,)
    assert audio.dtype == np.float32
    inside = slice(500, -500)  # a resampler rings at a sine's abrupt ends
    tolerance = 0.01 if subtype == "PCM_U8" else 2e-3
    np.testing.assert_allclose(audio[inside], _sine(1000.0, 1.0, 16_000)[inside], atol=tolerance)


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    left = _sine(1000.0, 1.0, 48_000)
    soundfile.write(path, np.stack([left, np.zeros_like(left)], axis=1), 48_000)
    audio = read_audio(path)
    np.testing.assert_allclose(audio[500:-500], 0.5 * _sine(1000.0, 1.0, 16_000)[500:-500], atol=2e-3)


def test_frequencies_above_8_khz_do_not_fold_down(tmp_path: Path) -> None:
    path = tmp_path / "high.wav"
    soundfile.write(path, _sine(12_000.0, 1.0, 48_000), 48_000)
    assert np.abs(read_audio(path)[500:-500]).max() < 1e-3


def test_16_bit_samples_come_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "noise.flac"
    samples = np.random.default_rng(1).integers(-32768, 32768, 4000).astype(np.int16)
    soundfile.write(path, samples, 16_000, subtype="PCM_16")
    np.testing.assert_array_equal(to_int16(read_audio(path)), samples)


def test_names_with_spaces_and_letters_of_any_kind(tmp_path: Path) -> None:
    path = tmp_path / "mañana in Zürich 音.wav"
    soundfile.write(path, _sine(1000.0, 0.1, 16_000), 16_000)
    assert read_audio(path).shape == (1600,)


def _text(path: Path) -> None:
    path.write_text("this is no sound\n" * 100)


def _empty(path: Path) -> None:
    path.touch()


def _cut_short(path: Path) -> None:
    soundfile.write(path, _sine(1000.0, 1.0, 16_000), 16_000)
    path.write_bytes(path.read_bytes()[:20_000])


def _cut_short_flac(path: Path) -> None:
    soundfile.write(path, np.random.default_rng(1).uniform(-1, 1, 16_000), 16_000, format="FLAC")
    path.write_bytes(path.read_bytes()[:10_000])


def _header_only(path: Path) -> None:
    soundfile.write(path, np.zeros(0), 16_000)


def _not_a_number(path: Path) -> None:
    samples = _sine(1000.0, 0.1, 16_000)
    samples[100] = np.nan
    soundfile.write(path, samples, 16_000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_text, "can't be read as audio"),
        (_empty, "is empty"),
        (_cut_short, "is cut short"),
        (_cut_short_flac, "lost sync"),
        (_header_only, "no samples"),
        (_not_a_number, "not finite"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_that_names_it(tmp_path: Path, spoil, says: str) -> None:
    path = tmp_path / "clip.wav"
    spoil(path)
    with pytest.raises(DataError, match=says) as caught:
        read_audio(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no recording at"):
        read_audio(tmp_path / "none.wav")
