"""The log-mel features against librosa."""

from importlib import resources

import librosa
import numpy as np
import pytest
import soundfile

from keras_mtl.core import FeatureMismatch, LogMelSettings, RecipeError, frame_window, hann_window, mel_filters
from keras_mtl.features import LogMel, normalise

SETTINGS = LogMelSettings()
#: The features of each kind of system, with the frames that one second and ten seconds give.
KINDS = {
    "mt": (SETTINGS, 100, 1000),
    "baseline_asc": (
        LogMelSettings(sample_rate_hz=44_100, window=1764, fft=2048, hop=882, mel_bands=40, keep_last_frame=True),
        51,
        501,
    ),
    "cp_mobile": (
        LogMelSettings(sample_rate_hz=32_000, window=3072, fft=4096, hop=500, mel_bands=256, keep_last_frame=True),
        65,
        641,
    ),
    "baseline_sed": (LogMelSettings(hop=256, keep_last_frame=True), 63, 626),
}


def librosa_levels(audio, settings):
    mel = librosa.feature.melspectrogram(
        y=audio.astype(np.float64), sr=settings.sample_rate_hz, n_fft=settings.fft, win_length=settings.window,
        hop_length=settings.hop, n_mels=settings.mel_bands, fmin=0, htk=True, norm=None, power=2.0, center=True,
        pad_mode="constant", dtype=np.float64,
    )  # fmt: skip
    levels = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None).T
    return levels if settings.keep_last_frame else levels[:-1]


@pytest.fixture(scope="module")
def street_recording():
    """Gives the street at a rate: ten of thirty seconds in the open that dcase_util carries as its example."""
    path = resources.files("dcase_util") / "utils" / "example_data" / "acoustic_scene.wav"
    audio, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    mono = audio.mean(axis=1)[: 10 * rate]
    return lambda wanted: librosa.resample(mono, orig_sr=rate, target_sr=wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_filters_are_librosas(kind):
    settings = KINDS[kind][0]
    expected = librosa.filters.mel(
        sr=settings.sample_rate_hz, n_fft=settings.fft, n_mels=settings.mel_bands, fmin=0, htk=True, norm=None,
        dtype=float,
    )  # fmt: skip
    np.testing.assert_allclose(mel_filters(settings), expected.T, atol=1e-12)


@pytest.mark.parametrize(("length", "fft"), [(2048, 2048), (1764, 2048), (3072, 4096), (1001, 1024)])
def test_window_is_periodic_and_in_the_middle(length, fft):
    expected = librosa.filters.get_window("hann", length)
    np.testing.assert_allclose(hann_window(length), expected, atol=1e-12)
    centred = librosa.util.pad_center(expected, size=fft)
    np.testing.assert_allclose(frame_window(LogMelSettings(window=length, fft=fft)), centred, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", [1, 10])
def test_levels_are_librosas_on_a_real_recording(street_recording, kind, seconds):
    settings, *frames = KINDS[kind]
    clips = street_recording(settings.sample_rate_hz).reshape(-1, seconds * settings.sample_rate_hz)
    levels = LogMel(settings)(clips)
    assert levels.shape == (10 // seconds, frames[seconds == 10], settings.mel_bands)
    assert settings.seconds(levels.shape[1]) == pytest.approx(seconds, abs=settings.hop_s * settings.keep_last_frame)
    for ours, clip in zip(levels, clips, strict=True):
        expected = librosa_levels(clip, settings)
        above = expected > -99.9
        assert above.mean() > 0.9
        assert np.abs(ours - expected)[above].max() < 0.01


def test_rates_need_not_be_whole():
    assert {kind: settings.frame_rate for kind, (settings, *_) in KINDS.items()} == {
        "mt": 100.0,
        "baseline_asc": 50.0,
        "cp_mobile": 64.0,
        "baseline_sed": 62.5,
    }
    assert KINDS["baseline_sed"][0].seconds(626) == 10.0
    assert KINDS["baseline_asc"][0].high_hz == 22_050.0


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"fft": 1024}, "fft 1024 is shorter than the window of 2048"),
        ({"fft": 2049}, "fft 2049 is odd"),
        ({"hop": 0}, "hop 0"),
        ({"sample_rate_hz": 0}, "sample_rate_hz 0"),
        ({"mel_bands": -1}, "mel_bands -1"),
        ({"high_hz": 9000.0}, "high_hz 9000 is over half the sample rate of 16000 Hz"),
        ({"low_hz": 8000.0}, "from 8000 to 8000 Hz"),
        ({"std_db": 0.0}, "std_db 0.0"),
    ],
)
def test_settings_that_make_no_features_are_refused(values, says):
    with pytest.raises(RecipeError, match=says):
        LogMelSettings(**values)
    with pytest.raises(FeatureMismatch, match=says):
        LogMelSettings.from_dict({**SETTINGS.to_dict(), **values})


def test_settings_saved_before_there_was_an_fft_are_read():
    saved = SETTINGS.to_dict()
    del saved["fft"], saved["keep_last_frame"]
    assert LogMelSettings.from_dict(saved) == SETTINGS
    with pytest.raises(FeatureMismatch, match="hop = '160'"):
        LogMelSettings.from_dict({**SETTINGS.to_dict(), "hop": "160"})


def test_int16_and_float_give_the_same(street_recording):
    pcm = (street_recording(16_000)[:16_000] * 32767).astype(np.int16)
    log_mel = LogMel(SETTINGS)
    np.testing.assert_allclose(log_mel(pcm[None]), log_mel(pcm[None] / np.float32(32768)), atol=1e-4)


def test_silence_lies_on_the_floor():
    assert np.allclose(LogMel(SETTINGS)(np.zeros((1, 16_000), np.float32)), -100.0, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_click_is_loudest_in_the_frame_centred_on_it(kind):
    settings = KINDS[kind][0]
    audio = np.zeros((1, settings.sample_rate_hz), np.float32)
    audio[0, 30 * settings.hop] = 1.0
    assert LogMel(settings)(audio)[0].mean(axis=1).argmax() == 30


def test_normalise_is_one_scalar():
    settings = SETTINGS.normalised(-40.0, 20.0)
    np.testing.assert_allclose(normalise(np.array([[-40.0, 0.0]]), settings), [[0.0, 2.0]])


def test_settings_survive_json_and_are_compared():
    settings = SETTINGS.normalised(-41.5, 19.0)
    assert LogMelSettings.from_dict(settings.to_dict()) == settings
    assert settings.differences(LogMelSettings(hop=256, mean_db=-41.5, std_db=19.0)) == ["hop 160 against 256"]
    assert settings.differences(settings) == []
    with pytest.raises(FeatureMismatch, match="hops"):
        LogMelSettings.from_dict({**settings.to_dict(), "hops": 1})
