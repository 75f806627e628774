"""The log-mel features against librosa."""

from importlib import resources

import librosa
import numpy as np
import pytest
import soundfile

from keras_mtl.errors import FeatureMismatch
from keras_mtl.features import LogMelSettings, hann_window, mel_filters
from keras_mtl.log_mel import LogMel, normalise

SETTINGS = LogMelSettings()


def librosa_levels(audio):
    mel = librosa.feature.melspectrogram(
        y=audio.astype(np.float64), sr=16_000, n_fft=2048, hop_length=160, n_mels=128, fmin=0, fmax=8000, htk=True,
        norm=None, power=2.0, center=True, pad_mode="constant", dtype=np.float64,
    )  # fmt: skip
    return librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None).T[: len(audio) // 160]


@pytest.fixture(scope="module")
def street_recording():
    """Thirty seconds recorded in the open, which dcase_util carries as its example."""
    path = resources.files("dcase_util") / "utils" / "example_data" / "acoustic_scene.wav"
    audio, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    return librosa.resample(audio.mean(axis=1), orig_sr=rate, target_sr=16_000)


def test_filters_are_librosas():
    expected = librosa.filters.mel(
        sr=16_000, n_fft=2048, n_mels=128, fmin=0, fmax=8000, htk=True, norm=None, dtype=float
    )
    np.testing.assert_allclose(mel_filters(SETTINGS), expected.T, atol=1e-12)


def test_window_is_periodic():
    np.testing.assert_allclose(hann_window(2048), librosa.filters.get_window("hann", 2048), atol=1e-12)


@pytest.mark.parametrize("seconds", [1, 10])
def test_levels_are_librosas_on_a_real_recording(street_recording, seconds):
    clips = street_recording[: 10 * 16_000].reshape(-1, seconds * 16_000)
    levels = LogMel(SETTINGS)(clips)
    assert levels.shape == (10 // seconds, seconds * 100, 128)
    for ours, clip in zip(levels, clips, strict=True):
        expected = librosa_levels(clip)
        above = expected > -99.9
        assert above.mean() > 0.9
        assert np.abs(ours - expected)[above].max() < 0.01


def test_int16_and_float_give_the_same(street_recording):
    pcm = (street_recording[:16_000] * 32767).astype(np.int16)
    log_mel = LogMel(SETTINGS)
    np.testing.assert_allclose(log_mel(pcm[None]), log_mel(pcm[None] / np.float32(32768)), atol=1e-4)


def test_silence_lies_on_the_floor():
    assert np.allclose(LogMel(SETTINGS)(np.zeros((1, 16_000), np.float32)), -100.0, atol=1e-4)


def test_a_click_is_loudest_in_the_frame_centred_on_it():
    audio = np.zeros((1, 16_000), np.float32)
    audio[0, 50 * 160] = 1.0
    assert LogMel(SETTINGS)(audio)[0].mean(axis=1).argmax() == 50


def test_normalise_is_one_scalar():
    settings = SETTINGS.normalised(-40.0, 20.0)
    np.testing.assert_allclose(normalise(np.array([[-40.0, 0.0]]), settings), [[0.0, 2.0]])


def test_settings_survive_json_and_are_compared():
    settings = SETTINGS.normalised(-41.5, 19.0)
    assert LogMelSettings.from_dict(settings.to_dict()) == settings
    with pytest.raises(FeatureMismatch, match=r"hop 160 against 256"):
        settings.require_equal(LogMelSettings(hop=256, mean_db=-41.5, std_db=19.0), "a test")
    with pytest.raises(FeatureMismatch, match="hops"):
        LogMelSettings.from_dict({**settings.to_dict(), "hops": 1})
