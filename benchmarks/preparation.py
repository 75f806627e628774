"""Measures log-mel against plain librosa, and a whole preparation of 16 kHz recordings, in one process.

    python benchmarks/preparation.py [--json]
    python benchmarks/preparation.py --memory 300 3000

Both log-mels are computed in turn, round by round, on the same clips of ten seconds; times are of the process's CPU
(all its threads), so that other work on the machine disturbs them little, and the best round counts. They are taken
twice: with one thread for BLAS, and with as many as it takes by itself, which librosa's large product spreads over.
Such threads go on spinning for a while, so a pause follows. The whole preparation reads WAV files, writes the TFDS
data set and the shards of log-mel. With `--memory` only the most memory that a preparation takes is measured, in a
process of its own for each number of clips: resident pages at their peak, TensorFlow's own and mapped files included.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from keras_mtl.cli.options import quiet_tensorflow
from keras_mtl.core import LogMelSettings
from keras_mtl.features import LogMel

_CLIP_S = 10
#: Longer than BLAS threads spin after their work (about a tenth of a second).
_PAUSE_S = 0.3
_PREPARE = """
import sys
from pathlib import Path
from keras_mtl.cli.options import quiet_tensorflow
quiet_tensorflow()
from keras_mtl.features import prepare
from keras_mtl.recipes import load_recipe
prepare(sys.argv[1], [load_recipe("mt")], Path(sys.argv[2]))
print(Path("/proc/self/status").read_text())
"""


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=300, help="clips of the whole preparation (default 300)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of the two log-mels (default 7)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--memory", type=int, nargs="+", metavar="CLIPS", help="peak memory of so many clips instead")
    options = parser.parse_args()
    if options.memory:
        figures = {f"peak_megabytes_of_{clips}_clips": _peak_megabytes(clips) for clips in options.memory}
    else:
        with threadpool_limits(1):
            figures = _log_mels(options.rounds)
        threaded = _log_mels(options.rounds)
        figures |= {f"{name}_blas_threaded": value for name, value in threaded.items()} | _whole(options.clips)
    if options.json:
        print(json.dumps({"schema": "keras_mtl.preparation_benchmark/1"} | figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:<48} {value:>10.2f}")
    return 0


def _log_mels(rounds: int) -> dict[str, float]:
    settings = LogMelSettings()
    clips = (0.1 * np.random.default_rng(0).standard_normal((16, _CLIP_S * 16_000))).astype(np.float32)
    log_mel, best = LogMel(settings), {"librosa": np.inf, "ours": np.inf}

    def plain() -> None:
        for clip in clips:
            mel = librosa.feature.melspectrogram(
                y=clip, sr=16_000, n_fft=2048, hop_length=160, n_mels=128, htk=True, norm=None, pad_mode="constant"
            )
            librosa.power_to_db(mel, amin=1e-10, top_db=None)

    for _ in range(rounds + 1):  # the first one warms up; of a minimum it may be part
        for name, function in (("librosa", plain), ("ours", lambda: log_mel(clips))):
            time.sleep(_PAUSE_S)
            best[name] = min(best[name], _cpu_s(function))
    audio_s = len(clips) * _CLIP_S
    return {
        "librosa_times_real_time_per_core": audio_s / best["librosa"],
        "log_mel_times_real_time_per_core": audio_s / best["ours"],
        "log_mel_against_librosa": best["librosa"] / best["ours"],
    }


def _whole(clips: int) -> dict[str, float]:
    quiet_tensorflow()
    from keras_mtl.features import prepare
    from keras_mtl.recipes import load_recipe

    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "desed"
        _write(root, 2, random)
        prepare(folder, [load_recipe("mt")], Path(folder) / "warm")  # TensorFlow's own start is not of interest
        _write(root, clips, random)
        began = time.perf_counter()
        cpu_s = _cpu_s(lambda: prepare(folder, [load_recipe("mt")], Path(folder) / "cache"))
        wall_s = time.perf_counter() - began
    return {
        "whole_preparation_times_real_time_per_core": clips * _CLIP_S / cpu_s,
        "whole_preparation_times_real_time_wall": clips * _CLIP_S / wall_s,
    }


def _peak_megabytes(clips: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder) / "desed", clips, np.random.default_rng(1))
        command = [sys.executable, "-P", "-c", _PREPARE, folder, str(Path(folder) / "cache")]
        status = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (kibibytes,) = re.findall(
        r"VmHWM:\s+(\d+) kB", status
    )  # as of this program only; getrusage knows its parent's, too
    return float(kibibytes) * 1024 / 1e6


def _write(root: Path, clips: int, random: Any) -> None:
    for place in ("audio/train/unlabel_in_domain", "metadata"):
        (root / place).mkdir(parents=True, exist_ok=True)
    for number in range(clips):
        audio = (0.1 * random.standard_normal(_CLIP_S * 16_000)).astype(np.float32)
        soundfile.write(root / "audio/train/unlabel_in_domain" / f"{number}.wav", audio, 16_000, subtype="PCM_16")


def _cpu_s(function: Callable[[], Any]) -> float:
    began = time.process_time()
    function()
    return time.process_time() - began


if __name__ == "__main__":
    raise SystemExit(main())
