"""The C front end against librosa, on this machine, with sanitizers, and on emulated Cortex-M cores."""

from __future__ import annotations

import os
import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from c_programs import (
    ALL,
    FIXED,
    HERE,
    HOST,
    KINDS,
    SANITIZED,
    SCALINGS,
    Hearing,
    Program,
    c_sources,
    hear,
    require,
)
from levels import fixed_difference, largest_difference, librosa_levels, pcm, spread

from keras_mtl.core import ArtifactError, LogMelSettings, mel_filters
from keras_mtl.firmware_host.bundle.golden.audio import golden_waveform, quantized_log_mel
from keras_mtl.firmware_host.bundle.text import log_mel_tables
from keras_mtl.firmware_host.device import FixedLogMel, mel_segments

#: Largest difference from librosa above the floor, in dB.
ALLOWED_DB = 0.05
#: Of the fixed-point front end, for bands that lie so far below a frame's loudest one at most.
ALLOWED_FIXED_DB = 0.3
#: Recordings of `make test-firmware RECORDINGS=DIR` that are heard, and seconds of each.
RECORDINGS, SECONDS = 200, 10


@pytest.fixture(scope="module", params=ALL, ids=lambda core: core.name)
def program(request, built) -> Program:
    return built(request.param, HERE / "c" / "run.c")


@pytest.fixture(scope="module")
def host_program(built) -> Program:
    return built(HOST, HERE / "c" / "run.c")


def street() -> Path:
    """Thirty seconds in the open, which a package of the environment carries as its example."""
    return Path(str(resources.files("dcase_util") / "utils" / "example_data" / "acoustic_scene.wav"))


def recordings(repository) -> list[Path]:
    """Those of RECORDINGS, spread over the folder; without it the street, and the snippets that the repository has."""
    if folder := os.environ.get("RECORDINGS"):
        return spread(Path(folder), RECORDINGS)
    return [street(), *spread(repository.root / "datasets", 1_000_000)[::4]]


@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_librosas(program: Program, kind: str, tmp_path: Path) -> None:
    settings = KINDS[kind]
    samples = pcm(street(), settings.sample_rate_hz, 3.0)
    (frames,) = hear(program, tmp_path, Hearing(kind, samples))
    assert largest_difference(frames["levels"], samples, settings) < ALLOWED_DB
    samples = golden_waveform(settings, 2.0, seed=5)
    (frames,) = hear(program, tmp_path, Hearing(kind, samples))
    assert largest_difference(frames["levels"], samples, settings) < ALLOWED_DB
    for dtype, scaling in SCALINGS.items():
        np.testing.assert_array_equal(frames[dtype], quantized_log_mel(frames["levels"], scaling, dtype))


def test_pushes_of_any_size_give_the_same_bytes(program: Program, tmp_path: Path) -> None:
    hearing = Hearing("mt", golden_waveform(KINDS["mt"], 1.0, seed=1))
    (whole,) = hear(program, tmp_path, hearing)
    for seed in (1, 2, 3):
        assert hear(program, tmp_path, hearing, seed=seed)[0].tobytes() == whole.tobytes()
    assert hear(program, tmp_path, hearing, seed=4, as_float=True)[0].tobytes() == whole.tobytes()


def test_two_instances_at_once_do_not_disturb_each_other(program: Program, tmp_path: Path) -> None:
    """They share the scratch, and have features of different kinds."""
    both = [Hearing(kind, golden_waveform(KINDS[kind], 0.7, seed=2)) for kind in ("cp_mobile", "odd")]
    together = hear(program, tmp_path, *both, seed=9)
    for hearing, frames in zip(both, together, strict=True):
        assert frames.tobytes() == hear(program, tmp_path, hearing)[0].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_clips_are_heard_one_by_one(host_program: Program, kind: str, tmp_path: Path) -> None:
    """The end of a clip gives its last frames, with zeros beyond it, and the next one begins as the first did."""
    settings = KINDS[kind]
    clip = settings.hop * 20 + settings.hop // 3
    samples = golden_waveform(settings, 3.5 * clip / settings.sample_rate_hz, seed=3)
    (frames,) = hear(host_program, tmp_path, Hearing(kind, samples, clip), seed=7)
    at = 0
    for first in range(0, len(samples), clip):
        part = samples[first : first + clip]
        count = settings.frames(len(part))
        assert largest_difference(frames["levels"][at : at + count], part, settings) < ALLOWED_DB
        at += count
    assert at == len(frames)


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 1023, 1024, 1025, 1184])
def test_short_clips_have_their_frames(host_program: Program, samples: int, tmp_path: Path) -> None:
    for kind in ("mt", "baseline_sed"):
        sound = np.random.default_rng(0).integers(-9000, 9000, samples).astype(np.int16)
        (frames,) = hear(host_program, tmp_path, Hearing(kind, sound))
        assert len(frames) == KINDS[kind].frames(samples)
        if samples:
            assert largest_difference(frames["levels"], sound, KINDS[kind]) < ALLOWED_DB


def test_silence_lies_on_the_floor_and_full_scale_saturates(host_program: Program, tmp_path: Path) -> None:
    (silent,) = hear(host_program, tmp_path, Hearing("mt", np.zeros(1600, np.int16)))
    np.testing.assert_allclose(silent["levels"], -100.0, atol=1e-4)
    assert (silent["int8"] == -128).all()
    square = np.where(np.arange(8000) // 8 % 2, 32767, -32768).astype(np.int16)
    (loud,) = hear(host_program, tmp_path, Hearing("mt", square))
    assert loud["int8"].max() == 127 and loud["int16"].max() == 32_767
    # Nothing at all lies between its overtones; the noise of float32 is 120 dB below the loudest band.
    expected = librosa_levels(square, KINDS["mt"])
    heard = expected > expected.max(axis=1, keepdims=True) - 100.0
    assert 0.1 < heard.mean() < 0.9
    assert np.abs(loud["levels"] - expected)[heard].max() < ALLOWED_DB
    assert (loud["levels"] - loud["levels"].max(axis=1, keepdims=True))[~heard].max() < -99.0


def test_levels_are_librosas_on_recordings(program: Program, repository, tmp_path: Path) -> None:
    """With `make test-firmware RECORDINGS=DIR` on yours."""
    settings, worst, paths = KINDS["mt"], 0.0, recordings(repository)
    paths = paths[:3] if program.core is SANITIZED else paths
    for path in paths:
        samples = pcm(path, settings.sample_rate_hz, SECONDS)
        (frames,) = hear(program, tmp_path, Hearing("mt", samples))
        worst = max(worst, largest_difference(frames["levels"], samples, settings))
    print(f"{program.core.name}: {len(paths)} recordings, largest difference {worst:.4f} dB")
    assert worst < ALLOWED_DB


@pytest.fixture(scope="module", params=FIXED, ids=lambda core: core.name)
def fixed_program(request, built) -> Program:
    return built(request.param, HERE / "c" / "run.c")


def varied_sounds(settings: LogMelSettings) -> np.ndarray:
    """Sounds of every kind one after the other, a window and a half of each, int16: what makes an FFT overflow, too."""
    length, rate, draws = settings.window * 3 // 2, settings.sample_rate_hz, np.random.default_rng(11)
    time_s = np.arange(length) / rate
    clicks = np.zeros(length)
    clicks[:: length // 3] = 32_767
    clicks[7 :: length // 5] = -32_768
    sounds = [
        golden_waveform(settings, length / rate, seed=5),
        clicks,
        clicks + draws.normal(0, 20, length),
        32_767 * np.sin(2 * np.pi * 0.1 * rate * time_s),
        32_767 * np.sin(np.pi * 0.4 * rate**2 / length * time_s**2),
        32_767 * np.sign(np.sin(2 * np.pi * 0.03 * rate * time_s)),
        np.where(np.arange(length) % 4 < 2, 32_767, -32_768),
        np.where(np.arange(length) % 2, 32_767, -32_768),
        draws.integers(-32_768, 32_768, length),
        draws.choice([-32_768, 32_767], length),
        draws.integers(-1, 2, length),
        draws.normal(0, 300, length) + 12_000 * np.sin(2 * np.pi * 60 * time_s),
        np.full(length, -32_768),
        np.full(length, 32_767),
        np.zeros(length),
    ]
    return np.rint(np.concatenate(sounds)).clip(-32_768, 32_767).astype(np.int16)


@pytest.mark.parametrize("kind", KINDS)
def test_fixed_point_is_that_of_python_to_the_integer(fixed_program: Program, kind: str, tmp_path: Path) -> None:
    settings = KINDS[kind]
    samples = varied_sounds(settings)
    (frames,) = hear(fixed_program, tmp_path, Hearing(kind, samples))
    np.testing.assert_array_equal(frames["levels"], FixedLogMel(settings)(samples[None])[0])
    for dtype, scaling in SCALINGS.items():
        np.testing.assert_array_equal(frames[dtype], quantized_log_mel(frames["levels"], scaling, dtype))
    again = hear(fixed_program, tmp_path, Hearing(kind, samples), seed=3, as_float=True)[0]
    assert again.tobytes() == frames.tobytes()


def test_fixed_point_of_batches_is_that_of_each_clip() -> None:
    settings = KINDS["odd"]
    clips = varied_sounds(settings).reshape(5, -1)
    batch = FixedLogMel(settings)(clips / np.float32(32_768))
    assert batch.dtype == np.float32
    assert batch.shape == (5, settings.frames(clips.shape[1]), settings.mel_bands)
    for clip, levels in zip(clips, batch, strict=True):
        np.testing.assert_array_equal(FixedLogMel(settings)(clip[None])[0], levels)


def test_fixed_point_is_near_librosa_on_recordings(fixed_program: Program, repository, tmp_path: Path) -> None:
    """With `make test-firmware RECORDINGS=DIR` on yours."""
    settings, worst, paths = KINDS["mt"], 0.0, recordings(repository)
    paths = paths if os.environ.get("RECORDINGS") and fixed_program.core is not FIXED[1] else paths[:1]
    for path in paths:
        samples = pcm(path, settings.sample_rate_hz, SECONDS if len(paths) > 1 else 2.0)
        (frames,) = hear(fixed_program, tmp_path, Hearing("mt", samples))
        np.testing.assert_array_equal(frames["levels"], FixedLogMel(settings)(samples[None])[0])
        worst = max(worst, fixed_difference(frames["levels"], samples, settings))
    print(f"{fixed_program.core.name}: {len(paths)} recordings, largest difference {worst:.4f} dB")
    assert worst < ALLOWED_FIXED_DB


@pytest.mark.parametrize("kind", KINDS)
def test_one_weight_a_bin_makes_the_filters(kind: str) -> None:
    settings = KINDS[kind]
    segments, rising = mel_segments(settings)
    assert len(rising) == segments[-1] - segments[0]
    filters = np.zeros((settings.fft // 2 + 1, settings.mel_bands + 2))
    for segment in range(settings.mel_bands + 1):
        for bin_ in range(segments[segment], segments[segment + 1]):
            weight = np.float32(rising[bin_ - segments[0]])
            filters[bin_, segment + 1] += weight
            filters[bin_, segment] += np.float32(1.0) - weight
    np.testing.assert_allclose(filters[:, 1:-1], mel_filters(settings), atol=1e-7)


def test_settings_that_the_front_end_can_not_have_are_refused() -> None:
    with pytest.raises(ArtifactError, match=r"FFT of 1764 points.*features.fft = 2048"):
        log_mel_tables(LogMelSettings(sample_rate_hz=44_100, window=1764, hop=882), "model")
    with pytest.raises(ArtifactError, match="hop of 70000"):
        log_mel_tables(LogMelSettings(hop=70_000), "model")
    with pytest.raises(ArtifactError, match="hop of 201 samples: more than half the window of 400"):
        log_mel_tables(LogMelSettings(window=400, fft=512, hop=201), "model")


@pytest.mark.parametrize("standard", ["-std=c99", "-std=c11", "c++"])
def test_headers_and_sources_are_strict(standard: str, tmp_path: Path) -> None:
    """Headers can be included twice, and from C++."""
    require(HOST)
    write = "\n".join(f'#include "{header.name}"' for header in sorted(c_sources()[0].parent.glob("*.h")))
    is_c = standard != "c++"
    (tmp_path / "all.c").write_text(write + "\n" + write + "\nint nothing;\n")
    dialect = ["gcc", standard] if is_c else ["g++", "-x", "c++", "-std=c++11"]
    strict = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow", "-fsyntax-only"]
    sources = [str(path) for path in c_sources()] if is_c else []
    command = [*dialect, *strict, f"-I{c_sources()[0].parent}", str(tmp_path / "all.c"), *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_objects_have_no_variables_and_call_little(tmp_path: Path) -> None:
    """So two instances can't share anything by accident, and there is no malloc."""
    require(HOST)
    assert len(c_sources()) > 5
    for source in c_sources():
        made = tmp_path / f"{source.stem}.o"
        subprocess.run(["gcc", "-std=c99", "-O2", "-c", str(source), "-o", str(made)], check=True)
        listed = subprocess.run(["nm", str(made)], check=True, capture_output=True, text=True).stdout
        symbols = [line.split()[-2:] for line in listed.splitlines()]
        assert {kind for kind, _ in symbols} <= {"T", "t", "r", "U"}, source.name
        outside = {name for kind, name in symbols if kind == "U" and not name.startswith(("kmtl_", "arm_"))}
        assert outside <= {"memset", "memcpy", "rintf", "expf", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}, (
            source.name
        )
        assert all(name.startswith("kmtl_") for kind, name in symbols if kind == "T"), source.name
