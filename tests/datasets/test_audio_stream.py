"""Recordings read block by block are what they are when read at once, and are refused for the same reasons."""

import numpy as np
import pytest
import soundfile

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import audio_format, channel_blocks, mono_blocks, read_audio


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels", "subtype"),
    [
        ("a.wav", 16_000, 1, "PCM_16"),
        ("a.wav", 44_100, 2, "PCM_24"),
        ("a.wav", 8_000, 1, "PCM_U8"),
        ("a.flac", 48_000, 2, "PCM_16"),
        ("a.ogg", 44_100, 1, "VORBIS"),
        ("a.mp3", 44_100, 2, None),
        ("ein Hörstück 音.w64", 22_050, 3, "FLOAT"),
    ],
)
def test_blocks_are_the_recording_to_the_bit(tmp_path, name, rate_hz, channels, subtype):
    path = tmp_path / name
    noise = np.random.default_rng(2).normal(0, 0.4, (5 * rate_hz + 17, channels))
    soundfile.write(path, noise, rate_hz, subtype=subtype)
    blocks = list(mono_blocks(path))
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), read_audio(path))
    known = audio_format(path)
    assert (known.rate_hz, known.channels) == (rate_hz, channels)
    assert known.samples == sum(map(len, channel_blocks(path)))


def test_bad_samples_and_lost_ends_are_found_where_they_are(tmp_path):
    audio = np.zeros(300_000, np.float32)
    audio[250_000] = np.nan
    soundfile.write(tmp_path / "nan.wav", audio, 16_000, subtype="FLOAT")
    blocks = mono_blocks(tmp_path / "nan.wav")
    assert len(next(blocks))
    with pytest.raises(DataError, match="not finite"):
        list(blocks)
    soundfile.write(tmp_path / "cut.flac", np.random.default_rng(1).uniform(-1, 1, 300_000), 16_000)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "cut.flac").read_bytes()[:400_000])
    with pytest.raises(DataError, match=r"cut\.flac (is cut short|can't be read)"):
        list(mono_blocks(tmp_path / "cut.flac"))
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    with pytest.raises(DataError, match="no samples"):
        list(mono_blocks(tmp_path / "none.wav"))


@pytest.mark.parametrize(("name", "says"), [("a.m4a", "ffmpeg -i"), ("a.wav", "really a recording")])
def test_what_libsndfile_does_not_read_is_refused_with_a_way_out(tmp_path, name, says):
    (tmp_path / name).write_bytes(b"\0\0\0\x20ftypM4A " + bytes(500))
    for read in (audio_format, read_audio):
        with pytest.raises(DataError, match=says) as caught:
            read(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
