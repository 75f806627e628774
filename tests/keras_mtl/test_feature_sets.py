"""Sets of log-mel levels: every kind of features from a corpus at its rate."""

import numpy as np
import pytest

from keras_mtl.core import DataError, LogMelSettings
from keras_mtl.datasets import open_corpus
from keras_mtl.features import LogMel, event_set, scene_set

CP_MOBILE = LogMelSettings(sample_rate_hz=32_000, window=3072, fft=4096, hop=500, mel_bands=256, keep_last_frame=True)
BASELINE_SED = LogMelSettings(hop=256, keep_last_frame=True)


def test_scenes_at_32_khz(cache, corpus):
    higher = open_corpus("soundscapes:tiny", cache / "tfds", progress=False, sample_rate_hz=32_000)
    clips = scene_set(higher, "test", CP_MOBILE, cache)
    assert clips.log_mel.shape == (20, 65, 256)
    example = next(iter(higher.scenes["test"]))
    expected = LogMel(CP_MOBILE)(example["audio"][None])[0]
    np.testing.assert_allclose(clips.log_mel[0], expected, atol=0.07)  # float16
    usual = scene_set(corpus, "test", LogMelSettings(), cache)
    assert usual.log_mel.shape == (20, 100, 128)
    np.testing.assert_array_equal(clips.scenes, usual.scenes)


def test_events_with_a_frame_rate_that_is_not_whole(cache, corpus):
    assert event_set(corpus, "validation", BASELINE_SED, cache).log_mel.shape == (6, 626, 128)


def test_a_corpus_of_another_rate_is_refused(cache, corpus):
    with pytest.raises(DataError, match="soundscapes is opened at 16000 Hz, the features want 32000 Hz") as caught:
        scene_set(corpus, "test", CP_MOBILE, cache)
    assert "sample_rate_hz=32000" in caught.value.hint
