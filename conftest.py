"""Keeps the repository's root off `sys.path`: its folders `datasets` and `tflite` must not shadow others of that name."""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _ROOT]
