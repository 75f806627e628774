"""Folders as the tools of DCASE leave them, with small recordings of noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

STRONG = ("filename", "onset", "offset", "event_label")

Record = Callable[..., Path]
WriteTable = Callable[..., Path]


@pytest.fixture
def record() -> Record:
    """Writes noise, of 10 s at 1 kHz by default, and gives its path."""

    def write(path: Path, seconds: float = 10.0, rate_hz: int = 1000, channels: int = 1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (round(seconds * rate_hz), channels)
        soundfile.write(path, np.random.default_rng(1).normal(0, 0.1, shape), rate_hz)
        return path

    return write


@pytest.fixture
def write_table() -> WriteTable:
    """Writes a TAB-separated table."""

    def write(path: Path, header: Sequence[str], *rows: Sequence[object]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join("\t".join(map(str, row)) + "\n" for row in (header, *rows)))
        return path

    return write


@pytest.fixture
def desed(tmp_path: Path, record: Record, write_table: WriteTable) -> Path:
    """The recorded clips, which lie alike in every year."""
    root = tmp_path / "desed"
    for name in ("train/weak/w", "train/strong_label_real/s", "validation/validation/v", "train/unlabel_in_domain/u"):
        record(root / "audio" / f"{name}.wav")
    write_table(root / "metadata/train/weak.tsv", ("filename", "event_labels"), ("w.wav", "Dog,Cat"))
    write_table(root / "metadata/train/audioset_strong.tsv", STRONG, ("s.wav", 1, 2, "Dog"))
    write_table(root / "metadata/validation/validation.tsv", STRONG, ("v.wav", 1, 2, "Dog"))
    return root
