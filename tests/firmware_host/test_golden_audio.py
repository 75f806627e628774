"""The test sound of a bundle, and the log-mel in plain numpy, against librosa and the features of the training."""

import librosa
import numpy as np
import pytest

from keras_mtl.core import LogMelSettings
from keras_mtl.features import LogMel
from keras_mtl.firmware_host.bundle.golden import input_scaling
from keras_mtl.firmware_host.bundle.golden.audio import golden_waveform, log_mel_db, quantized_log_mel
from keras_mtl.tflite.artifact import Port

KINDS = {
    "mt": LogMelSettings(),
    "baseline_asc": LogMelSettings(
        sample_rate_hz=44_100, window=1764, fft=2048, hop=882, mel_bands=40, keep_last_frame=True
    ),
    "cp_mobile": LogMelSettings(
        sample_rate_hz=32_000, window=3072, fft=4096, hop=500, mel_bands=256, keep_last_frame=True
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", [0.31, 1.5])
def test_levels_are_librosas_and_the_training_s(kind, seconds):
    settings = KINDS[kind]
    sound = golden_waveform(settings, seconds, seed=3)
    levels = log_mel_db(sound, settings)
    assert levels.shape == (settings.frames(len(sound)), settings.mel_bands)
    mel = librosa.feature.melspectrogram(
        y=np.pad(sound, (0, settings.hop)) / 32768, sr=settings.sample_rate_hz, n_fft=settings.fft,
        win_length=settings.window, hop_length=settings.hop, n_mels=settings.mel_bands, fmin=0, htk=True, norm=None,
        pad_mode="constant", dtype=np.float64,
    )  # fmt: skip
    expected = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None).T[: len(levels)]
    np.testing.assert_allclose(levels, expected, atol=1e-9)
    np.testing.assert_allclose(levels, LogMel(settings)(sound[None])[0], atol=0.01)
    np.testing.assert_allclose(levels, log_mel_db(sound / 32768, settings), atol=1e-9)


def test_an_empty_clip_has_the_last_frame_only_where_it_is_kept():
    empty = golden_waveform(KINDS["mt"], 0.0)
    assert log_mel_db(empty, KINDS["mt"]).shape == (0, 128)
    np.testing.assert_array_equal(log_mel_db(empty, KINDS["cp_mobile"]), np.full((1, 256), -100.0))


def test_the_sound_has_all_that_it_should():
    settings = KINDS["mt"]
    sound = golden_waveform(settings, 2.0, seed=1)
    assert sound.dtype == np.int16 and sound.shape == (32_000,)
    np.testing.assert_array_equal(sound, golden_waveform(settings, 2.0, seed=1))
    assert (sound != golden_waveform(settings, 2.0, seed=2)).mean() > 0.8
    assert not sound[29_000:].any()
    levels = log_mel_db(sound, settings)
    assert (levels[-10:-7] == -100.0).all()
    assert levels[:, 5:120].max(axis=0).min() > 20.0
    assert np.abs(sound[13_000:17_500].astype(int)).max() > 26_000


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", 30), ("int16", 0)])
def test_scaling_is_normalisation_and_quantization(dtype, zero_point):
    settings = KINDS["mt"].normalised(-11.41, 16.7)
    port = Port("log_mel", dtype, (1, 1), 0.0317 if dtype == "int8" else 0.00017, zero_point)
    levels = np.random.default_rng(0).uniform(-100, 50, 20_000)
    ours = quantized_log_mel(levels, input_scaling(settings, port), dtype)
    exact = port.quantize((levels - settings.mean_db) / settings.std_db)
    assert ours.dtype == np.dtype(dtype)
    # float32 and float64 round apart where a level lies between two integers.
    assert np.abs(ours.astype(int) - exact).max() <= 1
    assert (ours != exact).mean() < 0.01
