"""WAV files as sox, ffmpeg, arecord and others leave them; files that are cut short; and what comes through a pipe."""

from __future__ import annotations

import io
import os
import stat
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import audio_format, inspect, read_audio
from keras_mtl.predictors import from_file, from_stream

RATE_HZ = 16_000
SOUND = (np.random.default_rng(5).normal(0, 0.1, 4000) * 32768).astype(np.int16)


def chunk(kind: bytes, content: bytes, length: int | None = None, padded: bool = True, order: str = "<") -> bytes:
    pad = b"\0" if padded and len(content) % 2 else b""
    return kind + struct.pack(f"{order}I", len(content) if length is None else length) + content + pad


FORMAT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16))
ODD = b"INFOISFT\x05\0\0\0Lavf\0"


def wave(*chunks: bytes, form: bytes = b"RIFF", length: int = 0) -> bytes:
    return form + struct.pack("<I", length) + b"WAVE" + b"".join(chunks)


def streamed(length: int) -> bytes:
    return wave(FORMAT, chunk(b"data", SOUND.tobytes(), length), length=(length + 36) % 2**32)


def large(length: int, form: bytes = b"RF64") -> bytes:
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, length, 0, 0))
    return wave(sizes, FORMAT, chunk(b"data", SOUND.tobytes(), 0xFFFFFFFF), form=form, length=0xFFFFFFFF)


WHOLE = {
    "sox": streamed(0x7FFFF000),
    "sox, 6 bytes a sample": streamed(0x7FFFEFFA),
    "largest of 31 bits": streamed(0x7FFFFFFF),
    "less a header": streamed(0x7FFFFFFF - 36),
    "arecord": streamed(0x80000000),
    "ffmpeg": streamed(0xFFFFFFFF),
    "ffmpeg, less a header": streamed(0xFFFFFFFF - 36),
    "none": streamed(0),
    "odd chunk with its pad byte": wave(FORMAT, chunk(b"LIST", ODD), chunk(b"data", SOUND.tobytes())),
    "odd chunk without": wave(FORMAT, chunk(b"LIST", ODD, padded=False), chunk(b"data", SOUND.tobytes())),
    "odd chunk without, streamed": wave(
        chunk(b"JUNK", b"abc", padded=False), FORMAT, chunk(b"data", SOUND.tobytes(), 0)
    ),
    "a table of contents behind": wave(FORMAT, chunk(b"data", SOUND.tobytes()), chunk(b"LIST", ODD)),
    "RF64": large(2 * len(SOUND)),
    "RF64, none": large(0),
    "RF64, unknown": large(2**64 - 1),
    "BW64": large(2 * len(SOUND), b"BW64"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_the_samples_are_read_to_the_end_of_the_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(WHOLE[kind])
    np.testing.assert_array_equal(read_audio(path), SOUND / np.float32(32768))
    assert audio_format(path).samples == inspect(path).format.samples == len(SOUND)


@pytest.mark.parametrize("kind", WHOLE)
def test_the_same_comes_through_a_pipe(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    found = np.concatenate(list(from_stream(io.BytesIO(WHOLE[kind]), RATE_HZ)))
    np.testing.assert_array_equal(found, SOUND / np.float32(32768))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("length", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000])
def test_streamed_files_beyond_two_gigabytes(tmp_path: Path, length: int) -> None:
    """Files with a hole, of which only the header is read."""
    path = tmp_path / "a.wav"
    path.write_bytes(streamed(length)[:-1])
    samples = 1_200_000_000
    with path.open("r+b") as file:
        file.truncate(44 + 2 * samples)
    assert audio_format(path).samples == samples
    with path.open("r+b") as file:
        file.truncate(44 + 4 * samples)  # beyond what a RIFF file can announce
    assert audio_format(path).samples == 2 * samples


def test_a_file_without_samples_is_no_streamed_one(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wave(FORMAT, chunk(b"data", b""), chunk(b"LIST", ODD)))
    with pytest.raises(DataError, match="holds no samples"):
        read_audio(path)


@pytest.mark.parametrize("length", [2 * len(SOUND) + 100, 0x10000000, 0x7FFE0000, 0xFFFE0000])
def test_a_length_that_means_something_is_believed(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.wav"
    for content in (streamed(length), large(length)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"cut short: 8000 of {length} bytes"):
            audio_format(path)


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", "PCM_U8"), ("a.wav", "PCM_24"), ("a.wav", "DOUBLE"), ("a.wav", "ALAW")]
)
def test_streamed_files_of_other_encodings(tmp_path: Path, name: str, subtype: str) -> None:
    """Read from the file; and from a pipe, but for compressed samples, which are refused with a way out."""
    path = tmp_path / name
    soundfile.write(path, np.stack([SOUND, -SOUND // 2], axis=1) / 32768, 48_000, subtype=subtype)
    whole, expected = path.read_bytes(), read_audio(path)
    place = whole.index(b"data") + 4
    path.write_bytes(whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :])
    np.testing.assert_array_equal(read_audio(path), expected)
    pipe = from_stream(io.BytesIO(path.read_bytes()), RATE_HZ)
    if subtype == "ALAW":
        with pytest.raises(DataError, match=r"encoding 6 .*ffmpeg -i"):
            list(pipe)
    else:
        np.testing.assert_allclose(np.concatenate(list(pipe)), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.opus", "a.mp3", "a.w64", "a.aiff", "a.au", "a.caf", "a.rf64"])
def test_half_a_file_is_refused_and_a_whole_one_is_not(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    how = {"a.opus": {"format": "OGG", "subtype": "OPUS"}, "a.rf64": {"format": "RF64"}}.get(name, {})
    soundfile.write(path, np.random.default_rng(1).normal(0, 0.1, 48_000), 16_000, **how)
    assert inspect(path).format.samples == 48_000
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"is cut short|can't be read") as caught:
        inspect(path, every_sample=True)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (16_000, 2), (44_100, 2), (48_000, 1), (8_000, 1)])
@pytest.mark.parametrize("loud_first", [True, False])
def test_mp3_without_a_length_is_read_to_its_end(tmp_path: Path, rate_hz: int, channels: int, loud_first: bool) -> None:
    """libsndfile estimates it by the bit rate of the first frames: far too short or long, where that varies."""
    path = tmp_path / "a.mp3"
    sound = np.random.default_rng(1).normal(0, 0.1, (3 * rate_hz, channels))
    sound[rate_hz:] = 0
    soundfile.write(path, sound if loud_first else sound[::-1], rate_hz, bitrate_mode="VARIABLE", compression_level=0.2)
    whole, content = read_audio(path, rate_hz), path.read_bytes()
    name = content.index(b"Xing") if b"Xing" in content[:500] else content.index(b"Info")
    content = content[:name] + b"none" + content[name + 4 :]  # a frame as any other now, of silence
    for begin in (b"", b"ID3\4\0\0\0\0\1\0" + bytes(128)):
        path.write_bytes(begin + content)
        found = read_audio(path, rate_hz)
        assert 0 <= len(found) - len(whole) <= 5 * 1152  # with the encoder's delay and its padding
        assert inspect(path).format.samples == audio_format(path).samples == len(found)
        loud = np.flatnonzero(np.abs(found) > 0.02)
        assert len(loud) > rate_hz / 4
        assert (np.median(loud) < len(found) / 2) == loud_first


def test_raw_samples_from_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    found = np.concatenate(list(from_stream(io.BytesIO(SOUND.tobytes() + b"\1"), RATE_HZ)))
    assert found.tolist() == SOUND.tolist()
    assert capsys.readouterr().err == (
        "warning: the standard input ends within a sample of 16 bits: its last byte is left out\n"
    )
    assert not list(from_stream(io.BytesIO(b""), RATE_HZ))
    assert not list(from_stream(io.BytesIO(b"\1"), RATE_HZ))


def test_a_wave_that_is_cut_short_in_a_pipe_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = np.concatenate(list(from_stream(io.BytesIO(streamed(2 * len(SOUND) + 10)), RATE_HZ)))
    assert len(found) == len(SOUND)
    assert "cut short: 10 bytes are missing" in capsys.readouterr().err
    with pytest.raises(DataError, match="no samples behind its header"):
        list(from_stream(io.BytesIO(wave(FORMAT)), RATE_HZ))


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.aiff", "a.au", "a.caf", "a.w64"])
def test_other_kinds_of_files_in_a_pipe_are_no_samples(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, SOUND, RATE_HZ)
    with (tmp_path / name).open("rb") as pipe, pytest.raises(DataError, match="not raw samples or WAV"):
        list(from_stream(pipe, RATE_HZ))
    with pytest.raises(DataError, match="is MP4"):
        list(from_stream(io.BytesIO(b"\0\0\0\x20ftypM4A " + bytes(100)), RATE_HZ))


_DECODER = """#!{python}
import struct, sys
source = sys.argv[sys.argv.index("-i") + 1].removeprefix("file:")
content = open(source, "rb").read()
if not content.startswith(b"m4a "):
    sys.exit(source + ": Invalid data found when processing input")
content = content[4:]
head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 2, 48000, 384000, 8, 32)
sys.stdout.buffer.write(b"RIFF\\xff\\xff\\xff\\xffWAVE" + head + b"data\\xff\\xff\\xff\\xff" + content)
"""


@pytest.fixture
def decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program called ffmpeg that gives what a file holds behind its first word, as ffmpeg gives what it decodes."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(_DECODER.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


def test_m4a_is_read_by_the_decoder(tmp_path: Path, decoder: None) -> None:
    sound = np.random.default_rng(2).normal(0, 0.1, (100_000, 2)).astype("<f4")
    path = tmp_path / "-talk of two.M4A"
    path.write_bytes(b"m4a " + sound.tobytes())
    known = audio_format(path)
    assert (known.rate_hz, known.channels, known.samples) == (48_000, 2, 100_000)
    np.testing.assert_allclose(read_audio(path, 48_000), sound.mean(axis=1), atol=1e-7)
    (tmp_path / "bad.m4a").write_bytes(b"no sound" * 100)
    with pytest.raises(DataError, match=r"bad\.m4a can't be decoded by ffmpeg: .*Invalid data") as caught:
        read_audio(tmp_path / "bad.m4a")
    assert "\n" not in str(caught.value)


def test_m4a_without_a_decoder_is_refused_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(500))
    with pytest.raises(DataError, match=r"\.m4a files need ffmpeg: install it, or convert"):
        audio_format(tmp_path / "a.m4a")


def test_what_a_recording_loses_is_told_behind_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([SOUND, -SOUND], axis=1), RATE_HZ)
    assert not np.concatenate(list(from_file(path, RATE_HZ))).any()
    assert "cancel each other to silence" in capsys.readouterr().err
    assert not np.concatenate(list(from_stream(io.BytesIO(path.read_bytes()), RATE_HZ))).any()
    assert "the standard input: its channels cancel" in capsys.readouterr().err
