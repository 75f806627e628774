"""Small folders in the two data sets' layouts, with real recordings, written into the tests' temporary folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest


def _write_table(path: Path, header: Sequence[str], *rows: Sequence[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in (header, *rows)))
    return path


@pytest.fixture
def write_table() -> Callable[..., Path]:
    return _write_table


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def tau_folder(tmp_path: Path, write_tone: Callable[..., Path]) -> Path:
    """As TAU really lies on disk: 44.1 kHz, 24 bit. One recording of each table is missing."""
    root = tmp_path / "data" / "TAU-urban-acoustic-scenes-2022-mobile-development"
    rows = []
    for scene, place, device in (("airport", "lisbon-1", "a"), ("bus", "lisbon-2", "s1"), ("tram", "paris-3", "b")):
        for second in range(2):
            name = f"audio/{scene}-{place}-7-{second}-{device}.wav"
            rows.append((name, scene, place, device))
            write_tone(root / name, hz=500.0 * (second + 1), rate_hz=44_100, subtype="PCM_24")
    rows.append(("audio/park-paris-9-7-0-a.wav", "park", "paris-9", "a"))
    rows.append(("audio/park-paris-9-7-1-s4.wav", "park", "paris-9", "s4"))
    _write_table(root / "meta.csv", ("filename", "scene_label", "identifier", "source_label"), *rows)
    setup = root / "evaluation_setup"
    _write_table(setup / "fold1_train.csv", ("filename", "scene_label"), *(row[:2] for row in (*rows[:4], rows[6])))
    _write_table(setup / "fold1_evaluate.csv", ("filename", "scene_label"), *(row[:2] for row in (*rows[4:6], rows[7])))
    _write_table(setup / "fold1_test.csv", ("filename",), *(row[:1] for row in (*rows[4:6], rows[7])))
    return root


@pytest.fixture
def desed_folder(tmp_path: Path, write_tone: Callable[..., Path]) -> Path:
    """All splits but `strong_real`; each table names one clip that is missing."""
    root = tmp_path / "data" / "desed"
    strong = ("filename", "onset", "offset", "event_label")
    synthetic = root / "dcase_synth" / "audio/train/synthetic21_train/soundscapes"
    write_tone(synthetic / "1.wav", seconds=10.0)
    write_tone(synthetic / "2.wav", seconds=9.0)
    _write_table(
        root / "dcase_synth" / "metadata/train/synthetic21_train/soundscapes.tsv",
        strong,
        ("1.wav", 7.5, 10.4, "Speech"),
        ("1.wav", 0.5, 1.25, "Cat"),
        ("2.wav", "", "", ""),
        ("gone.wav", 1.0, 2.0, "Dog"),
    )
    write_tone(root / "audio/validation/validation/v1.wav", seconds=10.0)
    write_tone(root / "audio/validation/validation/v2.wav", seconds=10.0)
    _write_table(
        root / "metadata/validation/validation.tsv",
        strong,
        ("v1.wav", 2.0, 3.0, "Frying"),
        ("gone.wav", 0, 1, "Dog"),
    )
    durations = root / "metadata/validation/validation_durations.tsv"
    _write_table(durations, ("filename", "duration"), ("v1.wav", 10), ("v2.wav", 10), ("gone.wav", 10))
    write_tone(root / "audio/train/weak/w1.wav", hz=500.0, seconds=10.0, rate_hz=44_100)
    weak = (("w1.wav", "Dishes,Speech"), ("gone.wav", "Cat"))
    _write_table(root / "metadata/train/weak.tsv", ("filename", "event_labels"), *weak)
    write_tone(root / "audio/train/unlabel_in_domain/u1.wav", seconds=12.0)
    return root
