"""Makes the `dummy_data/` of the TFDS builders: both layouts in a few kilobytes, of synthesised sound.

    .venv/bin/python tests/datasets/make_dummy_data.py

The clips are some milliseconds long (the builders pad them), so nothing but their layout and format is real. A test
makes them anew and compares the bytes.
"""

from __future__ import annotations

import shutil
import sys
import wave
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

TAU = "tau_urban_acoustic_scenes_2022_mobile"
DESED = "desed"

_TAU_ROWS = (
    ("airport-lisbon-1000-40000-0-a", "lisbon-1000"),
    ("bus-lyon-1001-40001-3-s1", "lyon-1001"),
    ("park-paris-1002-40002-1-b", "paris-1002"),
    ("tram-vienna-1003-40003-2-c", "vienna-1003"),
    ("metro_station-milan-1004-40004-0-s4", "milan-1004"),
    ("street_traffic-prague-1005-40005-9-s6", "prague-1005"),
    ("metro-london-1006-40006-0-a", "london-1006"),  # stands in tables only, as in downloads that are not complete
)
_TRAIN, _TEST = (0, 1, 2, 3, 6), (4, 5)
_SUBSETS = {5: (0,), 10: (0, 1), 25: (0, 1, 2), 50: (0, 1, 2, 3)}
_STRONG = ("filename", "onset", "offset", "event_label")


def make_tau(root: Path) -> None:
    """The TAU layout in `root`: 44.1 kHz, 24 bit, 10 ms a clip."""
    rows = [(f"audio/{name}.wav", name.partition("-")[0], place, name.split("-")[-1]) for name, place in _TAU_ROWS]
    for name, *_ in rows[:-1]:
        _write_clip(root / name, rate_hz=44_100, seconds=0.01, width_bytes=3)
    _write_table(root / "meta.csv", ("filename", "scene_label", "identifier", "source_label"), *rows)
    setup, labelled = root / "evaluation_setup", ("filename", "scene_label")
    _write_table(setup / "fold1_train.csv", labelled, *(rows[i][:2] for i in _TRAIN))
    _write_table(setup / "fold1_evaluate.csv", labelled, *(rows[i][:2] for i in _TEST))
    _write_table(setup / "fold1_test.csv", ("filename",), *(rows[i][:1] for i in _TEST))
    for percent, chosen in _SUBSETS.items():
        _write_table(setup / f"split{percent}.csv", ("filename",), *(rows[i][:1] for i in chosen))


def make_desed(root: Path) -> None:
    """The DESED layout in `root`: every split, 20 ms a clip, one folder with a twin at 16 kHz."""
    clips = {
        "audio/train/strong_label_real": ("Yreal_0_10.wav",),
        "audio/train/weak": ("Yweak_30_40.wav",),
        "audio/train/unlabel_in_domain": ("Yfree_0_10.wav",),
        "audio/validation/validation": ("Yval_0_10.wav", "Yquiet_0_10.wav"),
        "dcase_synth/audio/train/synthetic21_train/soundscapes": ("1.wav",),
        "dcase_synth/audio/validation/synthetic21_validation/soundscapes": ("2.wav",),
    }
    for folder, names in clips.items():
        for name in names:
            _write_clip(root / folder / name, rate_hz=44_100 if folder.endswith("weak") else 16_000, seconds=0.02)
    _write_clip(root / "audio/train/weak_16k/Yweak_30_40.wav", rate_hz=16_000, seconds=0.02)
    metadata, synthetic = root / "metadata", root / "dcase_synth/metadata"
    _write_table(
        metadata / "train/audioset_strong.tsv",
        _STRONG,
        ("Yreal_0_10.wav", 0.0, 2.5, "Frying"),
        ("Ygone_0_10.wav", 1.0, 2.0, "Dog"),
    )
    _write_table(metadata / "train/weak.tsv", ("filename", "event_labels"), ("Yweak_30_40.wav", "Cat,Speech"))
    _write_table(
        metadata / "validation/validation.tsv",
        _STRONG,
        ("Yval_0_10.wav", 3.25, 4.5, "Running_water"),
        ("Yquiet_0_10.wav", "", "", ""),
    )
    durations = (("Yval_0_10.wav", 10.0), ("Yquiet_0_10.wav", 10.0))
    _write_table(metadata / "validation/validation_durations.tsv", ("filename", "duration"), *durations)
    for part, name in (("train/synthetic21_train", "1.wav"), ("validation/synthetic21_validation", "2.wav")):
        rows = ((name, 0.5, 1.75, "Dishes"), (name, 1.0, 9.0, "Vacuum_cleaner"))
        _write_table(synthetic / part / "soundscapes.tsv", _STRONG, *rows)


def _write_clip(path: Path, rate_hz: int, seconds: float, width_bytes: int = 2) -> None:
    """A tone of a pitch of its own, as plain PCM, so that the bytes depend on nothing but this file."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    pitch_hz = 400 + zlib.crc32(path.name.encode()) % 1000
    samples = np.rint(2 ** (8 * width_bytes - 2) * np.sin(2 * np.pi * pitch_hz * time_s)).astype("<i4")
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width_bytes)
        file.setframerate(rate_hz)
        file.writeframes(samples.view(np.uint8).reshape(-1, 4)[:, :width_bytes].tobytes())


def _write_table(path: Path, header: Sequence[str], *rows: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in (header, *rows)))


def make(datasets: Path) -> None:
    """Both builders' `dummy_data/` in the folders of `datasets`, in place of those that are there."""
    for builder, inside, fill in (
        (TAU, "TAU-urban-acoustic-scenes-2022-mobile-development", make_tau),
        (DESED, "desed", make_desed),
    ):
        folder = datasets / builder / "dummy_data"
        shutil.rmtree(folder, ignore_errors=True)
        fill(folder / inside)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "datasets")
