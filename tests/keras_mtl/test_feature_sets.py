"""Sets of log-mel levels: every kind of features from a corpus at its rate."""

import numpy as np
import pytest
import soundfile

from keras_mtl.core import DCASE, DataError, Labels, LogMelSettings
from keras_mtl.datasets import DataSettings, open_corpus
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


def test_log_mel_of_other_labels_is_not_mixed(cache, corpus):
    """In one cache, with two names swapped and back: rows of log-mel keep their classes by name."""
    swapped = Labels((*DCASE.scenes[1::-1], *DCASE.scenes[2:]), (*DCASE.events[1::-1], *DCASE.events[2:]))
    found = []
    for labels in (DCASE, swapped, DCASE):
        opened = open_corpus("soundscapes:tiny", cache / "tfds", progress=False, labels=labels)
        scenes = scene_set(opened, "train", LogMelSettings(), cache)
        events = [event_set(opened, split, LogMelSettings(), cache) for split in ("strong_synthetic", "weak")]
        names = {name: labels.scenes[scene] for name, scene in zip(scenes.filenames, scenes.scenes, strict=True)}
        for clips in events:
            in_clips = [{labels.events[i] for i in np.flatnonzero(row)} for row in clips.weak]
            names |= dict(zip(clips.filenames, zip(clips.events, in_clips, strict=True), strict=True))
        found.append((names, scenes.scenes.tolist(), [clips.weak.tolist() for clips in events]))
    usual, other, again = found
    assert usual == again
    assert usual[0] == other[0]
    assert usual[1] != other[1]
    assert usual[2] != other[2]


def test_log_mel_of_clips_of_another_length_is_not_mixed(cache, tmp_path):
    """As many clips of the same recordings, half as long."""
    folder = tmp_path / "TAU-urban-acoustic-scenes-2022-mobile-development"
    (folder / "audio").mkdir(parents=True)
    (folder / "evaluation_setup").mkdir()
    names = [f"audio/bus-lyon-{i}-0-a.wav" for i in range(3)]
    rows = "".join(f"{name}\tbus\tlyon-{i}\ta\n" for i, name in enumerate(names))
    (folder / "meta.csv").write_text(f"filename\tscene_label\tidentifier\tsource_label\n{rows}")
    train = "".join(f"{name}\tbus\n" for name in names)
    (folder / "evaluation_setup" / "fold1_train.csv").write_text(f"filename\tscene_label\n{train}")
    (folder / "evaluation_setup" / "fold1_test.csv").write_text("filename\n")
    for name in names:
        soundfile.write(folder / name, np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    for seconds, frames in ((1.0, 100), (0.5, 50), (1.0, 100)):
        settings = DataSettings(scene_clip_s=seconds)
        opened = open_corpus(folder, cache / "tfds", progress=False, settings=settings)
        assert scene_set(opened, "train", LogMelSettings(), cache).log_mel.shape == (3, frames, 128)


def test_a_corpus_of_another_rate_is_refused(cache, corpus):
    with pytest.raises(DataError, match="soundscapes is opened at 16000 Hz, the features want 32000 Hz") as caught:
        scene_set(corpus, "test", CP_MOBILE, cache)
    assert "sample_rate_hz=32000" in caught.value.hint
